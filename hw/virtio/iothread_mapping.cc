#include "hw/virtio/iothread_mapping.h"

#include <algorithm>

namespace rhea {

namespace {

constexpr size_t kUnassigned = SIZE_MAX;

Result<std::vector<uint16_t>> parse_vqs(const Json& value) {
  if (!value.is_array()) return fail(EINVAL, "Invalid parameter type for 'vqs', expected: array");
  std::vector<uint16_t> vqs;
  for (const Json& number : value.as_array()) {
    if (!number.is_uint()) return fail(EINVAL, "Invalid parameter type for 'vqs', expected: integer");
    if (number.as_uint() > UINT16_MAX) return fail(EINVAL, "Parameter 'vqs' expects uint16_t");
    vqs.push_back(static_cast<uint16_t>(number.as_uint()));
  }
  return vqs;
}

Result<IoThreadMapping::Entry> parse_entry(std::string_view name, const Json& value) {
  if (!value.is_object()) return fail(EINVAL, "Invalid parameter type for '", name, "', expected: object");
  IoThreadMapping::Entry entry;
  bool named = false;
  for (const auto& [key, member] : value.as_object()) {
    if (key == "vqs") {
      entry.vqs = TRY(parse_vqs(member));
    } else if (key == "iothread" && member.is_string()) {
      entry.iothread = member.as_string();
      named = true;
    } else if (key == "iothread") {
      return fail(EINVAL, "Invalid parameter type for 'iothread', expected: string");
    } else {
      return fail(EINVAL, "Parameter '", key, "' is unexpected");
    }
  }
  if (!named) return fail(EINVAL, "Parameter 'iothread' is missing");
  return entry;
}

std::shared_ptr<IoThread> find_thread(std::string_view id) {
  Object* const found = qom_root().container("/objects").child(id);
  return found != nullptr ? std::dynamic_pointer_cast<IoThread>(found->shared_from_this()) : nullptr;
}

}  // namespace

Result<IoThreadMapping> IoThreadMapping::parse(std::string_view name, const Json& value) {
  if (!value.is_array()) return fail(EINVAL, "Invalid parameter type for '", name, "', expected: array");
  IoThreadMapping mapping;
  for (const Json& entry : value.as_array()) mapping.entries.push_back(TRY(parse_entry(name, entry)));
  return mapping;
}

Json IoThreadMapping::to_json() const {
  Json list = Json::array();
  for (const Entry& entry : entries) {
    Json object = Json::object({{"iothread", entry.iothread}});
    if (entry.vqs) {
      Json vqs = Json::array();
      for (const uint16_t vq : *entry.vqs) vqs.as_array().emplace_back(static_cast<int64_t>(vq));
      object.set("vqs", std::move(vqs));
    }
    list.as_array().push_back(std::move(object));
  }
  return list;
}

Result<AppliedMapping> apply_mapping(const IoThreadMapping& mapping, uint16_t queues) {
  AppliedMapping out;
  out.thread_of.assign(queues, kUnassigned);
  for (const IoThreadMapping::Entry& entry : mapping.entries) {
    std::shared_ptr<IoThread> thread = find_thread(entry.iothread);
    if (thread == nullptr) return fail(EINVAL, "IOThread \"", entry.iothread, "\" object does not exist");
    if (std::ranges::find(out.threads, thread) != out.threads.end())
      return fail(EINVAL, "duplicate IOThread name \"", entry.iothread, "\" in iothread-vq-mapping");
    if (entry.vqs.has_value() != mapping.entries.front().vqs.has_value())
      return fail(EINVAL,
                  "either all items in iothread-vq-mapping must have vqs or none of them must have it");
    for (const uint16_t vq : entry.vqs.value_or(std::vector<uint16_t>())) {
      if (vq >= queues)
        return fail(EINVAL, "vq index ", vq, " for IOThread \"", entry.iothread,
                    "\" must be less than num_queues ", queues, " in iothread-vq-mapping");
      if (out.thread_of[vq] != kUnassigned)
        return fail(EINVAL, "cannot assign vq ", vq, " to IOThread \"", entry.iothread,
                    "\" because it is already assigned");
      out.thread_of[vq] = out.threads.size();
    }
    out.threads.push_back(std::move(thread));
  }
  const bool shared_out = !mapping.entries.front().vqs.has_value();
  for (size_t vq = 0; vq < queues; ++vq) {
    if (shared_out) out.thread_of[vq] = vq % out.threads.size();
    if (out.thread_of[vq] == kUnassigned)
      return fail(EINVAL, "missing vq ", vq, " IOThread assignment in iothread-vq-mapping");
  }
  return out;
}

}  // namespace rhea
