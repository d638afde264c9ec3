// The tray of a CD drive as one state machine: whoever moves it, the guest or the host, comes here.
// Spec: MMC-5 (T10/1675D) 4.1.6 (medium removal), 6.5 (events), 6.50 (START STOP UNIT).
#pragma once

#include <cstdint>
#include <functional>

namespace rhea {

/// What the guest still has to be told of a new medium: first that the old one is gone, then that another
/// came.
enum class MediumChange : uint8_t { kNone = 0, kRemovalUnseen = 1, kArrivalUnseen = 2 };

/// All of it is visible to the guest or to queries, so all of it migrates.
struct TrayState {
  bool open = false;
  bool locked = false;         ///< the guest prevents removal
  bool eject_pending = false;  ///< the host asked the guest to eject; not answered yet
  bool eject_event = false;    ///< that request has not been reported as an event yet
  bool new_medium_event = false;
  MediumChange change = MediumChange::kNone;
  friend bool operator==(const TrayState&, const TrayState&) = default;
};

/// A media event of GET EVENT STATUS NOTIFICATION (MMC-5 6.6.2.5).
enum class MediaEvent : uint8_t { kNone = 0, kEjectRequest = 1, kNewMedia = 2 };

/// What the guest is to see before its next command (S0.21).
enum class TrayNotice : uint8_t { kNone, kNoMedium, kMediumChanged };

/// Machine lock.
class Tray {
 public:
  /// Called after each real movement with where the tray is now.
  std::function<void(bool open)> on_moved;

  const TrayState& state() const { return s_; }
  bool open() const { return s_.open; }
  bool locked() const { return s_.locked; }

  // The guest.
  /// START STOP UNIT with LoEj: false if removal is prevented. Open already: nothing.
  bool guest_eject();
  /// START STOP UNIT with LoEj and Start; `medium`: there is one on the tray.
  void guest_load(bool medium);
  void guest_set_locked(bool locked) { s_.locked = locked; }
  /// Takes the next event to report; `medium`: there is one in the drive. New media are reported once the
  /// tray is closed over them.
  MediaEvent take_event(bool medium);
  /// Takes the step of a medium change the guest has to see next; none while there is nothing to read.
  TrayNotice take_notice(bool medium);

  // The host.
  /// Asks the guest to eject. Forced, the lock gives way.
  void host_eject_request(bool force);
  /// Closes the tray over a medium, or over none.
  void host_load();
  /// Opens the tray, locked or not: asking first is the caller's.
  void host_unload();

  /// Bus reset: the lock and what was asked of the guest are forgotten; the tray stays where it is.
  void reset();
  /// Takes over what was loaded; nothing is reported.
  void restore(const TrayState& state) { s_ = state; }

 private:
  void move(bool open);
  TrayState s_;
};

}  // namespace rhea
