// Random numbers for guests: rng-random reads a file of the host, rng-builtin asks the kernel.
#pragma once

#include <span>

#include "qom/user_creatable.h"
#include "util/unique_fd.h"

namespace rhea {

/// "rng-backend", abstract. Machine lock.
class RngBackend : public UserCreatable {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  bool can_be_deleted() const override { return users == 0; }
  /// Fills as much of `out` as can be had without waiting; how much that was. Zero: ask again when fd() can
  /// be read.
  virtual Result<size_t> read(std::span<uint8_t> out) = 0;
  /// What to wait for before the next read(); -1: nothing, it never waits.
  virtual int fd() const { return -1; }

  unsigned users = 0;   ///< devices that hold it
  bool opened = false;  ///< since complete()

 protected:
  static const PropertyInfo kProperties[];
};

/// "rng-builtin": getrandom(2).
class RngBuiltin final : public RngBackend {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  Result<> complete() override;
  Result<size_t> read(std::span<uint8_t> out) override;
};

/// "rng-random": bytes of the device or file that property filename names.
class RngRandom final : public RngBackend {
 public:
  static const TypeInfo kType;
  const TypeInfo& type() const override { return kType; }
  Result<> complete() override;
  Result<size_t> read(std::span<uint8_t> out) override;
  int fd() const override { return fd_.get(); }

  std::string filename = "/dev/urandom";

 private:
  static const PropertyInfo kProperties[];
  UniqueFd fd_;
};

}  // namespace rhea
