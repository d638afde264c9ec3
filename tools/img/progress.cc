#include "tools/img/progress.h"

#include <csignal>
#include <cstdio>

namespace rhea::img {

namespace {
volatile std::sig_atomic_t asked = 0;
}  // namespace

Progress::Progress(bool shown) : shown_(shown) {
  struct sigaction action = {};
  action.sa_handler = [](int) { asked = 1; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
  if (shown_) print(0);
}

void Progress::print(double percent) const {
  std::printf("    (%3.2f/100%%)\r", percent);
  std::fflush(stdout);
}

void Progress::set(uint64_t done, uint64_t all) {
  constexpr double kStep = 1.0;  // percent
  const double percent = all == 0 ? 100.0 : 100.0 * static_cast<double>(done) / static_cast<double>(all);
  if (asked != 0) {
    asked = 0;
    std::fprintf(stderr, "    (%3.2f/100%%)\n", percent);
  }
  if (!shown_ || percent < last_ + kStep) return;
  last_ = percent;
  print(percent);
}

void Progress::end(bool complete) {
  if (!shown_) return;
  if (complete) print(100);
  std::printf("\n");
}

}  // namespace rhea::img
