// What hard disks and CD drives have in common: the drive's backend and properties, requests under way, and
// what becomes of failed ones.
#pragma once

#include <memory>
#include <string>

#include "hw/block/block_conf.h"
#include "hw/ide/ide_channel.h"
#include "hw/ide/identify.h"
#include "util/co_sync.h"

namespace rhea {

class IdeStorage : public IdeDrive, public BlockDevOps {
 public:
  ~IdeStorage() override;

  BlockBackend* block_backend() override { return hold_.get(); }
  int32_t boot_index() const override { return conf_.bootindex; }
  /// Gives up what is under way and waits until no request of this drive is at the backend.
  CoResult<> co_stop() override;

  // IdeDrive
  bool is_quiet() const override { return in_flight_ == 0; }

  // BlockDevOps
  bool is_busy() const override { return in_flight_ != 0; }
  void machine_resumed() override;

  /// True while a failed request waits for the machine to go on.
  bool is_waiting() const { return waiting_; }
  /// What was loaded waits like that.
  void set_waiting() { waiting_ = true; }

  TransferMode mode;

 protected:
  explicit IdeStorage(DriveIdentity identity) : identity_(std::move(identity)) {}
  CoResult<> co_prepare_drive(DeviceContext& context, BlockNeeds needs);
  Result<> do_realize() override;
  void do_unrealize() override;
  BlockBackend& blk() const { return *hold_.get(); }

  /// SET FEATURES that all drives know; false: none of those, or a bad value.
  bool set_common_feature();
  /// Lets the guest read one sector: what IDENTIFY answers.
  void present_sector(const IdentifyData& data);

  /// Runs `work`; `done` gets its result, and then request_ended() follows.
  template <class T>
  void start(CoResult<T> work, std::move_only_function<void(Result<T>)> done) {
    ++in_flight_;
    auto self = std::static_pointer_cast<IdeStorage>(shared_from_this());
    gate_.spawn<T>(std::move(work), [self, done = std::move(done)](Result<T> r) mutable {
      done(std::move(r));
      self->request_ended();
    });
  }
  /// The host stopped the bus master while requests are under way: tells it once they have ended.
  void tell_when_quiet(IdeDma& dma);
  /// What the drive's policy says about a failed request, with all it brings about. kStop: is_waiting() from
  /// now on, and try_again() is called when the machine goes on.
  IoErrorAction request_failed(bool is_read, const Error& error);
  /// Makes the request that failed once more.
  virtual void try_again() = 0;
  void forget_waiting() { waiting_ = false; }

  BlockConf conf_;
  std::string serial_, version_, model_;  ///< properties; identity_ is made of them
  uint64_t wwn_ = 0;
  BiosAtaTranslation translation_ = BiosAtaTranslation::kAuto;  ///< hard disks
  uint16_t rotation_rate_ = 0;                                  ///< hard disks: 0 unknown, 1 none, or rpm
  DriveIdentity identity_;
  /// The tables of the two kinds; the members they name are here.
  static const std::array<PropertyInfo, 18> kCdProperties;
  static const std::array<PropertyInfo, 26> kHdProperties;

 private:
  void request_ended();
  Result<> check_sizes() const;

  BlockHold hold_;
  int in_flight_ = 0;  ///< requests at the backend, or between two of one command
  bool waiting_ = false;
  IdeDma* stopping_dma_ = nullptr;  ///< awaits word that nothing is on its way
  Gate gate_;
};

}  // namespace rhea
