// The picture that the firmware shows while it starts (-boot splash=).
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hw/i386/fw_cfg_setup.h"
#include "util/byteorder.h"
#include "util/unique_fd.h"

namespace rhea {

namespace {

constexpr size_t kMaxPicture = size_t{64} << 20;
constexpr uint16_t kJpegStart = 0xd8ff, kBmpStart = 0x4d42;  // "BM"
constexpr size_t kBmpBits = 28;                              // BITMAPINFOHEADER, biBitCount

Result<Bytes> read_picture(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) < 0 || !S_ISREG(st.st_mode))
    return fail(errno, "failed to read splash file '", path, "'");
  const auto size = static_cast<size_t>(st.st_size);
  if (size > kMaxPicture) return fail(EFBIG, "splash file '", path, "' is larger than 64 MiB");
  Bytes data(size);
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::read(fd.get(), data.data() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(n < 0 ? errno : EIO, "failed to read splash file '", path, "'");
    done += static_cast<size_t>(n);
  }
  return data;
}

/// Null if it is no picture that firmware knows.
const char* picture_name(const Bytes& data) {
  if (data.size() < kBmpBits + 2) return nullptr;
  const auto start = load_le<uint16_t>(data.data());
  if (start == kJpegStart) return "bootsplash.jpg";
  return start == kBmpStart && load_le<uint16_t>(&data[kBmpBits]) == 24 ? "bootsplash.bmp" : nullptr;
}

}  // namespace

Result<FwCfgUserFile> load_boot_splash(const MachineConfig& config) {
  const std::string& given = config.boot.splash;
  const std::string path = config.find_data_file(given);
  if (path.empty()) return fail(ENOENT, "failed to find file '", given, "'");
  FwCfgUserFile file;
  file.data = TRY(read_picture(path));
  const char* name = picture_name(file.data);
  if (name == nullptr)
    return fail(EINVAL, "splash file '", given, "' format not recognized; must be JPEG or 24 bit BMP");
  file.name = name;
  return file;
}

}  // namespace rhea
