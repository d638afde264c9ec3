#include "chardev/chardev_set.h"

#include <fcntl.h>
#include <signal.h>

#include <algorithm>

#include "chardev/backends.h"
#include "util/fdset.h"
#include "util/log.h"
#include "util/str.h"

namespace rhea {

namespace {

struct Backend {
  std::string_view name;
  ChardevResult (*create)(ChardevRequest&);
};
constexpr Backend kBackends[] = {
    {"file", create_file},     {"memory", create_ringbuf}, {"null", create_null},
    {"pipe", create_pipe},     {"pty", create_pty},        {"ringbuf", create_ringbuf},
    {"serial", create_serial}, {"socket", create_socket},  {"stdio", create_stdio},
    {"udp", create_udp},
};

/// Known elsewhere, absent here: said in so many words.
constexpr std::string_view kAbsent[] = {"vc",   "console", "parallel", "braille",  "spicevmc",    "spiceport",
                                        "dbus", "msmouse", "testdev",  "wctablet", "qemu-vdagent"};

/// Other names of old.
std::string_view resolve_alias(std::string_view name) {
  std::string_view now;
  if (name == "tty") now = "serial";
  if (name == "parport") now = "parallel";
  if (now.empty()) return name;
  warn_report(str_cat("The alias '", name, "' is deprecated, use '", now, "' instead"));
  return now;
}

Result<const Backend*> find_backend(std::string_view name) {
  name = resolve_alias(name);
  for (const Backend& backend : kBackends)
    if (backend.name == name) return &backend;
  if (std::ranges::find(kAbsent, name) != std::end(kAbsent))
    return fail(ENOTSUP, "chardev backend '", name, "' is not supported: use ",
                "stdio, pty, socket, udp, serial, file, pipe, ringbuf or null");
  return fail(EINVAL, "'", name, "' is not a valid char driver name");
}

Result<UniqueFd> open_log(CharOptions& options) {
  const std::string path = options.take("logfile");
  const bool append = TRY(options.take_bool("logappend", false));
  if (path.empty()) return UniqueFd();
  UniqueFd fd(open_file(path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC)));
  if (!fd) return fail_errno(errno, "Could not create '", path, "'");
  return fd;
}

Result<> check_label(std::string_view label) {
  if (is_wellformed_id(label)) return {};
  return Failure(
      Error(EINVAL, "Parameter 'id' expects an identifier")
          .with_hint("Identifiers consist of letters, digits, '-', '.', '_', starting with a letter."));
}

}  // namespace

ChardevSet::ChardevSet(AioContext& loop, ChardevSettings settings, Object* container)
    : loop_(loop), container_(container), settings_(std::move(settings)) {
  signal(SIGPIPE, SIG_IGN);  // a reader that went away is an error of write(), not of the process
}

ChardevSet::~ChardevSet() {
  while (!chardevs_.empty()) {  // a mux before what it is in front of
    chardevs_.back()->unparent();
    chardevs_.pop_back();
  }
}

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

Chardev* ChardevSet::keep(std::shared_ptr<Chardev> chardev) {
  if (container_ != nullptr) container_->add_child(chardev->label(), chardev);
  chardevs_.push_back(std::move(chardev));
  return chardevs_.back().get();
}

Result<std::shared_ptr<Chardev>> ChardevSet::make(std::string label, CharOptions& options,
                                                  UniqueFd connected) {
  const Backend* backend = TRY(find_backend(options.backend()));
  UniqueFd log = TRY(open_log(options));
  ChardevRequest request{std::move(label), loop_, settings_, options, std::move(connected)};
  std::shared_ptr<Chardev> chardev = TRY(backend->create(request));
  TRY(options.check_all_taken());
  if (log) chardev->set_log(std::move(log));
  return chardev;
}

Result<std::shared_ptr<Chardev>> ChardevSet::make_mux(std::string_view label, CharOptions& options) {
  const std::string base_label = options.take("chardev");
  if (base_label.empty()) return fail(EINVAL, "chardev: mux: no chardev given");
  UniqueFd log = TRY(open_log(options));
  Chardev* base = find(base_label);
  if (base == nullptr) return fail(ENOENT, "mux: base chardev ", base_label, " not found");
  std::shared_ptr<Chardev> mux = TRY(create_mux(std::string(label), *base, settings_));
  TRY(options.check_all_taken());
  if (log) mux->set_log(std::move(log));
  return mux;
}

Result<Chardev*> ChardevSet::create(std::string_view label, CharOptions options, UniqueFd connected) {
  if (find(label) != nullptr) return fail(EEXIST, "Duplicate ID '", label, "' for chardev");
  if (options.backend() == "mux") return keep(TRY(make_mux(label, options)));
  if (!TRY(options.take_bool("mux", false)))
    return keep(TRY(make(std::string(label), options, std::move(connected))));
  const std::string base_label = str_cat(label, "-base");
  if (find(base_label) != nullptr) return fail(EEXIST, "Duplicate ID '", base_label, "' for chardev");
  Chardev* base = keep(TRY(make(base_label, options, std::move(connected))));
  return keep(TRY(create_mux(std::string(label), *base, settings_)));  // nobody else has the base
}

Result<Chardev*> ChardevSet::change(std::string_view label, CharOptions options, UniqueFd connected) {
  const auto it = std::ranges::find(chardevs_, label, [](const auto& c) { return c->label(); });
  if (it == chardevs_.end()) return fail(ENOENT, "Chardev '", label, "' does not exist");
  const bool to_mux = options.backend() == "mux" || TRY(options.take_bool("mux", false));
  if ((*it)->is_mux() || to_mux) return fail(ENOTSUP, "Mux device hotswap not supported yet");
  TRY((*it)->check_hotswap());
  std::shared_ptr<Chardev> made = TRY(make(std::string(label), options, std::move(connected)));
  (*it)->move_frontends_to(*made);
  (*it)->unparent();
  if (container_ != nullptr) container_->add_child(made->label(), made);
  *it = std::move(made);
  return it->get();
}

Chardev* ChardevSet::find(std::string_view label) const {
  for (const auto& c : chardevs_)
    if (c->label() == label) return c.get();
  return nullptr;
}

Result<Chardev*> ChardevSet::get(std::string_view label) const {
  if (Chardev* c = find(label)) return c;
  return fail(ENOENT, "Chardev '", label, "' not found");
}

Result<> ChardevSet::remove(std::string_view label) {
  const auto it = std::ranges::find(chardevs_, label, [](const auto& c) { return c->label(); });
  if (it == chardevs_.end()) return fail(ENOENT, "Chardev '", label, "' not found");
  if ((*it)->in_use()) return fail(EBUSY, "Chardev '", label, "' is busy");
  (*it)->unparent();
  chardevs_.erase(it);
  return {};
}

std::vector<ChardevState> ChardevSet::snapshot() const {
  std::vector<ChardevState> out;
  for (const auto& c : chardevs_) out.push_back({c->label(), c->filename(), c->frontend_open()});
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
