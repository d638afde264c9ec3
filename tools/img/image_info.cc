#include "tools/img/image_info.h"

#include <cinttypes>
#include <cstdio>
#include <ctime>

#include "block/graph/node_opener.h"

namespace rhea::img {

namespace {

CoResult<uint64_t> co_allocated(BlockDriverState& node) {
  co_return co_await node.co_allocated_size();
}
CoResult<ImageDetails> co_details(BlockDriverState& node) {
  co_return co_await node.co_details();
}

std::string vm_clock_text(uint64_t ns) {
  const uint64_t s = ns / 1'000'000'000;
  char text[64];
  std::snprintf(text, sizeof text, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ".%03" PRIu64, s / 3600,
                s / 60 % 60, s % 60, ns / 1'000'000 % 1000);
  return text;
}

std::string date_text(uint32_t seconds) {
  const time_t at = seconds;
  struct tm tm = {};
  localtime_r(&at, &tm);
  char text[64];
  strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
  return text;
}

void add_value(std::string& out, const std::string& indent, std::string name, const Json& value) {
  for (char& c : name)
    if (c == '-') c = ' ';
  if (value.is_object()) {
    str_append(out, indent, name, ":\n");
    for (const auto& [key, member] : value.as_object()) add_value(out, indent + "    ", key, member);
  } else if (value.is_array()) {
    str_append(out, indent, name, ":\n");
    size_t i = 0;
    for (const Json& item : value.as_array()) {
      if (item.is_object()) {
        str_append(out, indent, "    [", i++, "]:\n");
        for (const auto& [key, member] : item.as_object()) add_value(out, indent + "        ", key, member);
      } else {
        str_append(out, indent, "    [", i++, "]: ", item.is_string() ? item.as_string() : item.dump(), "\n");
      }
    }
  } else {
    str_append(out, indent, name, ": ", value.is_string() ? value.as_string() : value.dump(), "\n");
  }
}

}  // namespace

Result<ImageReport> describe(Tool& tool, ToolImage& image) {
  BlockDriverState& node = image.node();
  ImageReport r;
  r.filename = node.filename();
  r.format = std::string(node.driver().name);
  r.virtual_bytes = node.total_bytes();
  if (Result<uint64_t> bytes = tool.run(co_allocated(node)); bytes) r.actual_bytes = *bytes;
  r.details = TRY(tool.run(co_details(node)));
  r.backing_name = node.backing_name().file;
  r.backing_format = node.backing_name().format;
  if (!r.backing_name.empty())
    if (Result<std::string> full = resolve_backing_name(node.filename(), r.backing_name); full)
      r.full_backing_name = *full;
  return r;
}

Json to_json(const ImageReport& r) {
  Json out = Json::object();
  if (!r.details.snapshots.empty()) {
    Json list = Json::array();
    for (const ImageSnapshot& s : r.details.snapshots) {
      Json item = Json::object();
      if (s.icount != UINT64_MAX) item.set("icount", s.icount);
      item.set("vm-clock-nsec", s.vm_clock_ns % 1'000'000'000);
      item.set("name", s.name);
      item.set("date-sec", s.date_s);
      item.set("date-nsec", s.date_ns);
      item.set("vm-clock-sec", s.vm_clock_ns / 1'000'000'000);
      item.set("id", s.id);
      item.set("vm-state-size", s.vm_state_bytes);
      list.push_back(std::move(item));
    }
    out.set("snapshots", std::move(list));
  }
  if (!r.backing_format.empty()) out.set("backing-filename-format", r.backing_format);
  out.set("virtual-size", r.virtual_bytes);
  out.set("filename", r.filename);
  if (r.details.cluster_bytes != 0) out.set("cluster-size", r.details.cluster_bytes);
  out.set("format", r.format);
  if (r.actual_bytes) out.set("actual-size", *r.actual_bytes);
  if (r.details.encrypted) out.set("encrypted", true);
  if (r.details.compressed) out.set("compressed", true);
  if (!r.details.specific.is_null()) out.set("format-specific", r.details.specific);
  if (!r.full_backing_name.empty()) out.set("full-backing-filename", r.full_backing_name);
  if (!r.backing_name.empty()) out.set("backing-filename", r.backing_name);
  out.set("dirty-flag", r.details.dirty);
  return out;
}

std::string snapshot_list(const std::vector<ImageSnapshot>& snapshots) {
  std::string out = "Snapshot list:\n";
  char line[512];
  std::snprintf(line, sizeof line, "%-10s%-17s%8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK",
                "ICOUNT");
  out += line;
  for (const ImageSnapshot& s : snapshots) {
    const std::string icount = s.icount == UINT64_MAX ? std::string() : str_cat(s.icount);
    std::snprintf(line, sizeof line, "%-9s %-16s %8s%20s%13s%11s\n", s.id.c_str(), s.name.c_str(),
                  size_text(s.vm_state_bytes).c_str(), date_text(s.date_s).c_str(),
                  vm_clock_text(s.vm_clock_ns).c_str(), icount.c_str());
    out += line;
  }
  return out;
}

std::string specific_text(const Json& specific) {
  const Json* data = specific.is_object() ? specific.find("data") : nullptr;
  std::string out;
  if (data == nullptr || !data->is_object()) return out;
  for (const auto& [key, member] : data->as_object()) add_value(out, "    ", key, member);
  return out;
}

std::string to_text(const ImageReport& r) {
  std::string out =
      str_cat("image: ", r.filename, "\nfile format: ", r.format,
              "\nvirtual size: ", size_text(r.virtual_bytes), " (", r.virtual_bytes,
              " bytes)\ndisk size: ", r.actual_bytes ? size_text(*r.actual_bytes) : "unavailable", "\n");
  if (r.details.encrypted) out += "encrypted: yes\n";
  if (r.details.cluster_bytes != 0) str_append(out, "cluster_size: ", r.details.cluster_bytes, "\n");
  if (r.details.dirty) out += "cleanly shut down: no\n";
  if (!r.backing_name.empty()) {
    str_append(out, "backing file: ", r.backing_name);
    if (r.full_backing_name.empty())
      out += " (cannot determine actual path)";
    else if (r.full_backing_name != r.backing_name)
      str_append(out, " (actual path: ", r.full_backing_name, ")");
    out += "\n";
    if (!r.backing_format.empty()) str_append(out, "backing file format: ", r.backing_format, "\n");
  }
  if (!r.details.snapshots.empty()) out += snapshot_list(r.details.snapshots);
  if (const std::string specific = specific_text(r.details.specific); !specific.empty())
    str_append(out, "Format specific information:\n", specific);
  return out;
}

}  // namespace rhea::img
