// AML encodings against examples worked out from ACPI 6.4 chapters 6.4 and 20.2.
#include "hw/acpi/aml.h"

#include <gtest/gtest.h>

#include "hw/acpi/aml_resource.h"

namespace rhea::aml {
namespace {

TEST(AmlInteger, TakesTheShortestEncoding) {
  EXPECT_EQ(num(0).bytes, (Bytes{0x00}));
  EXPECT_EQ(num(1).bytes, (Bytes{0x01}));
  EXPECT_EQ(num(2).bytes, (Bytes{0x0a, 0x02}));
  EXPECT_EQ(num(0x1234).bytes, (Bytes{0x0b, 0x34, 0x12}));
  EXPECT_EQ(num(0x12345678).bytes, (Bytes{0x0c, 0x78, 0x56, 0x34, 0x12}));
  EXPECT_EQ(num(0x123456789).bytes, (Bytes{0x0e, 0x89, 0x67, 0x45, 0x23, 0x01, 0, 0, 0}));
  EXPECT_EQ(ones().bytes, (Bytes{0xff}));
}

TEST(AmlName, PadsSegmentsAndCountsThem) {
  EXPECT_EQ(named("RTC").bytes, (Bytes{'R', 'T', 'C', '_'}));
  EXPECT_EQ(named("\\_SB.PCI0").bytes, (Bytes{'\\', 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0'}));
  EXPECT_EQ(named("^^A.B.C").bytes,
            (Bytes{'^', '^', 0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_'}));
  EXPECT_EQ(named("\\").bytes, (Bytes{'\\', 0}));
}

TEST(AmlPackageLength, CountsItself) {
  EXPECT_EQ(package_length(0), (Bytes{0x01}));
  EXPECT_EQ(package_length(62), (Bytes{0x3f}));
  EXPECT_EQ(package_length(63), (Bytes{0x41, 0x04}));          // 65 in all
  EXPECT_EQ(package_length(4093), (Bytes{0x4f, 0xff}));        // 4095
  EXPECT_EQ(package_length(4094), (Bytes{0x81, 0x00, 0x01}));  // 4097
  EXPECT_EQ(package_length(0xffffc), (Bytes{0x8f, 0xff, 0xff}));
  EXPECT_EQ(package_length(0xffffd), (Bytes{0xc1, 0x00, 0x00, 0x01}));
}

TEST(AmlData, EisaIdIsCompressedBigEndian) {
  EXPECT_EQ(eisaid("PNP0A03").bytes, (Bytes{0x0c, 0x41, 0xd0, 0x0a, 0x03}));
  EXPECT_EQ(eisaid("PNP0501").bytes, (Bytes{0x0c, 0x41, 0xd0, 0x05, 0x01}));
}

TEST(AmlData, UuidSwapsTheFirstThreeGroups) {
  EXPECT_EQ(uuid("00112233-4455-6677-8899-aabbccddeeff").bytes,
            (Bytes{0x11, 0x13, 0x0a, 0x10, 0x33, 0x22, 0x11, 0x00, 0x55, 0x44,
                   0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}));
}

TEST(AmlData, PackageAndBufferCarryTheirCounts) {
  EXPECT_EQ(package({num(1), num(0)}).bytes, (Bytes{0x12, 0x04, 0x02, 0x01, 0x00}));
  EXPECT_EQ(buffer(Bytes{0xaa, 0xbb}).bytes, (Bytes{0x11, 0x05, 0x0a, 0x02, 0xaa, 0xbb}));
  EXPECT_EQ(str("AB").bytes, (Bytes{0x0d, 'A', 'B', 0}));
}

TEST(AmlObject, MethodHoldsArgumentCountAndSerialization) {
  EXPECT_EQ(method("M", 2, Serialize::kYes, {return_(arg(1))}).bytes,
            (Bytes{0x14, 0x08, 'M', '_', '_', '_', 0x0a, 0xa4, 0x69}));
  EXPECT_EQ(device("D", {name("_ADR", num(0))}).bytes,
            (Bytes{0x5b, 0x82, 0x0b, 'D', '_', '_', '_', 0x08, '_', 'A', 'D', 'R', 0x00}));
}

TEST(AmlObject, FieldListsNamedAndReservedBits) {
  EXPECT_EQ(operation_region("R", Space::kIo, num(0xae00), num(4)).bytes,
            (Bytes{0x5b, 0x80, 'R', '_', '_', '_', 0x01, 0x0b, 0x00, 0xae, 0x0a, 0x04}));
  EXPECT_EQ(field("R", Access::kDword, Lock::kYes, Update::kWriteAsZeros, {{"F", 32}, {"", 64}}).bytes,
            (Bytes{0x5b, 0x81, 0x0e, 'R', '_', '_', '_', 0x53, 'F', '_', '_', '_', 0x20, 0x00, 0x40, 0x04}));
}

TEST(AmlStatement, TargetsDefaultToNone) {
  EXPECT_EQ(and_(arg(0), num(1)).bytes, (Bytes{0x7b, 0x68, 0x01, 0x00}));
  EXPECT_EQ(shift_left(num(1), arg(0), local(0)).bytes, (Bytes{0x79, 0x01, 0x68, 0x60}));
  EXPECT_EQ(if_(equal(arg(0), num(1)), {store(num(1), local(7))}).bytes,
            (Bytes{0xa0, 0x07, 0x93, 0x68, 0x01, 0x70, 0x01, 0x67}));
  EXPECT_EQ(notify(named("S18"), num(1)).bytes, (Bytes{0x86, 'S', '1', '8', '_', 0x01}));
}

TEST(AmlResource, SmallDescriptors) {
  EXPECT_EQ(io(0x3f8, 0x3f8, 0, 8).bytes, (Bytes{0x47, 1, 0xf8, 0x03, 0xf8, 0x03, 0, 8}));
  EXPECT_EQ(irq(1 << 4).bytes, (Bytes{0x22, 0x10, 0x00}));
  EXPECT_EQ(irq(1 << 9, Trigger::kLevel, Polarity::kLow, Sharing::kShared).bytes,
            (Bytes{0x23, 0x00, 0x02, 0x18}));
}

TEST(AmlResource, LargeDescriptors) {
  EXPECT_EQ(interrupts(Trigger::kLevel, Polarity::kHigh, Sharing::kShared, {10}).bytes,
            (Bytes{0x89, 6, 0, 0x09, 1, 10, 0, 0, 0}));
  EXPECT_EQ(word_bus_number(0, 0xff).bytes,
            (Bytes{0x88, 0x0d, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0x00, 0x01}));
  Resource hole = dword_memory(0x8000'0000, 0xfebf'ffff, Caching::kNone);
  EXPECT_EQ(hole.bytes, (Bytes{0x87, 0x17, 0,    0,    0x0c, 1, 0, 0, 0, 0, 0, 0,    0,
                               0x80, 0xff, 0xff, 0xbf, 0xfe, 0, 0, 0, 0, 0, 0, 0xc0, 0x7e}));
  EXPECT_EQ(qword_memory(0x1'0000'0000, 0x1'7fff'ffff, Caching::kCacheable).bytes.size(), 46u);
}

TEST(AmlResource, TemplateEndsWithTheEndTag) {
  EXPECT_EQ(resource_template({irq(2)}).bytes, (Bytes{0x11, 0x08, 0x0a, 0x05, 0x22, 0x02, 0x00, 0x79, 0x00}));
}

}  // namespace
}  // namespace rhea::aml
