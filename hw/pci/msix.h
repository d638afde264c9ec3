// MSI-X of a PCI function: capability, table and pending bits. Spec: PCI Local Bus 3.0, section 6.8.2.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "hw/pci/pci_device.h"

namespace rhea {

/// Table and pending bits lie in a BAR of their own. Vectors are sent as writes to memory, which the board
/// takes to the processors. Machine lock.
class Msix {
 public:
  static constexpr uint8_t kCapability = 0x11;
  static constexpr uint16_t kMaxVectors = 2048;

  /// Adds the capability and BAR `bar` to `owner`, which outlives this; `vectors` is 1 to kMaxVectors. Before
  /// the owner is realized in full.
  Msix(PciDevice& owner, int bar, uint16_t vectors);
  Msix(const Msix&) = delete;

  uint16_t vectors() const { return vectors_; }
  bool enabled() const { return (control() & kEnable) != 0; }
  /// Sends `vector`, or leaves it pending while masked. Nothing if not enabled or out of range.
  void notify(uint16_t vector);
  /// A vector that nobody uses any more is not pending.
  void clear_pending(uint16_t vector);
  /// What notify() would write to memory now; nothing while the vector is masked or the function may not.
  struct Message {
    uint64_t address;
    uint32_t data;
  };
  std::optional<Message> message(uint16_t vector) const;
  /// Called whenever message() may have changed. Set by the owner.
  std::function<void()> on_change;
  /// For the owner's config_changed(): sends what was unmasked.
  void config_changed(unsigned offset, unsigned size);
  /// Table and pending bits as they travel: as the guest reads them, without a length.
  void save(StateWriter& out) const;
  void load(StateReader& in);
  /// All vectors masked, none pending; the owner's reset has cleared the capability.
  void reset();

 private:
  static constexpr uint16_t kEnable = 0x8000, kMaskAll = 0x4000;
  static constexpr uint32_t kEntryBytes = 16, kMasked = 1;
  uint16_t control() const;
  bool masked(uint16_t vector) const;
  void send(uint16_t vector);
  void send_unmasked();
  void changed() const {
    if (on_change) on_change();
  }
  static uint32_t word_mask(size_t word);
  uint64_t table_read(uint64_t offset, unsigned size);
  void table_write(uint64_t offset, uint64_t value, unsigned size);

  PciDevice& owner_;
  const uint16_t vectors_;
  const uint32_t pending_offset_;
  unsigned capability_ = 0;
  std::vector<uint32_t> table_;    ///< four words a vector: address, upper address, data, control
  std::vector<uint32_t> pending_;  ///< a bit a vector
  MmioOf<Msix, &Msix::table_read, &Msix::table_write> io_{*this};
};

}  // namespace rhea
