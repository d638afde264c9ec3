// HMP "qemu-io DRIVE aio_…": requests by hand that go on after their command has ended.
#pragma once

#include <span>
#include <string>

#include "block/graph/block_backend.h"

namespace rhea {

/// True for "aio_read", "aio_write" and "aio_flush".
bool is_hand_aio(std::string_view command);
/// Begins it: "[-i] [-z] [-P pattern] offset length" after the command's name. With -i the request only
/// counts as a refused one. aio_flush waits for all that was begun, and counts as a flush.
CoResult<> co_hand_aio(BlockBackend& drive, std::span<const std::string> words);

}  // namespace rhea
