#include "ui/keycodes.h"

#include <array>
#include <charconv>

namespace rhea {

namespace {

struct Row {
  QKeyCode key;
  uint8_t number;
};
// Where two keys share a number, the first is what the number means.
constexpr Row kRows[] = {
    {QKeyCode::kEsc, 0x01},        {QKeyCode::k1, 0x02},           {QKeyCode::k2, 0x03},
    {QKeyCode::k3, 0x04},          {QKeyCode::k4, 0x05},           {QKeyCode::k5, 0x06},
    {QKeyCode::k6, 0x07},          {QKeyCode::k7, 0x08},           {QKeyCode::k8, 0x09},
    {QKeyCode::k9, 0x0a},          {QKeyCode::k0, 0x0b},           {QKeyCode::kMinus, 0x0c},
    {QKeyCode::kEqual, 0x0d},      {QKeyCode::kBackspace, 0x0e},   {QKeyCode::kTab, 0x0f},
    {QKeyCode::kQ, 0x10},          {QKeyCode::kW, 0x11},           {QKeyCode::kE, 0x12},
    {QKeyCode::kR, 0x13},          {QKeyCode::kT, 0x14},           {QKeyCode::kY, 0x15},
    {QKeyCode::kU, 0x16},          {QKeyCode::kI, 0x17},           {QKeyCode::kO, 0x18},
    {QKeyCode::kP, 0x19},          {QKeyCode::kBracketLeft, 0x1a}, {QKeyCode::kBracketRight, 0x1b},
    {QKeyCode::kRet, 0x1c},        {QKeyCode::kCtrl, 0x1d},        {QKeyCode::kA, 0x1e},
    {QKeyCode::kS, 0x1f},          {QKeyCode::kD, 0x20},           {QKeyCode::kF, 0x21},
    {QKeyCode::kG, 0x22},          {QKeyCode::kH, 0x23},           {QKeyCode::kJ, 0x24},
    {QKeyCode::kK, 0x25},          {QKeyCode::kL, 0x26},           {QKeyCode::kSemicolon, 0x27},
    {QKeyCode::kApostrophe, 0x28}, {QKeyCode::kGraveAccent, 0x29}, {QKeyCode::kShift, 0x2a},
    {QKeyCode::kBackslash, 0x2b},  {QKeyCode::kZ, 0x2c},           {QKeyCode::kX, 0x2d},
    {QKeyCode::kC, 0x2e},          {QKeyCode::kV, 0x2f},           {QKeyCode::kB, 0x30},
    {QKeyCode::kN, 0x31},          {QKeyCode::kM, 0x32},           {QKeyCode::kComma, 0x33},
    {QKeyCode::kDot, 0x34},        {QKeyCode::kSlash, 0x35},       {QKeyCode::kShiftR, 0x36},
    {QKeyCode::kKpMultiply, 0x37}, {QKeyCode::kAsterisk, 0x37},    {QKeyCode::kAlt, 0x38},
    {QKeyCode::kSpc, 0x39},        {QKeyCode::kCapsLock, 0x3a},    {QKeyCode::kF1, 0x3b},
    {QKeyCode::kF2, 0x3c},         {QKeyCode::kF3, 0x3d},          {QKeyCode::kF4, 0x3e},
    {QKeyCode::kF5, 0x3f},         {QKeyCode::kF6, 0x40},          {QKeyCode::kF7, 0x41},
    {QKeyCode::kF8, 0x42},         {QKeyCode::kF9, 0x43},          {QKeyCode::kF10, 0x44},
    {QKeyCode::kNumLock, 0x45},    {QKeyCode::kScrollLock, 0x46},  {QKeyCode::kKp7, 0x47},
    {QKeyCode::kKp8, 0x48},        {QKeyCode::kKp9, 0x49},         {QKeyCode::kKpSubtract, 0x4a},
    {QKeyCode::kKp4, 0x4b},        {QKeyCode::kKp5, 0x4c},         {QKeyCode::kKp6, 0x4d},
    {QKeyCode::kKpAdd, 0x4e},      {QKeyCode::kKp1, 0x4f},         {QKeyCode::kKp2, 0x50},
    {QKeyCode::kKp3, 0x51},        {QKeyCode::kKp0, 0x52},         {QKeyCode::kKpDecimal, 0x53},
    {QKeyCode::kSysrq, 0x54},      {QKeyCode::kLess, 0x56},        {QKeyCode::kF11, 0x57},
    {QKeyCode::kF12, 0x58},        {QKeyCode::kKpEquals, 0x59},    {QKeyCode::kLf, 0x5b},
    {QKeyCode::kOpen, 0x64},       {QKeyCode::kPaste, 0x65},       {QKeyCode::kKatakanahiragana, 0x70},
    {QKeyCode::kLang2, 0x71},      {QKeyCode::kLang1, 0x72},       {QKeyCode::kRo, 0x73},
    {QKeyCode::kHiragana, 0x77},   {QKeyCode::kHenkan, 0x79},      {QKeyCode::kMuhenkan, 0x7b},
    {QKeyCode::kYen, 0x7d},        {QKeyCode::kKpComma, 0x7e},     {QKeyCode::kAgain, 0x85},
    {QKeyCode::kProps, 0x86},      {QKeyCode::kUndo, 0x87},        {QKeyCode::kFront, 0x8c},
    {QKeyCode::kAudioprev, 0x90},  {QKeyCode::kAudionext, 0x99},   {QKeyCode::kKpEnter, 0x9c},
    {QKeyCode::kCtrlR, 0x9d},      {QKeyCode::kMenu, 0x9e},        {QKeyCode::kAudiomute, 0xa0},
    {QKeyCode::kCalculator, 0xa1}, {QKeyCode::kAudioplay, 0xa2},   {QKeyCode::kAudiostop, 0xa4},
    {QKeyCode::kVolumedown, 0xae}, {QKeyCode::kVolumeup, 0xb0},    {QKeyCode::kAcHome, 0xb2},
    {QKeyCode::kKpDivide, 0xb5},   {QKeyCode::kPrint, 0xb7},       {QKeyCode::kAltR, 0xb8},
    {QKeyCode::kCut, 0xbc},        {QKeyCode::kFind, 0xc1},        {QKeyCode::kPause, 0xc6},
    {QKeyCode::kHome, 0xc7},       {QKeyCode::kUp, 0xc8},          {QKeyCode::kPgup, 0xc9},
    {QKeyCode::kLeft, 0xcb},       {QKeyCode::kRight, 0xcd},       {QKeyCode::kEnd, 0xcf},
    {QKeyCode::kDown, 0xd0},       {QKeyCode::kPgdn, 0xd1},        {QKeyCode::kInsert, 0xd2},
    {QKeyCode::kDelete, 0xd3},     {QKeyCode::kMetaL, 0xdb},       {QKeyCode::kMetaR, 0xdc},
    {QKeyCode::kCompose, 0xdd},    {QKeyCode::kPower, 0xde},       {QKeyCode::kSleep, 0xdf},
    {QKeyCode::kWake, 0xe3},       {QKeyCode::kAcBookmarks, 0xe6}, {QKeyCode::kAcRefresh, 0xe7},
    {QKeyCode::kStop, 0xe8},       {QKeyCode::kAcForward, 0xe9},   {QKeyCode::kAcBack, 0xea},
    {QKeyCode::kComputer, 0xeb},   {QKeyCode::kMail, 0xec},        {QKeyCode::kMediaselect, 0xed},
    {QKeyCode::kHelp, 0xf5},       {QKeyCode::kCopy, 0xf8},
};

constexpr auto kByKey = [] {
  std::array<uint8_t, 256> table{};
  for (const Row& row : kRows) table[static_cast<size_t>(row.key)] = row.number;
  return table;
}();

constexpr auto kByNumber = [] {
  std::array<QKeyCode, 256> table{};
  table.fill(QKeyCode::kUnmapped);
  for (const Row& row : kRows)
    if (table[row.number] == QKeyCode::kUnmapped) table[row.number] = row.key;
  return table;
}();

}  // namespace

uint8_t key_number(QKeyCode key) {
  return kByKey[static_cast<size_t>(key)];
}

QKeyCode key_of_number(int64_t number) {
  return number > 0 && number < 256 ? kByNumber[static_cast<size_t>(number)] : QKeyCode::kUnmapped;
}

QKeyCode key_of_text(std::string_view text) {
  if (text == "<") return QKeyCode::kLess;
  if (text.starts_with("0x")) {
    int64_t number = 0;
    const char* last = text.data() + text.size();
    auto [end, ec] = std::from_chars(text.data() + 2, last, number, 16);
    return ec == std::errc() && end == last ? key_of_number(number) : QKeyCode::kUnmapped;
  }
  return from_string<QKeyCode>(text).value_or(QKeyCode::kUnmapped);
}

}  // namespace rhea
