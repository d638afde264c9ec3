// ChardevSet: the process's character devices, by label.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chardev/chardev.h"
#include "util/aio_context.h"

namespace rhea {

class CharOptions;

/// What query-chardev tells of one device.
struct ChardevState {
  std::string label;
  std::string filename;
  bool frontend_open;
};

/// What a program decides about its character devices.
struct ChardevSettings {
  bool daemonize = false;         ///< stdio is then refused
  bool stdio_signals = true;      ///< default of stdio's signal=: false with -nographic
  char mux_escape = 1;            ///< Ctrl-a
  int interrupt_fd = -1;          ///< readable when waiting for a client (wait=on) has to end
  std::function<void()> on_quit;  ///< the mux key "x"
};

/// Makes, finds and owns them. Creation may block (connecting, wait=on) and so belongs to start-up. Main
/// loop's thread.
class ChardevSet {
 public:
  /// Shows its devices as children of `container` (/chardevs), if there is one.
  explicit ChardevSet(AioContext& loop, ChardevSettings settings = {}, Object* container = nullptr);
  ~ChardevSet();

  ChardevSettings& settings() { return settings_; }

  /// -chardev BACKEND,id=ID,…: "chardev: no id specified", "'foo' is not a valid char driver name",
  /// "Duplicate ID 'x' for chardev" …. With mux=on the label belongs to the mux, its backend's is ID-base.
  Result<Chardev*> add(std::string_view options);
  /// The short forms of -serial, -monitor, -qmp under the label `label`. "chardev:ID" finds one made before;
  /// "none" gives null. A result whose is_mux() is true came from "mon:…" and awaits a monitor.
  Result<Chardev*> add_legacy(std::string_view label, std::string_view spec);
  /// From options taken apart already; `label` is the id.
  /// `connected` is a socket client's connection, if it stands already.
  Result<Chardev*> create(std::string_view label, CharOptions options, UniqueFd connected = {});
  /// Puts a new device in the place of `label`; who used the old one uses the new one: "Chardev 'ID' does not
  /// exist", "Mux device hotswap not supported yet". The old one stays if that fails.
  Result<Chardev*> change(std::string_view label, CharOptions options, UniqueFd connected = {});

  /// Null if there is none.
  Chardev* find(std::string_view label) const;
  /// "Chardev 'ID' not found".
  Result<Chardev*> get(std::string_view label) const;
  /// "Chardev 'ID' not found", "Chardev 'ID' is busy".
  Result<> remove(std::string_view label);
  std::vector<ChardevState> snapshot() const;

  /// The backends' names, sorted.
  static std::vector<std::string_view> backends();
  /// For `-chardev help`.
  static std::string backends_help();

 private:
  Result<std::shared_ptr<Chardev>> make(std::string label, CharOptions& options, UniqueFd connected);
  Chardev* keep(std::shared_ptr<Chardev> chardev);
  Result<std::shared_ptr<Chardev>> make_mux(std::string_view label, CharOptions& options);
  AioContext& loop_;
  Object* container_;
  ChardevSettings settings_;
  std::vector<std::shared_ptr<Chardev>> chardevs_;  ///< a mux behind what it is in front of
};

}  // namespace rhea
