#include "accel/qtest/qtest_protocol.h"

#include <gtest/gtest.h>

#include <random>

#include "memory/memory.h"
#include "util/aio_context.h"
#include "util/base64.h"
#include "util/clock.h"

namespace rhea {
namespace {

struct FakeDevices final : QtestDevices {
  Report report;
  std::string log;
  Result<> intercept(std::string_view path, bool inputs, std::string_view, Report r) override {
    if (path != "ioapic") return fail(ENODEV, "Unknown device");
    str_append(log, inputs ? "in " : "out ", path, ";");
    report = std::move(r);
    return {};
  }
  Result<> set_irq(std::string_view path, std::string_view name, int n, int level) override {
    str_append(log, path, " ", name, " ", n, "=", level, ";");
    return {};
  }
};

struct Bytes final : MmioHandler {
  std::array<uint8_t, 16> bytes{};
  uint64_t mmio_read(uint64_t offset, unsigned) override { return bytes.at(offset); }
  void mmio_write(uint64_t offset, uint64_t value, unsigned) override {
    bytes.at(offset) = static_cast<uint8_t>(value);
  }
};

class Qtest : public testing::Test {
 protected:
  void SetUp() override {
    ports_region = MemoryRegion::io("ports", 16, ports, {.impl_max = 1});
    system_io().add_subregion(0x70, *ports_region);
    system_memory().add_subregion(0, *ram);
    virtual_clock().set_manual();
    virtual_clock().start();
  }
  std::string ask(std::string_view line) {
    sent.clear();
    protocol.receive(str_cat(line, "\n"));
    return sent;
  }
  std::unique_ptr<AioContext> loop = AioContext::create("test").value();
  FakeDevices devices;
  Bytes ports;
  std::unique_ptr<MemoryRegion> ports_region;
  std::unique_ptr<MemoryRegion> ram = MemoryRegion::ram("ram", RamBlock::create("ram", 0x2000).value());
  std::string sent;
  QtestProtocol protocol{devices, *loop, [this](std::string_view s) { sent += s; }};
};

TEST_F(Qtest, PortsAndMemory) {
  EXPECT_EQ(ask("endianness"), "OK little\n");
  EXPECT_EQ(ask("outl 0x70 0x11223344"), "OK\n");
  EXPECT_EQ(ask("inb 0x71"), "OK 0x0033\n");
  EXPECT_EQ(ask("inw 0x70"), "OK 0x3344\n");
  EXPECT_EQ(ask("inl 112"), "OK 0x11223344\n");
  EXPECT_EQ(ask("inb 0x400"), "OK 0x00ff\n");
  EXPECT_EQ(ask("writeq 0x100 0x1122334455667788"), "OK\n");
  EXPECT_EQ(ask("readb 0x100"), "OK 0x0000000000000088\n");
  EXPECT_EQ(ask("readq 0x100"), "OK 0x1122334455667788\n");
  EXPECT_EQ(ask("read 0x100 0x4"), "OK 0x88776655\n");
  EXPECT_EQ(ask("write 0x200 0x4 0xabcdEF"), "OK\n");
  EXPECT_EQ(ask("read 0x200 4"), "OK 0xabcdef00\n");
  EXPECT_EQ(ask("memset 0x200 3 0x5a"), "OK\n");
  EXPECT_EQ(ask("b64read 0x200 4"), "OK WlpaAA==\n");
  EXPECT_EQ(ask("b64write 0x300 4 AQIDBA=="), "OK\n");
  EXPECT_EQ(ask("readl 0x300"), "OK 0x0000000004030201\n");
}

TEST_F(Qtest, ReadsPastTheRamAsOnes) {
  EXPECT_EQ(ask("read 0x1ffe 4"), "OK 0x0000ffff\n");
}

TEST_F(Qtest, ClockRunsTimersOnTheWay) {
  int64_t start = virtual_clock().now_ns();
  std::vector<int64_t> fired;
  Timer timer(*loop, virtual_clock(), [&] {
    fired.push_back(virtual_clock().now_ns() - start);
    if (fired.size() < 3) timer.arm_in(100);
  });
  timer.arm(start + 100);
  EXPECT_EQ(ask("clock_step"), str_cat("OK ", start + 100, "\n"));
  EXPECT_EQ(ask("clock_step 250"), str_cat("OK ", start + 350, "\n"));
  EXPECT_EQ(fired, (std::vector<int64_t>{100, 200, 300}));
  EXPECT_EQ(ask("clock_step"), str_cat("OK ", start + 350, "\n"));
  EXPECT_EQ(ask(str_cat("clock_set ", start + 1000)), str_cat("OK ", start + 1000, "\n"));
  EXPECT_EQ(ask("clock_step -5"), "ERR invalid argument\n");
  EXPECT_EQ(ask("clock_step 9223372036854775807"), "ERR invalid argument\n");
}

TEST_F(Qtest, InterruptLinesAreReported) {
  EXPECT_EQ(ask("irq_intercept_in nosuch"), "FAIL Unknown device\n");
  EXPECT_EQ(ask("irq_intercept_in ioapic"), "OK\n");
  EXPECT_EQ(ask("irq_intercept_in ioapic"), "OK\n");
  EXPECT_EQ(ask("irq_intercept_out ioapic"), "OK\n");  // and changes nothing
  EXPECT_EQ(ask("irq_intercept_out other"), "FAIL IRQ intercept already enabled\n");
  sent.clear();
  devices.report(4, 1);
  devices.report(4, 1);
  devices.report(4, 0);
  EXPECT_EQ(sent, "IRQ raise 4\nIRQ lower 4\n");
  EXPECT_EQ(ask("set_irq_in /machine/x unnamed-gpio-in 3 1"), "OK\n");
  EXPECT_EQ(devices.log, "in ioapic;/machine/x unnamed-gpio-in 3=1;");
}

TEST_F(Qtest, NonsenseIsAnswered) {
  EXPECT_EQ(ask("rtas get-time 0 0 0 0"), "FAIL Unknown command 'rtas'\n");
  EXPECT_EQ(ask("module_load virtio- foo"), "FAIL\n");
  EXPECT_EQ(ask(""), "");
  EXPECT_EQ(ask("inb"), "ERR missing argument\n");
  EXPECT_EQ(ask("inb 0x10000"), "ERR invalid argument\n");
  EXPECT_EQ(ask("read 0 0xffffffffffffffff"), "ERR invalid argument\n");
  EXPECT_EQ(ask("write 0 4 12345678"), "ERR invalid argument\n");
  EXPECT_EQ(ask("write 0 4 0xzz"), "ERR invalid argument\n");
  EXPECT_EQ(ask("set_irq_in a b 99999999 1"), "ERR invalid argument\n");
}

TEST_F(Qtest, LinesMayBeCutAnywhere) {
  for (char c : std::string_view("endianness\r\ninb 0x70\nin")) protocol.receive({&c, 1});
  EXPECT_EQ(sent, "OK little\nOK 0x0000\n");
  protocol.restart();
  EXPECT_EQ(ask("inb 0x70"), "OK 0x0000\n");
}

TEST_F(Qtest, RandomBytesNeverBreakIt) {
  uint32_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  static constexpr std::string_view kParts[] = {
      "read ", "write ",     "0x10 ",     "-1 ",     "0xffffffffffffffff ",
      "\n",    "b64read ",   "b64write ", "memset ", "=",
      "inb ",  "clock_set ", "4 ",        "\r\n",    "0x"};
  for (int i = 0; i < 3000; ++i) protocol.receive(kParts[random() % std::size(kParts)]);
  sent.clear();
  protocol.receive("\n");
  EXPECT_EQ(ask("endianness"), "OK little\n");
}

TEST(Base64, RoundTrips) {
  for (size_t n = 0; n < 10; ++n) {
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i < n; ++i) bytes.push_back(static_cast<uint8_t>(i * 97 + 200));
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
  }
}

}  // namespace
}  // namespace rhea
