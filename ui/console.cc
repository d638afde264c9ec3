#include "ui/console.h"

#include <algorithm>

namespace rhea {

namespace {

std::vector<Console*>& all() {
  static std::vector<Console*> list;
  return list;
}
std::vector<ConsoleObserver*>& observers() {
  static std::vector<ConsoleObserver*> list;
  return list;
}

/// The id a user gave the device; empty if none.
std::string_view id_of(const Object& device) {
  const Object* parent = device.parent();
  return parent != nullptr && parent->name() == "peripheral" ? std::string_view(device.name())
                                                             : std::string_view();
}

}  // namespace

PixelRect unite(const PixelRect& a, const PixelRect& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  const int x = std::min(a.x, b.x), y = std::min(a.y, b.y);
  return {x, y, std::max(a.x + a.width, b.x + b.width) - x, std::max(a.y + a.height, b.y + b.height) - y};
}

Console::Console(ConsoleSource& source, Object& device, int head)
    : source_(source),
      device_(device),
      head_(head),
      index_(static_cast<int>(all().size())),
      surface_(std::make_unique<Surface>(kDefaultWidth, kDefaultHeight)) {
  for (const Console* c : all()) index_ = std::max(index_, c->index_ + 1);
  all().push_back(this);
  const auto told = observers();
  for (ConsoleObserver* o : told) o->console_added(*this);
}

Console::~Console() {
  std::erase(all(), this);
  const auto told = observers();
  for (ConsoleObserver* o : told) o->console_removed(*this);
}

bool Console::resize(int width, int height) {
  width = std::clamp(width, 1, Surface::kMaxSide);
  height = std::clamp(height, 1, Surface::kMaxSide);
  if (surface_->width() == width && surface_->height() == height) return false;
  surface_ = std::make_unique<Surface>(width, height);
  for (ConsoleViewer* v : viewers_) v->resized(*surface_);
  return true;
}

void Console::changed(PixelRect area) {
  const int right = std::min(area.x + area.width, surface_->width());
  const int bottom = std::min(area.y + area.height, surface_->height());
  area.x = std::max(area.x, 0);
  area.y = std::max(area.y, 0);
  area.width = right - area.x;
  area.height = bottom - area.y;
  if (area.empty()) return;
  for (ConsoleViewer* v : viewers_) v->changed(*surface_, area);
}

void Console::add_viewer(ConsoleViewer& viewer) {
  viewers_.push_back(&viewer);
  if (viewers_.size() == 1) source_.set_watched(true);
  viewer.resized(*surface_);
  refresh(true);
}

void Console::remove_viewer(ConsoleViewer& viewer) {
  std::erase(viewers_, &viewer);
  if (viewers_.empty()) source_.set_watched(false);
}

const std::vector<Console*>& consoles() {
  return all();
}

Result<Console*> find_console(std::string_view device_id, int64_t head) {
  bool known = false;
  for (Console* c : all()) {
    if (device_id.empty() || id_of(c->device()) != device_id) continue;
    known = true;
    if (c->head() == head) return c;
  }
  if (known) return fail(ENODEV, "Device '", device_id, "' (head ", head, ") is not bound to a console");
  bool ambiguous = false;
  const Object* object = device_id.empty()
                             ? nullptr
                             : qom_root().resolve(str_cat("/machine/peripheral/", device_id), &ambiguous);
  if (object != nullptr)
    return fail(ENODEV, "Device '", device_id, "' (head ", head, ") is not bound to a console");
  return fail_class(ErrorClass::kDeviceNotFound, ENODEV, "Device '", device_id, "' not found");
}

void add_console_observer(ConsoleObserver& observer) {
  observers().push_back(&observer);
}

void remove_console_observer(ConsoleObserver& observer) {
  std::erase(observers(), &observer);
}

}  // namespace rhea
