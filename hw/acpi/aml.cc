// AML encodings. Spec: ACPI 6.4, sections 20.2 and 20.3 (opcode values).
#include "hw/acpi/aml.h"

#include <array>
#include <cassert>
#include <cctype>

namespace rhea::aml {
namespace {

enum Op : uint8_t {
  kZero = 0x00,
  kOne = 0x01,
  kAlias = 0x06,
  kName = 0x08,
  kByte = 0x0a,
  kWord = 0x0b,
  kDword = 0x0c,
  kString = 0x0d,
  kQword = 0x0e,
  kScope = 0x10,
  kBuffer = 0x11,
  kPackage = 0x12,
  kMethod = 0x14,
  kDualName = 0x2e,
  kMultiName = 0x2f,
  kExtended = 0x5b,
  kRoot = '\\',
  kParent = '^',
  kLocal0 = 0x60,
  kArg0 = 0x68,
  kStore = 0x70,
  kAdd = 0x72,
  kConcat = 0x73,
  kSubtract = 0x74,
  kIncrement = 0x75,
  kDecrement = 0x76,
  kMultiply = 0x77,
  kShiftLeft = 0x79,
  kShiftRight = 0x7a,
  kAnd = 0x7b,
  kOr = 0x7d,
  kXor = 0x7f,
  kNot = 0x80,
  kFindSetLeft = 0x81,
  kFindSetRight = 0x82,
  kDerefOf = 0x83,
  kNotify = 0x86,
  kSizeOf = 0x87,
  kIndex = 0x88,
  kCreateDword = 0x8a,
  kCreateWord = 0x8b,
  kCreateByte = 0x8c,
  kCreateBit = 0x8d,
  kCreateQword = 0x8f,
  kLand = 0x90,
  kLor = 0x91,
  kLnot = 0x92,
  kLequal = 0x93,
  kLgreater = 0x94,
  kLless = 0x95,
  kToBuffer = 0x96,
  kToInteger = 0x99,
  kIf = 0xa0,
  kElse = 0xa1,
  kWhile = 0xa2,
  kReturn = 0xa4,
  kBreak = 0xa5,
  kOnes = 0xff,
};
enum ExtOp : uint8_t {  // preceded by kExtended
  kMutex = 0x01,
  kCreateField = 0x13,
  kSleep = 0x22,
  kAcquire = 0x23,
  kRelease = 0x27,
  kOpRegion = 0x80,
  kField = 0x81,
  kDevice = 0x82,
  kIndexField = 0x86,
};

// The first byte holds the count of following bytes in bits 7:6 and, if any follow, bits 3:0 of the value.
Bytes encode_length(size_t total, unsigned size) {
  Bytes out;
  if (size == 1) return {static_cast<uint8_t>(total)};
  out.push_back(static_cast<uint8_t>((size - 1) << 6 | (total & 0xf)));
  for (unsigned i = 1; i < size; i++) out.push_back(static_cast<uint8_t>(total >> (4 + 8 * (i - 1))));
  return out;
}

bool length_fits(size_t total, unsigned size) {
  return total < (size == 1 ? 64u : 1u << (4 + 8 * (size - 1)));
}

// A field's width in bits is written like a PkgLength that does not count itself.
Bytes field_width(uint32_t bits) {
  for (unsigned size = 1; size < 4; size++) {
    if (length_fits(bits, size)) return encode_length(bits, size);
  }
  assert(length_fits(bits, 4));
  return encode_length(bits, 4);
}

Term join(std::initializer_list<uint8_t> ops, std::initializer_list<const Bytes*> parts) {
  Term t;
  t.bytes.assign(ops.begin(), ops.end());
  for (const Bytes* p : parts) t.bytes.insert(t.bytes.end(), p->begin(), p->end());
  return t;
}

// Opcode, PkgLength, payload.
Term packaged(std::initializer_list<uint8_t> ops, const Bytes& payload) {
  Bytes length = package_length(payload.size());
  return join(ops, {&length, &payload});
}

Term with_target(uint8_t op, std::initializer_list<const Term*> operands, const Term& target) {
  Term t{{op}};
  for (const Term* o : operands) t.bytes.insert(t.bytes.end(), o->bytes.begin(), o->bytes.end());
  if (target.bytes.empty()) t.bytes.push_back(0);  // NullName
  t.bytes.insert(t.bytes.end(), target.bytes.begin(), target.bytes.end());
  return t;
}

bool valid_segment(std::string_view seg) {
  if (seg.empty() || seg.size() > 4 || (seg[0] >= '0' && seg[0] <= '9')) return false;
  for (char c : seg) {
    if (!(c == '_' || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) return false;
  }
  return true;
}

void append_segment(Bytes& out, std::string_view seg) {
  assert(valid_segment(seg));
  for (size_t i = 0; i < 4; i++) out.push_back(static_cast<uint8_t>(i < seg.size() ? seg[i] : '_'));
}

std::vector<std::string_view> split_segments(std::string_view path) {
  std::vector<std::string_view> segs;
  while (!path.empty()) {
    size_t dot = path.find('.');
    segs.push_back(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
  }
  return segs;
}

uint8_t field_flags(Access access, Lock lock, Update update) {
  return static_cast<uint8_t>(static_cast<unsigned>(access) | static_cast<unsigned>(lock) << 4 |
                              static_cast<unsigned>(update) << 5);
}

void append_fields(Bytes& out, const std::vector<FieldBits>& fields) {
  for (const FieldBits& f : fields) {
    if (f.name.empty()) {
      out.push_back(0);  // ReservedField
    } else {
      append_segment(out, f.name);
    }
    Bytes width = field_width(f.bits);
    out.insert(out.end(), width.begin(), width.end());
  }
}

void append(Bytes& out, const Bytes& more) {
  out.insert(out.end(), more.begin(), more.end());
}

unsigned hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  assert(c >= 'a' && c <= 'f');
  return static_cast<unsigned>(c - 'a') + 10;
}

Term create_in(uint8_t op, const Term& source, const Term& offset, std::string_view path) {
  Term n = named(path);
  return join({op}, {&source.bytes, &offset.bytes, &n.bytes});
}

}  // namespace

Bytes package_length(size_t payload) {
  for (unsigned size = 1; size < 4; size++) {
    if (length_fits(payload + size, size)) return encode_length(payload + size, size);
  }
  assert(length_fits(payload + 4, 4));
  return encode_length(payload + 4, 4);
}

Term named(std::string_view path) {
  Term t;
  while (!path.empty() && (path[0] == kRoot || path[0] == kParent)) {
    t.bytes.push_back(static_cast<uint8_t>(path[0]));
    path.remove_prefix(1);
  }
  std::vector<std::string_view> segs = split_segments(path);
  assert(segs.size() < 256);
  if (segs.empty()) t.bytes.push_back(0);
  if (segs.size() == 2) t.bytes.push_back(kDualName);
  if (segs.size() > 2) {
    t.bytes.push_back(kMultiName);
    t.bytes.push_back(static_cast<uint8_t>(segs.size()));
  }
  for (std::string_view s : segs) append_segment(t.bytes, s);
  return t;
}

Term num32(uint32_t value) {
  return {ByteBuffer().u8(kDword).le(value, 4).take()};
}

Term num(uint64_t value) {
  if (value == 0) return {{kZero}};
  if (value == 1) return {{kOne}};
  ByteBuffer b;
  if (value <= 0xff) {
    b.u8(kByte).le(value, 1);
  } else if (value <= 0xffff) {
    b.u8(kWord).le(value, 2);
  } else if (value <= 0xffff'ffff) {
    b.u8(kDword).le(value, 4);
  } else {
    b.u8(kQword).le(value, 8);
  }
  return {b.take()};
}

Term ones() {
  return {{kOnes}};
}

Term str(std::string_view text) {
  return {ByteBuffer().u8(kString).text(text).u8(0).take()};
}

Term buffer(std::span<const uint8_t> data) {
  Bytes payload = num(data.size()).bytes;
  payload.insert(payload.end(), data.begin(), data.end());
  return packaged({kBuffer}, payload);
}

Term package(const TermList& elements) {
  assert(elements.count() < 256);
  Bytes payload{static_cast<uint8_t>(elements.count())};
  append(payload, elements.bytes());
  return packaged({kPackage}, payload);
}

// Three five-bit letters, then four hex digits, stored big-endian (19.6.36).
Term eisaid(std::string_view id) {
  assert(id.size() == 7);
  uint32_t v = 0;
  for (size_t i = 0; i < 3; i++) v = v << 5 | static_cast<uint32_t>(id[i] - 0x40);
  for (size_t i = 3; i < 7; i++) v = v << 4 | hex_digit(id[i]);
  ByteBuffer b;
  b.u8(kDword).be(v, 4);
  return {b.take()};
}

// The first three groups are little-endian in the buffer (19.6.142).
Term uuid(std::string_view text) {
  static constexpr std::array<uint8_t, 16> kOrder = {6,  4,  2,  0,  11, 9,  16, 14,
                                                     19, 21, 24, 26, 28, 30, 32, 34};
  assert(text.size() == 36);
  Bytes out;
  for (uint8_t at : kOrder) {
    out.push_back(static_cast<uint8_t>(hex_digit(text[at]) << 4 | hex_digit(text[at + 1u])));
  }
  return buffer(out);
}

Term arg(unsigned n) {
  assert(n < 7);
  return {{static_cast<uint8_t>(kArg0 + n)}};
}

Term local(unsigned n) {
  assert(n < 8);
  return {{static_cast<uint8_t>(kLocal0 + n)}};
}

Term name(std::string_view path, const Term& value) {
  Term n = named(path);
  return join({kName}, {&n.bytes, &value.bytes});
}

Term alias(std::string_view source, std::string_view path) {
  Term s = named(source), n = named(path);
  return join({kAlias}, {&s.bytes, &n.bytes});
}

Term scope(std::string_view path, const TermList& body) {
  Bytes payload = named(path).bytes;
  append(payload, body.bytes());
  return packaged({kScope}, payload);
}

Term device(std::string_view path, const TermList& body) {
  Bytes payload = named(path).bytes;
  append(payload, body.bytes());
  return packaged({kExtended, kDevice}, payload);
}

Term method(std::string_view path, unsigned args, Serialize serialize, const TermList& body) {
  assert(args < 8);
  Bytes payload = named(path).bytes;
  payload.push_back(static_cast<uint8_t>(args | static_cast<unsigned>(serialize) << 3));
  append(payload, body.bytes());
  return packaged({kMethod}, payload);
}

Term mutex(std::string_view path, unsigned sync_level) {
  assert(sync_level < 16);
  Bytes n = named(path).bytes;
  n.push_back(static_cast<uint8_t>(sync_level));
  return join({kExtended, kMutex}, {&n});
}

Term operation_region(std::string_view path, Space space, const Term& offset, const Term& length) {
  Bytes n = named(path).bytes;
  n.push_back(static_cast<uint8_t>(space));
  return join({kExtended, kOpRegion}, {&n, &offset.bytes, &length.bytes});
}

Term field(std::string_view region, Access access, Lock lock, Update update,
           const std::vector<FieldBits>& fields) {
  Bytes payload = named(region).bytes;
  payload.push_back(field_flags(access, lock, update));
  append_fields(payload, fields);
  return packaged({kExtended, kField}, payload);
}

Term index_field(std::string_view index, std::string_view data, Access access, Lock lock, Update update,
                 const std::vector<FieldBits>& fields) {
  Bytes payload = named(index).bytes;
  append(payload, named(data).bytes);
  payload.push_back(field_flags(access, lock, update));
  append_fields(payload, fields);
  return packaged({kExtended, kIndexField}, payload);
}

Term create_field(const Term& source, const Term& bit, const Term& bit_count, std::string_view path) {
  Term n = named(path);
  return join({kExtended, kCreateField}, {&source.bytes, &bit.bytes, &bit_count.bytes, &n.bytes});
}

Term create_bit_field(const Term& s, const Term& at, std::string_view p) {
  return create_in(kCreateBit, s, at, p);
}
Term create_byte_field(const Term& s, const Term& at, std::string_view p) {
  return create_in(kCreateByte, s, at, p);
}
Term create_word_field(const Term& s, const Term& at, std::string_view p) {
  return create_in(kCreateWord, s, at, p);
}
Term create_dword_field(const Term& s, const Term& at, std::string_view p) {
  return create_in(kCreateDword, s, at, p);
}
Term create_qword_field(const Term& s, const Term& at, std::string_view p) {
  return create_in(kCreateQword, s, at, p);
}

Term if_(const Term& predicate, const TermList& body) {
  Bytes payload = predicate.bytes;
  append(payload, body.bytes());
  return packaged({kIf}, payload);
}

Term else_(const TermList& body) {
  return packaged({kElse}, body.bytes());
}

Term while_(const Term& predicate, const TermList& body) {
  Bytes payload = predicate.bytes;
  append(payload, body.bytes());
  return packaged({kWhile}, payload);
}

Term break_() {
  return {{kBreak}};
}
Term return_(const Term& value) {
  return join({kReturn}, {&value.bytes});
}
Term notify(const Term& object, const Term& value) {
  return join({kNotify}, {&object.bytes, &value.bytes});
}

Term call(std::string_view path, const TermList& args) {
  Term n = named(path);
  return join({}, {&n.bytes, &args.bytes()});
}

Term acquire(std::string_view mutex_path, uint16_t timeout_ms) {
  Bytes n = named(mutex_path).bytes;
  n.push_back(static_cast<uint8_t>(timeout_ms));
  n.push_back(static_cast<uint8_t>(timeout_ms >> 8));
  return join({kExtended, kAcquire}, {&n});
}

Term release(std::string_view mutex_path) {
  Bytes n = named(mutex_path).bytes;
  return join({kExtended, kRelease}, {&n});
}

Term sleep(const Term& milliseconds) {
  return join({kExtended, kSleep}, {&milliseconds.bytes});
}

Term store(const Term& value, const Term& target) {
  return join({kStore}, {&value.bytes, &target.bytes});
}
Term add(const Term& a, const Term& b, const Term& t) {
  return with_target(kAdd, {&a, &b}, t);
}
Term subtract(const Term& a, const Term& b, const Term& t) {
  return with_target(kSubtract, {&a, &b}, t);
}
Term multiply(const Term& a, const Term& b, const Term& t) {
  return with_target(kMultiply, {&a, &b}, t);
}
Term and_(const Term& a, const Term& b, const Term& t) {
  return with_target(kAnd, {&a, &b}, t);
}
Term or_(const Term& a, const Term& b, const Term& t) {
  return with_target(kOr, {&a, &b}, t);
}
Term xor_(const Term& a, const Term& b, const Term& t) {
  return with_target(kXor, {&a, &b}, t);
}
Term not_(const Term& a, const Term& t) {
  return with_target(kNot, {&a}, t);
}
Term shift_left(const Term& a, const Term& n, const Term& t) {
  return with_target(kShiftLeft, {&a, &n}, t);
}
Term shift_right(const Term& a, const Term& n, const Term& t) {
  return with_target(kShiftRight, {&a, &n}, t);
}
Term find_set_right_bit(const Term& a, const Term& t) {
  return with_target(kFindSetRight, {&a}, t);
}
Term find_set_left_bit(const Term& a, const Term& t) {
  return with_target(kFindSetLeft, {&a}, t);
}
Term increment(const Term& target) {
  return join({kIncrement}, {&target.bytes});
}
Term decrement(const Term& target) {
  return join({kDecrement}, {&target.bytes});
}
Term index(const Term& source, const Term& i, const Term& t) {
  return with_target(kIndex, {&source, &i}, t);
}
Term deref_of(const Term& reference) {
  return join({kDerefOf}, {&reference.bytes});
}
Term size_of(const Term& object) {
  return join({kSizeOf}, {&object.bytes});
}
Term to_integer(const Term& object, const Term& t) {
  return with_target(kToInteger, {&object}, t);
}
Term to_buffer(const Term& object, const Term& t) {
  return with_target(kToBuffer, {&object}, t);
}
Term concatenate(const Term& a, const Term& b, const Term& t) {
  return with_target(kConcat, {&a, &b}, t);
}
Term equal(const Term& a, const Term& b) {
  return join({kLequal}, {&a.bytes, &b.bytes});
}
Term less(const Term& a, const Term& b) {
  return join({kLless}, {&a.bytes, &b.bytes});
}
Term greater(const Term& a, const Term& b) {
  return join({kLgreater}, {&a.bytes, &b.bytes});
}
Term logical_not(const Term& a) {
  return join({kLnot}, {&a.bytes});
}
Term logical_and(const Term& a, const Term& b) {
  return join({kLand}, {&a.bytes, &b.bytes});
}
Term logical_or(const Term& a, const Term& b) {
  return join({kLor}, {&a.bytes, &b.bytes});
}

}  // namespace rhea::aml
