// A CD drive as far as the block layer sees one: a tray, a lock, and what happened to it.
#pragma once

#include <string>
#include <vector>

#include "block/graph/block_backend.h"

namespace rhea {

struct FakeCd : BlockDevOps {
  bool has_removable_media() const override { return removable; }
  bool has_tray() const override { return tray; }
  Result<> change_media_cb(bool load) override {
    log.emplace_back(load ? "load" : "unload");
    if (load && refuse) return fail(EIO, "cannot load");
    open = !load;
    return {};
  }
  void eject_request_cb(bool force) override {
    log.emplace_back(force ? "eject!" : "eject?");
    if (force)
      locked = false;
    else
      pending = true;
  }
  bool is_tray_open() const override { return open; }
  bool is_medium_locked() const override { return locked; }
  bool eject_request_pending() const override { return pending; }

  bool removable = true, tray = true, open = false, locked = false, pending = false, refuse = false;
  std::vector<std::string> log;
};

}  // namespace rhea
