// A loop, a set of character devices in a temporary folder, and a front end that records.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <string>

#include "chardev/chardev_set.h"
#include "util/aio_context.h"

namespace rhea::test {

/// Keeps what it is told; takes `room` bytes at a time.
class RecordingFrontend {
 public:
  void attach(Chardev& chardev) {
    const auto attached = frontend.attach(chardev);
    ASSERT_TRUE(attached) << attached.error().message();
    frontend.set_handlers({.can_read = [this] { return room; },
                           .read =
                               [this](std::span<const uint8_t> d) {
                                 EXPECT_LE(d.size(), room);
                                 input.append(reinterpret_cast<const char*>(d.data()), d.size());
                               },
                           .event = [this](CharEvent e) { events += "OCbIU"[static_cast<int>(e)]; },
                           .writable = [this] { ++writable; }});
  }
  size_t write(std::string_view text) {
    return frontend.write(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  }
  CharFrontend frontend;
  size_t room = 4096;
  std::string input;
  std::string events;  ///< Opened Closed break muxIn mUxout
  int writable = 0;
};

class ChardevTest : public testing::Test {
 protected:
  ChardevTest() {
    char name[] = "/tmp/rhea-chardev-XXXXXX";
    dir = mkdtemp(name);
    loop = std::move(*AioContext::create("test"));
    loop->make_current();
    set = std::make_unique<ChardevSet>(*loop);
  }
  ~ChardevTest() override {
    set.reset();
    std::filesystem::remove_all(dir);
  }
  /// Runs the loop until `done` holds; false (with a failure) after ten seconds.
  bool run_until(const std::function<bool()>& done, const char* what) {
    bool late = false;
    Timer limit(*loop, realtime_clock(), [&] { late = true; });
    limit.arm_in(10'000'000'000);
    while (!done() && !late) loop->run_once(true);
    EXPECT_FALSE(late) << "waited in vain for " << what;
    return !late;
  }
  void settle() {
    while (loop->run_once(false)) {
    }
  }
  Chardev& make(std::string_view options) {
    auto made = set->add(options);
    if (!made) throw std::runtime_error(made.error().message());
    return **made;
  }
  std::string error_of(std::string_view options) {
    auto made = set->add(options);
    return made ? "" : made.error().message();
  }
  std::string path(std::string_view name) const { return dir + "/" + std::string(name); }

  std::string dir;
  std::unique_ptr<AioContext> loop;
  std::unique_ptr<ChardevSet> set;
};

}  // namespace rhea::test
