#include "monitor/hmp.h"

#include <gmock/gmock.h>

#include "monitor/line_editor.h"
#include "monitor/monitor_set.h"
#include "qapi/qapi_commands_block.h"
#include "qapi/qapi_commands_misc.h"
#include "tests/unit/monitor/monitor_fixture.h"

namespace rhea {

// The media handlers of a machine with one drive, "cd0" by its block backend or "ide0" by its id.
namespace {
std::string media_log;
Result<> medium(std::string_view verb, const std::optional<std::string>& device,
                const std::optional<std::string>& id, bool force) {
  if (device != "cd0" && id != "ide0")
    return fail_class(ErrorClass::kDeviceNotFound, ENODEV, "Device '", device.value_or(id.value_or("")),
                      "' not found");
  str_append(media_log, verb, force ? " forced " : " ");
  return {};
}
}  // namespace

CoResult<> qmp_eject(QmpContext&, EjectArgs args) {
  co_return medium("eject", args.device, args.id, args.force.value_or(false));
}
CoResult<> qmp_blockdev_change_medium(QmpContext&, BlockdevChangeMediumArgs args) {
  co_return medium("change:" + args.filename, args.device, args.id, args.force.value_or(false));
}

namespace {

using test::MonitorTest;

class HmpTest : public MonitorTest {
 protected:
  /// As human-monitor-command answers.
  std::string hmp(std::string line) {
    HumanMonitorCommandArgs args;
    args.command_line = std::move(line);
    auto text = run_to_completion(*loop, qmp_human_monitor_command(*context, std::move(args)));
    return text ? *text : "failed";
  }
};

TEST_F(HmpTest, SaysWhatIsWrong) {
  EXPECT_EQ(hmp("xyz a"), "unknown command: 'xyz'\r\n");
  EXPECT_EQ(hmp("info xyz"), "unknown command: 'info xyz'\r\n");
  EXPECT_EQ(hmp("eject"), "eject: block device name expected\r\nTry \"help eject\" for more information\r\n");
  EXPECT_EQ(hmp("eject -z foo"),
            "eject: unsupported option -z\r\nTry \"help eject\" for more information\r\n");
  EXPECT_EQ(hmp("eject \"a"),
            "eject: block device name expected\r\nTry \"help eject\" for more information\r\n");
  EXPECT_EQ(hmp("stop now"),
            "stop|s: extraneous characters at the end of line\r\nTry \"help stop\" for more information\r\n");
  EXPECT_EQ(hmp("info status x"),
            "status: extraneous characters at the end of line\r\nTry \"help info status\" "
            "for more information\r\n");
  EXPECT_EQ(hmp("change a"), "change: filename expected\r\nTry \"help change\" for more information\r\n");
  EXPECT_EQ(hmp("eject foo"), "Error: Device 'foo' not found\r\n");
  EXPECT_EQ(hmp(""), "");
  EXPECT_EQ(hmp("  \n"), "");
}

TEST_F(HmpTest, RunsTheSameHandlersAsQmp) {
  EXPECT_EQ(hmp("info status"), "VM status: paused (prelaunch)\r\n");
  EXPECT_EQ(hmp("cont"), "");
  EXPECT_EQ(hmp("info status"), "VM status: running\r\n");
  EXPECT_EQ(hmp(" s "), "");
  EXPECT_EQ(hmp("info status"), "VM status: paused\r\n");
  vm.state = RunState::kInternalError;
  EXPECT_EQ(hmp("c"), "Error: Resetting the Virtual Machine is required\r\n");
  hmp("system_reset");
  hmp("system_powerdown");
  hmp("q");
  EXPECT_EQ(vm.log, "reset powerdown quit ");
}

TEST_F(HmpTest, ShowsInformation) {
  EXPECT_TRUE(chardevs->add("null,id=n"));
  EXPECT_EQ(hmp("info chardev"), "n: filename=null\r\n");
  EXPECT_EQ(hmp("info name"), "vm\r\n");
  EXPECT_EQ(hmp("info uuid"), "00000000-0000-0000-0000-000000000000\r\n");
  EXPECT_TRUE(hmp("info version").starts_with("7.2.0"));
  EXPECT_EQ(hmp("help stop"), "stop|s  -- stop emulation\r\n");
  EXPECT_EQ(hmp("help info status"), "info status  -- show the current VM status (running|paused)\r\n");
  EXPECT_EQ(hmp("help nope"), "unknown command: 'nope'\r\n");
  EXPECT_THAT(hmp("help"), testing::HasSubstr("eject [-f] device -- eject a removable medium"));
  EXPECT_EQ(hmp("info"), hmp("help info"));
}

TEST_F(HmpTest, ChangesMedia) {
  media_log.clear();
  EXPECT_EQ(hmp("eject cd0"), "");
  EXPECT_EQ(hmp("eject -f ide0"), "");
  EXPECT_EQ(hmp("change ide0 \"/a b.iso\" raw read-only"), "");
  EXPECT_EQ(media_log, "eject eject forced change:/a b.iso ");
  EXPECT_EQ(hmp("change ide0 x raw sideways"), "Error: invalid parameter value: sideways\r\n");
}

TEST_F(HmpTest, TalksOnATerminal) {
  UniqueFd c = make(MonitorMode::kReadline);
  EXPECT_EQ(receive(c), "QEMU 7.2.0 monitor - type 'help' for more information\r\n(qemu) ");
  EXPECT_EQ(ask(c, "info status\n"), "info status\r\nVM status: paused (prelaunch)\r\n(qemu) ");
  EXPECT_EQ(ask(c, "\r"), "\r\n(qemu) ");
  EXPECT_EQ(ask(c, "nope\nstop\n"), "nope\r\nunknown command: 'nope'\r\n(qemu) stop\r\n(qemu) ");
}

TEST_F(HmpTest, StaysSilentOnAMuxUntilItHasTheKeyboard) {
  UniqueFd c = make(MonitorMode::kReadline, false, true);
  CharFrontend console;  // takes the keyboard, as the serial port does at start-up
  std::string keys;
  { UniqueFd other = make(MonitorMode::kReadline, false, false); }
  ASSERT_TRUE(console.attach(*chardevs->find("mon0")));
  console.set_handlers({.can_read = [] { return size_t{16}; },
                        .read = [&](std::span<const uint8_t> d) { keys.append(d.begin(), d.end()); }});
  receive(c);
  ask(c, "ls");
  EXPECT_EQ(keys, "ls");
  EXPECT_THAT(ask(c,
                  "\x01"
                  "c"),
              testing::EndsWith("(qemu) "));
  EXPECT_EQ(ask(c, "info name\r"), "info name\r\nvm\r\n(qemu) ");
  EXPECT_EQ(ask(c,
                "\x01"
                "c"),
            "\r\n");
  ask(c, "x");
  EXPECT_EQ(keys, "lsx");
}

TEST_F(HmpTest, MonOptions) {
  EXPECT_TRUE(chardevs->add("null,id=n"));
  EXPECT_EQ(monitors->create_from_options("chardev=x,mode=control").error().message(),
            "chardev \"x\" not found");
  EXPECT_EQ(monitors->create_from_options("chardev=n,mode=loud").error().message(),
            "Parameter 'mode' does not accept value 'loud'");
  EXPECT_EQ(monitors->create_from_options("chardev=n,pretty=on").error().message(),
            "'pretty' is not compatible with HMP monitors");
  EXPECT_EQ(monitors->create_from_options("chardev=n,what=1").error().message(), "Invalid parameter 'what'");
  EXPECT_TRUE(monitors->create_from_options("n,mode=control,pretty=on"));
  EXPECT_EQ(monitors->create_from_options("chardev=n").error().message(), "Device 'n' is in use");
}

class LineEditorTest : public testing::Test {
 protected:
  std::string type(std::string_view keys) {
    std::string line = "-";
    for (char c : keys)
      if (auto done = editor.key(static_cast<uint8_t>(c))) line = *done;
    return line;
  }
  std::string shown;
  LineEditor editor{"> ", [this](std::string_view t) { shown += t; },
                    [](std::string_view line) {
                      std::vector<std::string> words;
                      for (const char* w : {"status", "stats", "stop"})
                        if (std::string_view(w).starts_with(line)) words.emplace_back(w);
                      return words;
                    }};
};

TEST_F(LineEditorTest, Edits) {
  EXPECT_EQ(type("ab\x7f"
                 "c\x01x\r"),
            "xac");
  EXPECT_EQ(type("abc\x1b[D\x1b[DX\x05\x0b!\n"), "aXbc!");
  EXPECT_EQ(type("one two\x17three\n"), "one three");
  EXPECT_EQ(type("gone\x15"
                 "here\n"),
            "here");
  EXPECT_EQ(type("ab\x1b[H\x1b[3~\n"), "b");
  EXPECT_EQ(type("\x7f\x04\x1b[C\x1b[D\n"), "");
}

TEST_F(LineEditorTest, RemembersLines) {
  type("first\n");
  type("second\n");
  EXPECT_EQ(type("\x1b[A\x1b[A\n"), "first");
  EXPECT_EQ(type("\x10\x10\x10\x10\x0e\x0e\x0e\x0e\n"), "");
}

TEST_F(LineEditorTest, Completes) {
  EXPECT_EQ(type("sto\t\n"), "stop ");
  EXPECT_EQ(type("sta\t\n"), "stat");
  shown.clear();
  type("stat\t");
  EXPECT_THAT(shown, testing::HasSubstr("status  stats\r\n> stat"));
}

TEST_F(LineEditorTest, BoundsTheLine) {
  const std::string line = type(std::string(10'000, 'x') + "\n");
  EXPECT_EQ(line.size(), LineEditor::kMaxLine);
  type(std::string_view("\x1b[999999999999999999C\x1b[\xff\x00", 22));
}

}  // namespace
}  // namespace rhea
