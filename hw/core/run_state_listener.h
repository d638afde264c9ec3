// Who wants to know when the machine stops and goes on: devices that do something by themselves.
#pragma once

#include <vector>

namespace rhea {

/// Is told while it lives. Main thread, under the machine lock.
class RunStateListener {
 public:
  RunStateListener() { all().push_back(this); }
  RunStateListener(const RunStateListener&) = delete;
  virtual ~RunStateListener() { std::erase(all(), this); }
  /// The processors may run from now on, or have stopped.
  virtual void run_state_changed(bool running) = 0;

  /// Tells everyone; nobody may come or go meanwhile.
  static void tell(bool running) {
    for (RunStateListener* listener : all()) listener->run_state_changed(running);
  }

 private:
  static std::vector<RunStateListener*>& all() {
    static std::vector<RunStateListener*> listeners;
    return listeners;
  }
};

}  // namespace rhea
