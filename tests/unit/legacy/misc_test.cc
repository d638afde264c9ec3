#include "chardev/chardev.h"
#include "hw/char/debugcon.h"
#include "hw/misc/debug_exit.h"
#include "hw/misc/port92.h"
#include "tests/unit/legacy/board.h"

namespace rhea {
namespace {

class Sink final : public Chardev {
 public:
  Sink() : Chardev("sink") { set_open(true); }
  std::string_view backend() const override { return "test"; }
  size_t push(std::span<const uint8_t> data) override {
    text.append(data.begin(), data.end());
    return data.size();
  }
  std::string text;
};

using Misc = IsaBoard;

TEST_F(Misc, DebugconPrintsAndTellsThatItIsThere) {
  Sink sink;
  auto con = plug(std::make_shared<IsaDebugcon>());
  EXPECT_FALSE(con->realize()) << "without a chardev";
  ASSERT_TRUE(con->chardev.attach(sink));
  ASSERT_TRUE(con->realize());
  EXPECT_EQ(in(0xe9), 0xe9);
  out(0xe9, 'o');
  out(0xe9, 'k');
  EXPECT_EQ(sink.text, "ok");
  con->unrealize();
}

TEST_F(Misc, DebugExitGivesAnOddStatus) {
  int code = -1;
  auto exit = plug(std::make_shared<IsaDebugExit>());
  exit->on_exit = [&](int c) { code = c; };
  exit->iosize = 3;
  EXPECT_FALSE(exit->realize());
  exit->iosize = 2;
  ASSERT_TRUE(exit->realize());
  out(0x501, 0x10);
  EXPECT_EQ(code, 0x21);
  out(0x502, 0);
  EXPECT_EQ(code, 1);
  exit->unrealize();
}

TEST_F(Misc, Port92SwitchesA20AndResetsOnce) {
  auto port = plug(std::make_shared<Port92>());
  bool a20 = false;
  int resets = 0;
  port->on_a20 = [&](bool on) { a20 = on; };
  port->on_reset_request = [&] { ++resets; };
  ASSERT_TRUE(port->realize());
  out(0x92, 0x02);
  EXPECT_TRUE(a20);
  EXPECT_EQ(in(0x92), 0x02);
  out(0x92, 0x03);
  out(0x92, 0x03);
  EXPECT_EQ(resets, 1) << "only the rising edge";
  EXPECT_EQ(save(*port), std::vector<uint8_t>{0x03});
  ASSERT_TRUE(load(*port, std::vector<uint8_t>{0x00}));
  EXPECT_FALSE(a20);
  port->unrealize();
}

}  // namespace
}  // namespace rhea
