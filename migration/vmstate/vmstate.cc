#include "migration/vmstate/vmstate.h"

#include <cstring>

namespace rhea {

namespace {

constexpr uint8_t kSubsectionMark = 0x05;  // QEMU_VM_SUBSECTION

bool field_present(const VMStateField& f, const void* object, int version) {
  return f.since_version <= version && (f.exists == nullptr || f.exists(object, version));
}

const VMState* find_subsection(const VMState& vms, std::string_view name) {
  for (const VMState* sub : vms.subsections)
    if (sub->name == name) return sub;
  return nullptr;
}

Result<> load_subsections(const VMState& vms, void* object, StateReader& in) {
  while (in.peek() == kSubsectionMark) {
    const int length = in.peek(1);
    const std::string_view name =
        length < 0 ? std::string_view() : in.peek_text(2, static_cast<size_t>(length));
    // A subsection's name begins with its owner's; another one belongs to an enclosing description.
    if (!name.starts_with(vms.name)) return {};
    const VMState* sub = find_subsection(vms, name);
    if (sub == nullptr) return fail(ENOENT, vms.name, ": unknown subsection '", name, "'");
    std::string copy(name);
    in.get_u8();
    in.get_u8();
    for (size_t i = 0; i < copy.size(); ++i) in.get_u8();
    const uint32_t version = in.get_be32();
    if (version > INT32_MAX) return fail(EINVAL, copy, ": bad version ", version);
    TRY(vmstate_load(*sub, object, in, static_cast<int>(version)));
  }
  return {};
}

}  // namespace

void StateReader::get_bytes(std::span<uint8_t> out) {
  if (left() < out.size()) {
    ok_ = false;
    at_ = in_.size();
    std::memset(out.data(), 0, out.size());
    return;
  }
  if (out.empty()) return;
  std::memcpy(out.data(), in_.data() + at_, out.size());
  at_ += out.size();
}

std::string_view StateReader::peek_text(size_t ahead, size_t bytes) const {
  if (left() < ahead + bytes) return {};
  return {reinterpret_cast<const char*>(in_.data()) + at_ + ahead, bytes};
}

void vmstate_save(const VMState& vms, void* object, StateWriter& out) {
  if (vms.pre_save != nullptr) vms.pre_save(object);
  for (const auto& f : vms.fields)
    if (field_present(f, object, vms.version)) f.save(object, out, f);
  for (const VMState* sub : vms.subsections) {
    if (sub->needed != nullptr && !sub->needed(object)) continue;
    const std::string_view name = sub->name;
    out.put_u8(kSubsectionMark);
    out.put_u8(static_cast<uint8_t>(name.size()));
    out.put_bytes({reinterpret_cast<const uint8_t*>(name.data()), name.size()});
    out.put_be32(static_cast<uint32_t>(sub->version));
    vmstate_save(*sub, object, out);
  }
}

Result<> vmstate_load(const VMState& vms, void* object, StateReader& in, int version) {
  if (version > vms.version)
    return fail(EINVAL, vms.name, ": incoming version ", version, " is too new for local version ",
                vms.version);
  const int oldest = vms.minimum_version != 0 ? vms.minimum_version : vms.version;
  if (version < oldest)
    return fail(EINVAL, vms.name, ": incoming version ", version, " is too old for local minimum version ",
                oldest);
  if (vms.pre_load != nullptr) TRY(vms.pre_load(object));
  for (const auto& f : vms.fields) {
    if (!field_present(f, object, version)) continue;
    Result<> r = f.load(object, in, f, version);
    if (!in.ok()) return fail(EINVAL, vms.name, ": stream ends in field '", f.name, "'");
    if (!r) return Failure(std::move(r).error().prepend(str_cat(vms.name, "/", f.name, ": ")));
  }
  TRY(load_subsections(vms, object, in));
  if (vms.post_load == nullptr) return {};
  Result<> r = vms.post_load(object, version);
  if (!r) return Failure(std::move(r).error().prepend(str_cat(vms.name, ": ")));
  return {};
}

}  // namespace rhea
