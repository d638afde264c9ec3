// Register bits of the 82078, named as in its data sheet, chapter 2 and 6.
#pragma once

#include <cstdint>

namespace rhea::fdc {

// Registers, by offset.
enum Register : unsigned { kSra = 0, kSrb = 1, kDor = 2, kTdr = 3, kMsrDsr = 4, kFifo = 5, kDirCcr = 7 };

inline constexpr uint8_t kSraInt = 0x80;
inline constexpr uint8_t kSrbOnes = 0xc0, kSrbDrive0 = 0x20;
inline constexpr uint8_t kDorReset = 0x04 /* low: held in reset */, kDorDma = 0x08, kDorMotor0 = 0x10;
inline constexpr uint8_t kTdrBootSel = 0x04;
inline constexpr uint8_t kMsrRqm = 0x80, kMsrDio = 0x40, kMsrNonDma = 0x20, kMsrBusy = 0x10;
inline constexpr uint8_t kDsrReset = 0x80, kDsrPowerDown = 0x40, kDsrRate = 0x03;
inline constexpr uint8_t kDirDiskChange = 0x80;

inline constexpr uint8_t kSt0Abnormal = 0x40, kSt0Invalid = 0x80, kSt0Ready = 0xc0, kSt0SeekEnd = 0x20;
inline constexpr uint8_t kSt1MissingMark = 0x01, kSt1NotWritable = 0x02, kSt1NoData = 0x04,
                         kSt1DataError = 0x20, kSt1EndOfCylinder = 0x80;
inline constexpr uint8_t kSt2ScanNot = 0x04, kSt2ScanEqual = 0x08, kSt2DataError = 0x20;
inline constexpr uint8_t kSt3TwoSides = 0x08, kSt3Track0 = 0x10, kSt3Ready = 0x20, kSt3Protected = 0x40;

inline constexpr uint8_t kMultiTrack = 0x80;      // MT of a command's first byte
inline constexpr uint8_t kImpliedSeek = 0x40;     // EIS of CONFIGURE
inline constexpr uint8_t kSectorSizeCode = 0x02;  // N of 512 bytes

}  // namespace rhea::fdc
