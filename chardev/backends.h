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
  UniqueFd connected = {};  ///< for a socket's client: the connection, if it stands already
};

ChardevResult create_null(ChardevRequest& request);
ChardevResult create_ringbuf(ChardevRequest& request);
ChardevResult create_file(ChardevRequest& request);
ChardevResult create_pipe(ChardevRequest& request);
ChardevResult create_stdio(ChardevRequest& request);
ChardevResult create_pty(ChardevRequest& request);
ChardevResult create_socket(ChardevRequest& request);

ChardevResult create_udp(ChardevRequest& request);
ChardevResult create_serial(ChardevRequest& request);

/// A mux in front of `base`, which outlives it: "Device 'ID' is in use".
ChardevResult create_mux(std::string label, Chardev& base, const ChardevSettings& settings);

}  // namespace rhea
