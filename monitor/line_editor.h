// LineEditor: editing a line on a terminal that shows what it is sent (ANSI X3.64 sequences).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rhea {

/// Prompt, cursor keys, history, completion. Knows nothing of where keys come from.
class LineEditor {
 public:
  static constexpr size_t kMaxLine = 4095;
  static constexpr size_t kHistoryLines = 64;
  using Output = std::function<void(std::string_view)>;
  using Complete = std::function<std::vector<std::string>(std::string_view line)>;

  LineEditor(std::string prompt, Output output, Complete complete)
      : prompt_(std::move(prompt)), output_(std::move(output)), complete_(std::move(complete)) {}

  /// Begins a new line.
  void show_prompt();
  /// Forgets the line being edited and any half-read escape sequence.
  void reset();
  /// Takes one key; the whole line if that was Enter.
  std::optional<std::string> key(uint8_t c);
  const std::string& line() const { return line_; }
  /// The lines entered, oldest first.
  const std::vector<std::string>& lines() const { return history_; }

 private:
  enum class State : uint8_t { kNormal, kEscape, kSequence, kSs3 };
  void sequence_key(uint8_t c);
  void control_key(uint8_t c);
  void insert(uint8_t c);
  void erase_before(size_t count);
  void erase_at();
  void move_to(size_t position);
  void replace_line(std::string text);
  void history(int step);
  void complete();
  void list(const std::vector<std::string>& words);
  size_t word_start() const;
  void show_from(size_t position);
  std::optional<std::string> enter();

  const std::string prompt_;
  const Output output_;
  const Complete complete_;
  State state_ = State::kNormal;
  int parameter_ = 0;  ///< of the escape sequence
  std::string line_;
  size_t cursor_ = 0;
  std::vector<std::string> history_;  ///< oldest first
  size_t history_at_ = 0;             ///< history_.size(): the new line
};

}  // namespace rhea
