// What the VNC server and the module that speaks the protocol want of each other. Plain data and virtual
// functions only (util/module.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace rhea {

/// Told by the engine, on its thread.
class VncEvents {
 public:
  virtual ~VncEvents() = default;
  /// The client has seen the picture's size and may send input.
  virtual void vnc_ready(uint64_t client) = 0;
  virtual void vnc_gone(uint64_t client) = 0;
  /// `keysym` as the X Window System numbers keys.
  virtual void vnc_key(uint64_t client, uint32_t keysym, bool down) = 0;
  /// Bits of `buttons`: left, middle, right, wheel up, down, left, right.
  virtual void vnc_pointer(uint64_t client, int x, int y, unsigned buttons) = 0;
};

/// Clients that do not want to share: they drive the others out, are driven out, or all share.
enum class VncShare : uint8_t { kAllowExclusive, kForceShared, kIgnore };

struct VncEngineConfig {
  const char* title;
  VncShare share;
  bool password;  ///< clients must know it
  int width, height;
};

/// A server with a thread of its own. Calls come from the main thread; deleting it waits for the thread.
class VncEngine {
 public:
  virtual ~VncEngine() = default;
  /// Takes the connected socket. `client` is unique.
  virtual void add_client(int fd, uint64_t client) = 0;
  virtual void resize(int width, int height) = 0;
  /// Copies the area; `pixels` is its first, rows are `stride` pixels apart, each 0x00RRGGBB.
  virtual void update(int x, int y, int width, int height, const uint32_t* pixels, size_t stride) = 0;
  /// At most 8 characters count; null: nobody gets in.
  virtual void set_password(const char* password) = 0;
};

/// The interface of module rhea-ui-vnc.
struct VncEngineModule {
  /// Null: no memory, or no thread.
  VncEngine* (*create)(VncEvents& events, const VncEngineConfig& config);
};

}  // namespace rhea
