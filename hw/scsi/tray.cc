#include "hw/scsi/tray.h"

#include <utility>

namespace rhea {

void Tray::move(bool open) {
  if (open) s_.eject_pending = s_.eject_event = false;  // the request is answered
  if (std::exchange(s_.open, open) == open) return;
  if (on_moved) on_moved(open);
}

bool Tray::guest_eject() {
  if (s_.open) return true;
  if (s_.locked) return false;
  move(true);
  return true;
}

void Tray::guest_load(bool medium) {
  if (!s_.open) return;
  // Who closes the tray knows that the medium may be another: an attention without the "gone" before it.
  if (medium) {
    s_.change = MediumChange::kArrivalUnseen;
    s_.new_medium_event = true;
  }
  move(false);
}

MediaEvent Tray::take_event(bool medium) {
  if (!s_.open && medium && std::exchange(s_.new_medium_event, false)) return MediaEvent::kNewMedia;
  if (std::exchange(s_.eject_event, false)) return MediaEvent::kEjectRequest;
  return MediaEvent::kNone;
}

TrayNotice Tray::take_notice(bool medium) {
  if (s_.open || !medium) return TrayNotice::kNone;
  switch (s_.change) {
    case MediumChange::kRemovalUnseen:
      s_.change = MediumChange::kArrivalUnseen;
      return TrayNotice::kNoMedium;
    case MediumChange::kArrivalUnseen:
      s_.change = MediumChange::kNone;
      return TrayNotice::kMediumChanged;
    case MediumChange::kNone:
      break;
  }
  return TrayNotice::kNone;
}

void Tray::host_eject_request(bool force) {
  s_.eject_pending = s_.eject_event = true;
  if (force) s_.locked = false;
}

void Tray::host_load() {
  s_.change = MediumChange::kRemovalUnseen;
  s_.new_medium_event = true;
  s_.eject_pending = s_.eject_event = false;
  move(false);
}

void Tray::host_unload() {
  s_.change = MediumChange::kRemovalUnseen;
  s_.new_medium_event = true;
  move(true);
}

void Tray::reset() {
  s_.locked = false;
  s_.eject_pending = s_.eject_event = false;
}

}  // namespace rhea
