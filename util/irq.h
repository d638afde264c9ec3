// Interrupt lines: a wire from an output of one device to a numbered input of another.
#pragma once

#include <functional>

namespace rhea {

/// Something with numbered interrupt inputs. Machine lock.
class IrqSink {
 public:
  virtual ~IrqSink() = default;
  /// Input `n` goes to `level` (0 or 1). Repeats of the same level are allowed.
  virtual void set_irq(int n, int level) = 0;
};

/// The sending end of a wire; unconnected lines do nothing. A value: copying connects another sender to the
/// same input.
class IrqLine {
 public:
  IrqLine() = default;
  IrqLine(IrqSink& sink, int n) : sink_(&sink), n_(n) {}
  void set(int level) const {
    if (sink_ != nullptr) sink_->set_irq(n_, level);
  }
  void raise() const { set(1); }
  void lower() const { set(0); }
  /// A short pulse: up, then down.
  void pulse() const {
    set(1);
    set(0);
  }
  explicit operator bool() const { return sink_ != nullptr; }
  IrqSink* sink() const { return sink_; }
  int input() const { return n_; }

 private:
  IrqSink* sink_ = nullptr;
  int n_ = 0;
};

/// Passes each change on and reports it: what `irq_intercept_in/out` of the qtest protocol listens with.
class IrqTap final : public IrqSink {
 public:
  using Report = std::function<void(int n, int level)>;
  IrqTap(IrqLine target, int n, Report report) : target_(target), n_(n), report_(std::move(report)) {}
  void set_irq(int, int level) override {
    target_.set(level);
    if (level != level_) report_(n_, level_ = level);
  }

 private:
  IrqLine target_;
  int n_;
  int level_ = 0;
  Report report_;
};

}  // namespace rhea
