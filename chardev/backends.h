// The backends, one function each: takes its options out of the list and makes the device.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "chardev/char_options.h"
#include "chardev/chardev.h"
#include "chardev/chardev_set.h"
#include "util/aio_context.h"

namespace rhea {

using ChardevResult = Result<std::unique_ptr<Chardev>>;

/// What a backend's function is given.
struct ChardevRequest {
  std::string label;
  AioContext& loop;
  const ChardevSettings& settings;
  CharOptions& options;
};

ChardevResult create_null(ChardevRequest& request);
ChardevResult create_ringbuf(ChardevRequest& request);
ChardevResult create_file(ChardevRequest& request);
ChardevResult create_pipe(ChardevRequest& request);
ChardevResult create_stdio(ChardevRequest& request);
ChardevResult create_pty(ChardevRequest& request);
ChardevResult create_socket(ChardevRequest& request);

/// A mux in front of `base`, which it owns.
std::unique_ptr<Chardev> create_mux(std::string label, std::unique_ptr<Chardev> base,
                                    const ChardevSettings& settings);
/// The device a mux is in front of; null for what is no mux.
Chardev* mux_base(const Chardev& chardev);

}  // namespace rhea
