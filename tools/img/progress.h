// The progress of a long command: a line on the terminal with -p, or an answer to SIGUSR1.
#pragma once

#include <cstdint>

namespace rhea::img {

class Progress {
 public:
  explicit Progress(bool shown);
  void set(uint64_t done, uint64_t all);
  /// `complete`: 100 % is shown.
  void end(bool complete);

 private:
  void print(double percent) const;
  bool shown_;
  double last_ = -1;
};

}  // namespace rhea::img
