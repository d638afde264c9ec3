#include "accel/x86_state.h"

#include <gtest/gtest.h>

namespace rhea {
namespace {

TEST(X86State, TravelsThroughAStream) {
  X86State s = x86_reset_state(false, 3, 0x663);
  s.set_msr(0x10, 99);
  s.events.sipi_vector = 7;
  StateWriter out;
  vmstate_save(kX86StateVmState, &s, out);
  X86State back;
  StateReader in(out.buffer());
  Result<> loaded = vmstate_load(kX86StateVmState, &back, in, 1);
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(back, s);
}

TEST(X86State, RefusesCutAndForgedStreams) {
  X86State s = x86_reset_state(true, 0, 0);
  StateWriter out;
  vmstate_save(kX86StateVmState, &s, out);
  for (size_t cut = 0; cut < out.buffer().size(); cut += 13) {
    X86State back;
    StateReader in(std::span(out.buffer()).first(cut));
    EXPECT_FALSE(vmstate_load(kX86StateVmState, &back, in, 1)) << cut;
  }
  s.mp_state = static_cast<X86MpState>(77);
  StateWriter forged;
  vmstate_save(kX86StateVmState, &s, forged);
  X86State back;
  StateReader in(forged.buffer());
  EXPECT_FALSE(vmstate_load(kX86StateVmState, &back, in, 1));
}

TEST(X86Registers, RealModeAfterReset) {
  std::string text = x86_registers_text(x86_reset_state(true, 0, 0x663));
  EXPECT_TRUE(text.starts_with("EAX=00000000 EBX=00000000 ECX=00000000 EDX=00000663\n")) << text;
  EXPECT_NE(text.find("\nEIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\n"),
            std::string::npos);
  EXPECT_NE(text.find("\nCS =f000 ffff0000 0000ffff 00009b00\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nCR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nFCW=037f FSW=0000 [ST=0] FTW=00 MXCSR=00001f80\n"), std::string::npos) << text;
}

TEST(X86Registers, LongMode) {
  X86State s = x86_reset_state(true, 0, 0);
  s.cr0 = 0x80050033;
  s.efer = 0xd01;
  s.rflags = 0x246;
  s.seg[kCs] = {.selector = 0x10, .limit = 0xffffffff, .flags = 0xa09b};
  s.seg[kSs] = {.selector = 0x18, .limit = 0xffffffff, .flags = 0xc093};
  s.tr = {.selector = 0x40, .base = 0xfffffe0000003000, .limit = 0x206f, .flags = 0x008b};
  std::string text = x86_registers_text(s);
  EXPECT_NE(text.find("[---Z-P-]"), std::string::npos) << text;
  EXPECT_NE(text.find("\nCS =0010 0000000000000000 ffffffff 00a09b00 DPL=0 CS64 [-RA]\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("\nSS =0018 0000000000000000 ffffffff 00c09300 DPL=0 DS   [-WA]\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("\nTR =0040 fffffe0000003000 0000206f 00008b00 DPL=0 TSS64-busy\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("XMM15="), std::string::npos);
}

}  // namespace
}  // namespace rhea
