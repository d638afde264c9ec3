#include "ui/vnc/keysym.h"

#include <algorithm>
#include <array>

namespace rhea {

namespace {

struct Row {
  uint16_t keysym;
  QKeyCode key;
};
// In order of the keysyms.
constexpr Row kRows[] = {
    {0x0020, QKeyCode::kSpc},         {0x0021, QKeyCode::k1},
    {0x0022, QKeyCode::kApostrophe},  {0x0023, QKeyCode::k3},
    {0x0024, QKeyCode::k4},           {0x0025, QKeyCode::k5},
    {0x0026, QKeyCode::k7},           {0x0027, QKeyCode::kApostrophe},
    {0x0028, QKeyCode::k9},           {0x0029, QKeyCode::k0},
    {0x002a, QKeyCode::k8},           {0x002b, QKeyCode::kEqual},
    {0x002c, QKeyCode::kComma},       {0x002d, QKeyCode::kMinus},
    {0x002e, QKeyCode::kDot},         {0x002f, QKeyCode::kSlash},
    {0x0030, QKeyCode::k0},           {0x0031, QKeyCode::k1},
    {0x0032, QKeyCode::k2},           {0x0033, QKeyCode::k3},
    {0x0034, QKeyCode::k4},           {0x0035, QKeyCode::k5},
    {0x0036, QKeyCode::k6},           {0x0037, QKeyCode::k7},
    {0x0038, QKeyCode::k8},           {0x0039, QKeyCode::k9},
    {0x003a, QKeyCode::kSemicolon},   {0x003b, QKeyCode::kSemicolon},
    {0x003c, QKeyCode::kComma},       {0x003d, QKeyCode::kEqual},
    {0x003e, QKeyCode::kDot},         {0x003f, QKeyCode::kSlash},
    {0x0040, QKeyCode::k2},           {0x0041, QKeyCode::kA},
    {0x0042, QKeyCode::kB},           {0x0043, QKeyCode::kC},
    {0x0044, QKeyCode::kD},           {0x0045, QKeyCode::kE},
    {0x0046, QKeyCode::kF},           {0x0047, QKeyCode::kG},
    {0x0048, QKeyCode::kH},           {0x0049, QKeyCode::kI},
    {0x004a, QKeyCode::kJ},           {0x004b, QKeyCode::kK},
    {0x004c, QKeyCode::kL},           {0x004d, QKeyCode::kM},
    {0x004e, QKeyCode::kN},           {0x004f, QKeyCode::kO},
    {0x0050, QKeyCode::kP},           {0x0051, QKeyCode::kQ},
    {0x0052, QKeyCode::kR},           {0x0053, QKeyCode::kS},
    {0x0054, QKeyCode::kT},           {0x0055, QKeyCode::kU},
    {0x0056, QKeyCode::kV},           {0x0057, QKeyCode::kW},
    {0x0058, QKeyCode::kX},           {0x0059, QKeyCode::kY},
    {0x005a, QKeyCode::kZ},           {0x005b, QKeyCode::kBracketLeft},
    {0x005c, QKeyCode::kBackslash},   {0x005d, QKeyCode::kBracketRight},
    {0x005e, QKeyCode::k6},           {0x005f, QKeyCode::kMinus},
    {0x0060, QKeyCode::kGraveAccent}, {0x0061, QKeyCode::kA},
    {0x0062, QKeyCode::kB},           {0x0063, QKeyCode::kC},
    {0x0064, QKeyCode::kD},           {0x0065, QKeyCode::kE},
    {0x0066, QKeyCode::kF},           {0x0067, QKeyCode::kG},
    {0x0068, QKeyCode::kH},           {0x0069, QKeyCode::kI},
    {0x006a, QKeyCode::kJ},           {0x006b, QKeyCode::kK},
    {0x006c, QKeyCode::kL},           {0x006d, QKeyCode::kM},
    {0x006e, QKeyCode::kN},           {0x006f, QKeyCode::kO},
    {0x0070, QKeyCode::kP},           {0x0071, QKeyCode::kQ},
    {0x0072, QKeyCode::kR},           {0x0073, QKeyCode::kS},
    {0x0074, QKeyCode::kT},           {0x0075, QKeyCode::kU},
    {0x0076, QKeyCode::kV},           {0x0077, QKeyCode::kW},
    {0x0078, QKeyCode::kX},           {0x0079, QKeyCode::kY},
    {0x007a, QKeyCode::kZ},           {0x007b, QKeyCode::kBracketLeft},
    {0x007c, QKeyCode::kBackslash},   {0x007d, QKeyCode::kBracketRight},
    {0x007e, QKeyCode::kGraveAccent}, {0xfe03, QKeyCode::kAltR},
    {0xfe20, QKeyCode::kTab},         {0xff08, QKeyCode::kBackspace},
    {0xff09, QKeyCode::kTab},         {0xff0a, QKeyCode::kLf},
    {0xff0d, QKeyCode::kRet},         {0xff13, QKeyCode::kPause},
    {0xff14, QKeyCode::kScrollLock},  {0xff15, QKeyCode::kSysrq},
    {0xff1b, QKeyCode::kEsc},         {0xff50, QKeyCode::kHome},
    {0xff51, QKeyCode::kLeft},        {0xff52, QKeyCode::kUp},
    {0xff53, QKeyCode::kRight},       {0xff54, QKeyCode::kDown},
    {0xff55, QKeyCode::kPgup},        {0xff56, QKeyCode::kPgdn},
    {0xff57, QKeyCode::kEnd},         {0xff61, QKeyCode::kPrint},
    {0xff63, QKeyCode::kInsert},      {0xff67, QKeyCode::kCompose},
    {0xff6a, QKeyCode::kHelp},        {0xff6b, QKeyCode::kPause},
    {0xff7e, QKeyCode::kAltR},        {0xff7f, QKeyCode::kNumLock},
    {0xff8d, QKeyCode::kKpEnter},     {0xff95, QKeyCode::kKp7},
    {0xff96, QKeyCode::kKp4},         {0xff97, QKeyCode::kKp8},
    {0xff98, QKeyCode::kKp6},         {0xff99, QKeyCode::kKp2},
    {0xff9a, QKeyCode::kKp9},         {0xff9b, QKeyCode::kKp3},
    {0xff9c, QKeyCode::kKp1},         {0xff9d, QKeyCode::kKp5},
    {0xff9e, QKeyCode::kKp0},         {0xff9f, QKeyCode::kKpDecimal},
    {0xffaa, QKeyCode::kKpMultiply},  {0xffab, QKeyCode::kKpAdd},
    {0xffac, QKeyCode::kKpComma},     {0xffad, QKeyCode::kKpSubtract},
    {0xffae, QKeyCode::kKpDecimal},   {0xffaf, QKeyCode::kKpDivide},
    {0xffb0, QKeyCode::kKp0},         {0xffb1, QKeyCode::kKp1},
    {0xffb2, QKeyCode::kKp2},         {0xffb3, QKeyCode::kKp3},
    {0xffb4, QKeyCode::kKp4},         {0xffb5, QKeyCode::kKp5},
    {0xffb6, QKeyCode::kKp6},         {0xffb7, QKeyCode::kKp7},
    {0xffb8, QKeyCode::kKp8},         {0xffb9, QKeyCode::kKp9},
    {0xffbd, QKeyCode::kKpEquals},    {0xffbe, QKeyCode::kF1},
    {0xffbf, QKeyCode::kF2},          {0xffc0, QKeyCode::kF3},
    {0xffc1, QKeyCode::kF4},          {0xffc2, QKeyCode::kF5},
    {0xffc3, QKeyCode::kF6},          {0xffc4, QKeyCode::kF7},
    {0xffc5, QKeyCode::kF8},          {0xffc6, QKeyCode::kF9},
    {0xffc7, QKeyCode::kF10},         {0xffc8, QKeyCode::kF11},
    {0xffc9, QKeyCode::kF12},         {0xffe1, QKeyCode::kShift},
    {0xffe2, QKeyCode::kShiftR},      {0xffe3, QKeyCode::kCtrl},
    {0xffe4, QKeyCode::kCtrlR},       {0xffe5, QKeyCode::kCapsLock},
    {0xffe7, QKeyCode::kMetaL},       {0xffe8, QKeyCode::kMetaR},
    {0xffe9, QKeyCode::kAlt},         {0xffea, QKeyCode::kAltR},
    {0xffeb, QKeyCode::kMetaL},       {0xffec, QKeyCode::kMetaR},
    {0xffff, QKeyCode::kDelete},
};
static_assert(std::ranges::is_sorted(kRows, {}, &Row::keysym));

}  // namespace

QKeyCode key_of_keysym(uint32_t keysym) {
  const auto* row = std::ranges::lower_bound(kRows, keysym, {}, &Row::keysym);
  return row != std::end(kRows) && row->keysym == keysym ? row->key : QKeyCode::kUnmapped;
}

}  // namespace rhea
