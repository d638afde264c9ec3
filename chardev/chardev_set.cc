#include "chardev/chardev_set.h"

#include <fcntl.h>
#include <signal.h>

#include <algorithm>

#include "chardev/backends.h"
#include "util/str.h"

namespace rhea {

namespace {

struct Backend {
  std::string_view name;
  ChardevResult (*create)(ChardevRequest&);
};
constexpr Backend kBackends[] = {
    {"file", create_file}, {"memory", create_ringbuf},  {"null", create_null},     {"pipe", create_pipe},
    {"pty", create_pty},   {"ringbuf", create_ringbuf}, {"socket", create_socket}, {"stdio", create_stdio},
};

/// Known elsewhere, absent here: said in so many words.
constexpr std::string_view kAbsent[] = {"vc",      "udp",      "serial",      "tty",       "parallel",
                                        "parport", "braille",  "spicevmc",    "spiceport", "dbus",
                                        "msmouse", "wctablet", "qemu-vdagent"};

Result<const Backend*> find_backend(std::string_view name) {
  for (const Backend& backend : kBackends)
    if (backend.name == name) return &backend;
  if (std::ranges::find(kAbsent, name) != std::end(kAbsent))
    return fail(ENOTSUP, "chardev backend '", name, "' is not supported: use ",
                "stdio, pty, socket, file, pipe, ringbuf or null");
  return fail(EINVAL, "'", name, "' is not a valid char driver name");
}

Result<UniqueFd> open_log(CharOptions& options) {
  const std::string path = options.take("logfile");
  const bool append = TRY(options.take_bool("logappend", false));
  if (path.empty()) return UniqueFd();
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0666));
  if (!fd) return fail_errno(errno, "Unable to open logfile ", path);
  return fd;
}

Result<> check_label(std::string_view label) {
  if (is_wellformed_id(label)) return {};
  return Failure(
      Error(EINVAL, "Parameter 'id' expects an identifier")
          .with_hint("Identifiers consist of letters, digits, '-', '.', '_', starting with a letter."));
}

void add_info(std::vector<ChardevState>& out, const Chardev& c) {
  out.push_back({c.label(), c.filename(), c.frontend_open()});
}

}  // namespace

ChardevSet::ChardevSet(AioContext& loop, ChardevSettings settings)
    : loop_(loop), settings_(std::move(settings)) {
  signal(SIGPIPE, SIG_IGN);  // a reader that went away is an error of write(), not of the process
}

ChardevSet::~ChardevSet() = default;

Result<Chardev*> ChardevSet::add(std::string_view text) {
  CharOptions options = TRY(CharOptions::parse(text));
  const std::string label = options.take("id");
  if (options.backend().empty()) return fail(EINVAL, "chardev: \"", label, "\" missing backend");
  if (label.empty()) return fail(EINVAL, "chardev: no id specified");
  TRY(check_label(label));
  return create(label, std::move(options));
}

Result<Chardev*> ChardevSet::add_legacy(std::string_view label, std::string_view spec) {
  if (spec == "none") return nullptr;
  if (spec.starts_with("chardev:")) return get(spec.substr(8));
  CharOptions options = TRY(CharOptions::parse_legacy(spec));
  return create(label, std::move(options));
}

Result<Chardev*> ChardevSet::create(std::string_view label, CharOptions options) {
  if (find(label) != nullptr) return fail(EEXIST, "Duplicate ID '", label, "' for chardev");
  const Backend* backend = TRY(find_backend(options.backend()));
  const bool mux = TRY(options.take_bool("mux", false));
  UniqueFd log = TRY(open_log(options));
  ChardevRequest request{mux ? str_cat(label, "-base") : std::string(label), loop_, settings_, options};
  if (mux && find(request.label) != nullptr)
    return fail(EEXIST, "Duplicate ID '", request.label, "' for chardev");
  auto chardev = TRY(backend->create(request));
  TRY(options.check_all_taken());
  if (log) chardev->set_log(std::move(log));
  if (mux) chardev = create_mux(std::string(label), std::move(chardev), settings_);
  chardevs_.push_back(std::move(chardev));
  return chardevs_.back().get();
}

Chardev* ChardevSet::find(std::string_view label) const {
  for (const auto& c : chardevs_) {
    if (c->label() == label) return c.get();
    Chardev* base = mux_base(*c);
    if (base != nullptr && base->label() == label) return base;
  }
  return nullptr;
}

Result<Chardev*> ChardevSet::get(std::string_view label) const {
  if (Chardev* c = find(label)) return c;
  return fail(ENOENT, "Chardev '", label, "' not found");
}

Result<> ChardevSet::remove(std::string_view label) {
  const auto it = std::ranges::find_if(chardevs_, [&](const auto& c) { return c->label() == label; });
  if (it == chardevs_.end()) return fail(ENOENT, "Chardev '", label, "' not found");
  if ((*it)->in_use()) return fail(EBUSY, "Chardev '", label, "' is busy");
  chardevs_.erase(it);
  return {};
}

std::vector<ChardevState> ChardevSet::snapshot() const {
  std::vector<ChardevState> out;
  for (const auto& c : chardevs_) {
    add_info(out, *c);
    if (const Chardev* base = mux_base(*c)) add_info(out, *base);
  }
  return out;
}

std::vector<std::string_view> ChardevSet::backends() {
  std::vector<std::string_view> names;
  for (const Backend& backend : kBackends) names.push_back(backend.name);
  names.push_back("mux");
  std::ranges::sort(names);
  return names;
}

std::string ChardevSet::backends_help() {
  std::string out = "Available chardev backend types: \n";
  for (std::string_view name : backends())
    if (name != "mux") str_append(out, "  ", name, "\n");
  return out;
}

}  // namespace rhea
