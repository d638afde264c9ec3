// AML, the byte code of ACPI definition blocks: typed building blocks that compose by value.
// Spec: ACPI 6.4, section 20 (ACPI Machine Language).
//
// Every function returns the encoding of one term; a list of terms becomes the body of a Scope,
// Device, Method, If ... Names and arguments come from our own code, never from a guest: a malformed
// name is a programming error and is asserted.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "util/byte_buffer.h"

namespace rhea::aml {

// The encoding of one AML term. Plain value; copying copies the bytes.
struct Term {
  Bytes bytes;
};

// A sequence of terms, in order: the body of a container.
class TermList {
 public:
  TermList() = default;
  TermList(std::initializer_list<Term> terms) {  // NOLINT: a braced list is the body
    for (const Term& t : terms) add(t);
  }
  TermList& add(const Term& t) {
    bytes_.insert(bytes_.end(), t.bytes.begin(), t.bytes.end());
    count_++;
    return *this;
  }
  TermList& add(const TermList& more) {
    bytes_.insert(bytes_.end(), more.bytes_.begin(), more.bytes_.end());
    count_ += more.count_;
    return *this;
  }
  const Bytes& bytes() const { return bytes_; }
  size_t count() const { return count_; }

 private:
  Bytes bytes_;
  size_t count_ = 0;
};

// --- Names and data (20.2.2, 20.2.3) ---------------------------------------------------------
Term named(std::string_view path);  // "\\_SB.PCI0", "^ISA.PRQ0", "LNKA"; short segments are padded
Term num(uint64_t value);           // the shortest integer encoding
Term num32(uint32_t value);         // always four bytes long, for the linker to patch
Term ones();                        // all bits set, whatever the integer width
Term str(std::string_view text);    // ASCII, 1 to 0x7f
Term buffer(std::span<const uint8_t> data);
Term package(const TermList& elements);  // at most 255 elements
Term eisaid(std::string_view id);        // "PNP0A03" compressed to an integer
Term uuid(std::string_view text);        // ToUUID("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
Term arg(unsigned n);                    // Arg0 to Arg6
Term local(unsigned n);                  // Local0 to Local7

// --- Named objects and namespace modifiers (20.2.5.1, 20.2.5.2) --------------------------------
Term name(std::string_view path, const Term& value);
Term alias(std::string_view source, std::string_view path);
Term scope(std::string_view path, const TermList& body);
Term device(std::string_view path, const TermList& body);
enum class Serialize : uint8_t { kNo = 0, kYes = 1 };
Term method(std::string_view path, unsigned args, Serialize serialize, const TermList& body);
Term mutex(std::string_view path, unsigned sync_level);

enum class Space : uint8_t { kMemory = 0, kIo = 1, kPciConfig = 2, kEmbedded = 3, kSmbus = 4, kCmos = 5 };
Term operation_region(std::string_view path, Space space, const Term& offset, const Term& length);

enum class Access : uint8_t { kAny = 0, kByte = 1, kWord = 2, kDword = 3, kQword = 4, kBuffer = 5 };
enum class Lock : uint8_t { kNo = 0, kYes = 1 };
enum class Update : uint8_t { kPreserve = 0, kWriteAsOnes = 1, kWriteAsZeros = 2 };
struct FieldBits {
  std::string_view name;  // empty: reserved bits
  uint32_t bits;
};
Term field(std::string_view region, Access access, Lock lock, Update update,
           const std::vector<FieldBits>& fields);
Term index_field(std::string_view index, std::string_view data, Access access, Lock lock, Update update,
                 const std::vector<FieldBits>& fields);
Term create_field(const Term& source, const Term& bit, const Term& bit_count, std::string_view path);
Term create_bit_field(const Term& source, const Term& bit, std::string_view path);
Term create_byte_field(const Term& source, const Term& offset, std::string_view path);
Term create_word_field(const Term& source, const Term& offset, std::string_view path);
Term create_dword_field(const Term& source, const Term& offset, std::string_view path);
Term create_qword_field(const Term& source, const Term& offset, std::string_view path);

// --- Statements (20.2.5.3) ---------------------------------------------------------------------
Term if_(const Term& predicate, const TermList& body);
Term else_(const TermList& body);  // directly after an if_
Term while_(const Term& predicate, const TermList& body);
Term break_();
Term return_(const Term& value);
Term notify(const Term& object, const Term& value);
Term call(std::string_view path, const TermList& args);
Term acquire(std::string_view mutex_path, uint16_t timeout_ms);  // 0xffff waits for ever
Term release(std::string_view mutex_path);
Term sleep(const Term& milliseconds);

// --- Expressions (20.2.5.4); an absent target leaves the result to the surrounding term ---------
Term store(const Term& value, const Term& target);
Term add(const Term& a, const Term& b, const Term& target = {});
Term subtract(const Term& a, const Term& b, const Term& target = {});
Term multiply(const Term& a, const Term& b, const Term& target = {});
Term and_(const Term& a, const Term& b, const Term& target = {});
Term or_(const Term& a, const Term& b, const Term& target = {});
Term xor_(const Term& a, const Term& b, const Term& target = {});
Term not_(const Term& a, const Term& target = {});
Term shift_left(const Term& a, const Term& count, const Term& target = {});
Term shift_right(const Term& a, const Term& count, const Term& target = {});
Term find_set_right_bit(const Term& a, const Term& target = {});
Term find_set_left_bit(const Term& a, const Term& target = {});
Term increment(const Term& target);
Term decrement(const Term& target);
Term index(const Term& source, const Term& i, const Term& target = {});
Term deref_of(const Term& reference);
Term size_of(const Term& object);
Term to_integer(const Term& object, const Term& target = {});
Term to_buffer(const Term& object, const Term& target = {});
Term concatenate(const Term& a, const Term& b, const Term& target = {});
Term equal(const Term& a, const Term& b);
Term less(const Term& a, const Term& b);
Term greater(const Term& a, const Term& b);
Term logical_not(const Term& a);
Term logical_and(const Term& a, const Term& b);
Term logical_or(const Term& a, const Term& b);

// A PkgLength for `payload` following bytes, itself included (20.2.4). Exposed for tests.
Bytes package_length(size_t payload);

}  // namespace rhea::aml
