// The bus of one channel: two places for drives.
#pragma once

#include "hw/ide/ide_channel.h"

namespace rhea {

class IdeBus final : public Bus {
 public:
  static const TypeInfo kType;  ///< "IDE"
  const TypeInfo& type() const override { return kType; }
  /// `number` 0 or 1; the bus is "ide.<number>".
  explicit IdeBus(int number);

  const char* bus_kind() const override { return "IDE"; }
  int max_devices() const override { return 2; }
  int number() const { return number_; }
  IdeChannel& channel() { return channel_; }

 protected:
  /// "Can't create IDE unit 2, bus supports only 2 units", "IDE unit 0 is in use".
  Result<> check_address(Device& device) override;
  void device_left(const Device* device) override;

 private:
  int number_;
  IdeChannel channel_;
};

}  // namespace rhea
