// The bzImage loader: placement and header fields of boot.rst, and images made to hurt it.
#include "hw/i386/linux_boot.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/unit/fw/fake_firmware.h"

namespace rhea {
namespace {

using test::read_le;

struct Image {
  uint16_t protocol = 0x020f;
  uint8_t sectors = 4;
  uint8_t flags = 1;
  size_t kernel_bytes = 5000;
};

Bytes make_image(const Image& i) {
  ByteBuffer b;
  b.zeros((i.sectors + 1u) * 512 + i.kernel_bytes);
  b.patch_le(0x1f1, i.sectors, 1);
  b.patch_le(0x1fe, 0xaa55, 2);
  b.patch_le(0x202, 0x5372'6448, 4);
  b.patch_le(0x206, i.protocol, 2);
  b.patch_le(0x211, i.flags, 1);
  b.patch_le(0x22c, 0x7fff'ffff, 4);
  b.patch_le(0x238, 2047, 4);
  Bytes out = b.take();
  for (size_t at = (i.sectors + 1u) * 512; at < out.size(); at++) out[at] = 0xcc;
  return out;
}

LinuxBootRequest request(const Image& i = {}) {
  LinuxBootRequest r;
  r.kernel = make_image(i);
  r.command_line = "console=ttyS0";
  r.ram_below_4g = 0x1000'0000;
  return r;
}

TEST(LinuxBoot, SplitsSetupFromKernel) {
  auto boot = prepare_linux_boot(request());
  ASSERT_TRUE(boot);
  EXPECT_EQ(boot->setup.size(), 2560u);
  EXPECT_EQ(boot->kernel, Bytes(5000, 0xcc));
  EXPECT_EQ(boot->setup_address, 0x10000u);
  EXPECT_EQ(boot->kernel_address, 0x100000u);
  EXPECT_EQ(boot->command_line_address, 0x20000u);
}

TEST(LinuxBoot, PatchesTheSetupHeader) {
  LinuxBootRequest r = request();
  r.initrd = Bytes(10000, 1);
  auto boot = prepare_linux_boot(std::move(r));
  ASSERT_TRUE(boot);
  EXPECT_EQ(boot->setup[0x210], 0xb0);
  EXPECT_EQ(boot->setup[0x211], 0x81);
  EXPECT_EQ(read_le(boot->setup, 0x1fa, 2), 0xffffu);
  EXPECT_EQ(read_le(boot->setup, 0x218, 4), boot->initrd_address);
  EXPECT_EQ(read_le(boot->setup, 0x21c, 4), 10000u);
  EXPECT_EQ(read_le(boot->setup, 0x224, 2), 0xfe00u);
  EXPECT_EQ(read_le(boot->setup, 0x228, 4), boot->command_line_address);
}

TEST(LinuxBoot, InitrdEndsBelowTheFirmwareTables) {
  LinuxBootRequest r = request();
  r.initrd = Bytes(10000, 1);
  auto boot = prepare_linux_boot(std::move(r));
  ASSERT_TRUE(boot);
  EXPECT_EQ(boot->initrd_address % 4096, 0u);
  EXPECT_LE(boot->initrd_address + 10000u, 0x1000'0000u - 0x28000);
  EXPECT_GT(boot->initrd_address + 10000u + 4096u, 0x1000'0000u - 0x28000);
}

TEST(LinuxBoot, InitrdStaysBelowTheKernelsLimit) {
  LinuxBootRequest r = request({.protocol = 0x0202});
  r.ram_below_4g = 0xc000'0000;
  r.initrd = Bytes(4096, 1);
  auto boot = prepare_linux_boot(std::move(r));
  ASSERT_TRUE(boot);
  EXPECT_EQ(boot->initrd_address, 0x3800'0000u - 4096);
}

TEST(LinuxBoot, OldProtocolsUseTheirOwnCommandLineFields) {
  auto boot = prepare_linux_boot(request({.protocol = 0x0200, .flags = 0}));
  ASSERT_TRUE(boot);
  EXPECT_EQ(boot->setup_address, 0x90000u);
  EXPECT_EQ(boot->kernel_address, 0x10000u);
  EXPECT_EQ(read_le(boot->setup, 0x20, 4), 0x9ff0'a33fu);
  EXPECT_EQ(read_le(boot->setup, 0x228, 4), 0u);
}

TEST(LinuxBoot, ZeroSetupSectorsMeansFour) {
  Bytes image = make_image({});
  image[0x1f1] = 0;
  auto header = parse_linux_header(image);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->setup_bytes, 5u * 512);
}

std::string error_of(LinuxBootRequest r) {
  auto boot = prepare_linux_boot(std::move(r));
  return boot ? "no error" : boot.error().message();
}

TEST(LinuxBootErrors, NameWhatIsWrong) {
  LinuxBootRequest r = request();
  r.kernel.resize(100);
  EXPECT_NE(error_of(r).find("cut short"), std::string::npos);
  r.kernel = Bytes(4096, 0);
  EXPECT_EQ(error_of(r), "not a Linux bzImage");
  r = request();
  r.kernel.resize(2560);
  EXPECT_NE(error_of(r).find("ends inside its setup code"), std::string::npos);
  r = request();
  r.command_line = std::string(2048, 'x');
  EXPECT_NE(error_of(r).find("2048 characters is too long: at most 2047"), std::string::npos);
  r = request();
  r.initrd = Bytes(0x1000'0000, 0);
  EXPECT_NE(error_of(r).find("initrd is too large"), std::string::npos);
  r = request();
  r.ram_below_4g = 0x100000;
  EXPECT_NE(error_of(r).find("does not fit"), std::string::npos);
  r = request();
  r.command_line = "vga=purple";
  EXPECT_EQ(error_of(r), "invalid vga= parameter 'purple'");
  r = request({.sectors = 255});
  EXPECT_NE(error_of(r).find("too large"), std::string::npos);
}

TEST(LinuxBootErrors, AHugeDeclaredCommandLineLimitIsStillBounded) {
  LinuxBootRequest r = request();
  for (size_t at = 0x238; at < 0x23c; at++) r.kernel[at] = 0xff;
  r.command_line = std::string(600'000, 'x');
  EXPECT_NE(error_of(r).find("too long"), std::string::npos);
}

TEST(LinuxBootFiles, AreReadAndErrorsNameThem) {
  std::string folder = testing::TempDir() + "rhea-linux-boot-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  Bytes image = make_image({});
  std::ofstream(folder + "/kernel", std::ios::binary)
      .write(reinterpret_cast<const char*>(image.data()), static_cast<long>(image.size()));
  std::ofstream(folder + "/initrd") << "initrd";
  auto boot = load_linux_boot(folder + "/kernel", folder + "/initrd", "quiet", 0x1000'0000);
  ASSERT_TRUE(boot);
  EXPECT_EQ(boot->kernel.size(), 5000u);
  EXPECT_EQ(boot->initrd.size(), 6u);
  auto message = [&](const std::string& kernel, const std::string& initrd) {
    return load_linux_boot(kernel, initrd, "", 0x1000'0000).error().message();
  };
  EXPECT_EQ(message("/none/k", ""), "could not load kernel '/none/k': No such file or directory");
  EXPECT_EQ(message(folder, ""), "could not load kernel '" + folder + "': Is a directory");
  EXPECT_EQ(message("/dev/null", ""),
            "could not load kernel '/dev/null': kernel image of 0 bytes is cut short");
  EXPECT_EQ(message(folder + "/kernel", "/none/i"),
            "could not load initrd '/none/i': No such file or directory");
  std::filesystem::remove_all(folder);
}

TEST(LinuxVideoMode, LastOptionWins) {
  EXPECT_EQ(linux_video_mode("").value(), 0xffff);
  EXPECT_EQ(linux_video_mode("quiet vga=ext").value(), 0xfffe);
  EXPECT_EQ(linux_video_mode("vga=ask vga=0x317").value(), 0x317);
  EXPECT_EQ(linux_video_mode("vga=791 xvga=1").value(), 791);
  EXPECT_FALSE(linux_video_mode("vga="));
  EXPECT_FALSE(linux_video_mode("vga=65536"));
}

TEST(LinuxBootErrors, RandomHeadersNeverReadOutOfBounds) {
  std::mt19937 random(20260101);
  for (int round = 0; round < 2000; round++) {
    LinuxBootRequest r = request();
    for (int i = 0; i < 4; i++) r.kernel[0x1f1 + random() % 0x80] = static_cast<uint8_t>(random());
    r.kernel.resize(random() % (r.kernel.size() + 1));
    r.ram_below_4g = uint64_t{random()};
    r.initrd.resize(random() % 3 * 5000);
    std::ignore = prepare_linux_boot(std::move(r));  // either answer is right; a fault is not
  }
}

}  // namespace
}  // namespace rhea
