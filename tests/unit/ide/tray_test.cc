// The tray alone: every input in every state, and what each may change.
#include "hw/scsi/tray.h"

#include <gtest/gtest.h>

#include <vector>

namespace rhea {
namespace {

std::vector<TrayState> all_states() {
  std::vector<TrayState> out;
  for (int bits = 0; bits < 32; ++bits)
    for (int change = 0; change < 3; ++change)
      out.push_back({.open = (bits & 1) != 0,
                     .locked = (bits & 2) != 0,
                     .eject_pending = (bits & 4) != 0,
                     .eject_event = (bits & 8) != 0,
                     .new_medium_event = (bits & 16) != 0,
                     .change = static_cast<MediumChange>(change)});
  return out;
}

struct Input {
  const char* name;
  void (*apply)(Tray&);
};
const Input kInputs[] = {
    {"guest_eject", [](Tray& t) { t.guest_eject(); }},
    {"guest_load", [](Tray& t) { t.guest_load(true); }},
    {"guest_load_empty", [](Tray& t) { t.guest_load(false); }},
    {"lock", [](Tray& t) { t.guest_set_locked(true); }},
    {"unlock", [](Tray& t) { t.guest_set_locked(false); }},
    {"take_event", [](Tray& t) { t.take_event(true); }},
    {"take_event_empty", [](Tray& t) { t.take_event(false); }},
    {"take_notice", [](Tray& t) { t.take_notice(true); }},
    {"take_notice_empty", [](Tray& t) { t.take_notice(false); }},
    {"eject_request", [](Tray& t) { t.host_eject_request(false); }},
    {"eject_request_forced", [](Tray& t) { t.host_eject_request(true); }},
    {"host_load", [](Tray& t) { t.host_load(); }},
    {"host_unload", [](Tray& t) { t.host_unload(); }},
    {"reset", [](Tray& t) { t.reset(); }},
};

TEST(Tray, ReportsEveryMovementAndNothingElse) {
  for (const TrayState& before : all_states()) {
    for (const Input& input : kInputs) {
      Tray tray;
      tray.restore(before);
      std::vector<bool> moves;
      tray.on_moved = [&](bool open) { moves.push_back(open); };
      input.apply(tray);
      std::vector<bool> expected;
      if (tray.open() != before.open) expected.push_back(tray.open());
      EXPECT_EQ(moves, expected) << input.name;
    }
  }
}

TEST(Tray, OnlyTheHostAndAnUnlockedGuestOpenIt) {
  for (const TrayState& before : all_states()) {
    for (const Input& input : kInputs) {
      Tray tray;
      tray.restore(before);
      input.apply(tray);
      const std::string_view name = input.name;
      const bool may_open = name == "host_unload" || (name == "guest_eject" && !before.locked);
      const bool may_close = name == "host_load" || name == "guest_load" || name == "guest_load_empty";
      EXPECT_EQ(tray.open(), may_open || (before.open && !may_close)) << name;
      EXPECT_FALSE(tray.open() && !before.open && tray.state().eject_pending) << name;
    }
  }
}

TEST(Tray, OnlyTheGuestAForcedRequestAndAResetTouchTheLock) {
  for (const TrayState& before : all_states()) {
    for (const Input& input : kInputs) {
      Tray tray;
      tray.restore(before);
      input.apply(tray);
      const std::string_view name = input.name;
      bool expected = before.locked;
      if (name == "lock") expected = true;
      if (name == "unlock" || name == "eject_request_forced" || name == "reset") expected = false;
      EXPECT_EQ(tray.locked(), expected) << name;
    }
  }
}

TEST(Tray, S0_21_AChangeIsSeenInTwoSteps) {
  Tray tray;
  tray.host_unload();
  EXPECT_EQ(tray.take_notice(true), TrayNotice::kNone) << "the tray is open: the medium check speaks";
  tray.host_load();
  EXPECT_EQ(tray.take_notice(false), TrayNotice::kNone) << "closed over nothing";
  EXPECT_EQ(tray.take_notice(true), TrayNotice::kNoMedium);
  EXPECT_EQ(tray.take_notice(true), TrayNotice::kMediumChanged);
  EXPECT_EQ(tray.take_notice(true), TrayNotice::kNone);
}

TEST(Tray, S0_7_ARequestIsPendingUntilTheTrayOpens) {
  Tray tray;
  tray.guest_set_locked(true);
  tray.host_eject_request(false);
  EXPECT_TRUE(tray.state().eject_pending);
  EXPECT_EQ(tray.take_event(true), MediaEvent::kEjectRequest);
  EXPECT_EQ(tray.take_event(true), MediaEvent::kNone) << "reported once";
  EXPECT_TRUE(tray.state().eject_pending) << "reported is not answered";
  EXPECT_FALSE(tray.guest_eject());
  tray.guest_set_locked(false);
  EXPECT_TRUE(tray.guest_eject());
  EXPECT_FALSE(tray.state().eject_pending);
}

TEST(Tray, NewMediaAreReportedOnceTheTrayIsClosedOverThem) {
  Tray tray;
  tray.host_unload();
  EXPECT_EQ(tray.take_event(true), MediaEvent::kNone);
  tray.host_load();
  EXPECT_EQ(tray.take_event(false), MediaEvent::kNone);
  EXPECT_EQ(tray.take_event(true), MediaEvent::kNewMedia);
  EXPECT_EQ(tray.take_event(true), MediaEvent::kNone);
}

TEST(Tray, AResetLeavesItWhereItIs) {
  Tray tray;
  tray.host_unload();
  tray.guest_set_locked(true);
  tray.reset();
  EXPECT_TRUE(tray.open());
  EXPECT_FALSE(tray.locked());
}

}  // namespace
}  // namespace rhea
