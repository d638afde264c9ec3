// Consoles: the outputs of display devices, and who looks at them.
//
// A device owns a ConsoleSource; the console keeps its picture. Nothing is rendered while nobody looks: a
// viewer that registers turns the device's change tracking on, and calls refresh() at its own pace. Main
// thread with the machine lock.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "qom/object.h"
#include "ui/surface.h"
#include "util/result.h"

namespace rhea {

class Console;

/// What a display device does for its console.
class ConsoleSource {
 public:
  virtual ~ConsoleSource() = default;
  /// Renders into `console.surface()` what changed since the last call (with `all`: everything) and reports
  /// it with Console::changed(); may call Console::resize().
  virtual void render(Console& console, bool all) = 0;
  /// Somebody looks from now on, or nobody does any more.
  virtual void set_watched(bool) {}
};

/// Somebody who looks.
class ConsoleViewer {
 public:
  virtual ~ConsoleViewer() = default;
  /// The surface is another one, black until changed() comes.
  virtual void resized(const Surface& surface) = 0;
  virtual void changed(const Surface& surface, const PixelRect& area) = 0;
};

class Console {
 public:
  static constexpr int kDefaultWidth = 640, kDefaultHeight = 480;

  /// Output `head` of `device`, which outlives it as `source` does; the console is known from now on.
  Console(ConsoleSource& source, Object& device, int head = 0);
  ~Console();
  Console(const Console&) = delete;

  int index() const { return index_; }  ///< counts the consoles of the machine from 0
  int head() const { return head_; }
  Object& device() const { return device_; }
  Surface& surface() { return *surface_; }

  /// For the source: a new surface if the size is another one; viewers are told. True if it is.
  bool resize(int width, int height);
  /// For the source: pixels have changed; clipped to the surface.
  void changed(PixelRect area);

  /// Brings the surface up to date.
  void refresh(bool all = false) { source_.render(*this, all); }
  /// Adds one, which gets the whole picture at the next refresh.
  void add_viewer(ConsoleViewer& viewer);
  void remove_viewer(ConsoleViewer& viewer);
  bool watched() const { return !viewers_.empty(); }

 private:
  ConsoleSource& source_;
  Object& device_;
  int head_, index_;
  std::unique_ptr<Surface> surface_;
  std::vector<ConsoleViewer*> viewers_;
};

/// All consoles, in the order they came; the first is the primary one.
const std::vector<Console*>& consoles();
/// Output `head` of the device with this id. `Device 'X' not found` (DeviceNotFound), or what it lacks.
Result<Console*> find_console(std::string_view device_id, int64_t head);

/// Tells when consoles come and go; a viewer of "the first" wants to know.
class ConsoleObserver {
 public:
  virtual ~ConsoleObserver() = default;
  virtual void console_added(Console&) {}
  virtual void console_removed(Console&) {}
};
void add_console_observer(ConsoleObserver& observer);
void remove_console_observer(ConsoleObserver& observer);

}  // namespace rhea
