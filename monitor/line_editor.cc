#include "monitor/line_editor.h"

#include <algorithm>

#include "util/str.h"

namespace rhea {

namespace {

constexpr uint8_t ctrl(char c) {
  return static_cast<uint8_t>(c - 'a' + 1);
}
constexpr uint8_t kEscape = 27;
constexpr uint8_t kDelete = 127;
constexpr std::string_view kEraseToEnd = "\x1b[K";
constexpr size_t kColumns = 80;

std::string left_by(size_t n) {
  return n == 0 ? std::string() : str_cat("\x1b[", n, "D");
}

}  // namespace

void LineEditor::show_prompt() {
  reset();
  output_(prompt_);
}

void LineEditor::reset() {
  line_.clear();
  cursor_ = 0;
  state_ = State::kNormal;
  history_at_ = history_.size();
}

std::optional<std::string> LineEditor::key(uint8_t c) {
  switch (state_) {
    case State::kEscape:
      state_ = c == '[' ? State::kSequence : c == 'O' ? State::kSs3 : State::kNormal;
      parameter_ = 0;
      return {};
    case State::kSs3:
      state_ = State::kNormal;
      sequence_key(c);
      return {};
    case State::kSequence:
      if (c >= '0' && c <= '9') {
        parameter_ = std::min(parameter_ * 10 + (c - '0'), 999);
      } else if (c >= 0x40) {  // the final byte of the sequence
        state_ = State::kNormal;
        sequence_key(c);
      }
      return {};
    case State::kNormal:
      break;
  }
  if (c == '\r' || c == '\n') return enter();
  if (c == kEscape)
    state_ = State::kEscape;
  else if (c < 0x20 || c == kDelete)
    control_key(c);
  else
    insert(c);
  return {};
}

std::optional<std::string> LineEditor::enter() {
  output_("\r\n");
  std::string done = std::move(line_);
  if (!done.empty() && (history_.empty() || history_.back() != done)) {
    if (history_.size() == kHistoryLines) history_.erase(history_.begin());
    history_.push_back(done);
  }
  reset();
  return done;
}

void LineEditor::sequence_key(uint8_t c) {
  switch (c) {
    case 'A':
      return history(-1);
    case 'B':
      return history(1);
    case 'C':
      return move_to(std::min(cursor_ + 1, line_.size()));
    case 'D':
      return move_to(cursor_ == 0 ? 0 : cursor_ - 1);
    case 'H':
      return move_to(0);
    case 'F':
      return move_to(line_.size());
    case '~':
      if (parameter_ == 1 || parameter_ == 7) return move_to(0);
      if (parameter_ == 4 || parameter_ == 8) return move_to(line_.size());
      if (parameter_ == 3) return erase_at();
      return;
    default:
      return;
  }
}

void LineEditor::control_key(uint8_t c) {
  switch (c) {
    case ctrl('a'):
      return move_to(0);
    case ctrl('e'):
      return move_to(line_.size());
    case ctrl('b'):
      return move_to(cursor_ == 0 ? 0 : cursor_ - 1);
    case ctrl('f'):
      return move_to(std::min(cursor_ + 1, line_.size()));
    case ctrl('d'):
      return erase_at();
    case ctrl('h'):
    case kDelete:
      return erase_before(1);
    case ctrl('k'):
      line_.resize(cursor_);
      return output_(kEraseToEnd);
    case ctrl('u'):
      return erase_before(cursor_);
    case ctrl('w'):
      return erase_before(cursor_ - word_start());
    case ctrl('p'):
      return history(-1);
    case ctrl('n'):
      return history(1);
    case ctrl('i'):
      return complete();
    default:
      return;
  }
}

/// Shows the line from `position` (where the terminal's cursor is) on and puts the cursor back in place.
void LineEditor::show_from(size_t position) {
  output_(str_cat(std::string_view(line_).substr(position), kEraseToEnd, left_by(line_.size() - cursor_)));
}

void LineEditor::insert(uint8_t c) {
  if (line_.size() >= kMaxLine) return;
  line_.insert(cursor_, 1, static_cast<char>(c));
  ++cursor_;
  if (cursor_ == line_.size()) return output_(std::string_view(line_).substr(cursor_ - 1));
  show_from(cursor_ - 1);
}

void LineEditor::erase_before(size_t count) {
  count = std::min(count, cursor_);
  if (count == 0) return;
  cursor_ -= count;
  line_.erase(cursor_, count);
  output_(left_by(count));
  show_from(cursor_);
}

void LineEditor::erase_at() {
  if (cursor_ == line_.size()) return;
  line_.erase(cursor_, 1);
  show_from(cursor_);
}

void LineEditor::move_to(size_t position) {
  if (position < cursor_) output_(left_by(cursor_ - position));
  if (position > cursor_) output_(str_cat("\x1b[", position - cursor_, "C"));
  cursor_ = position;
}

void LineEditor::replace_line(std::string text) {
  move_to(0);
  line_ = std::move(text);
  cursor_ = line_.size();
  show_from(0);
}

void LineEditor::history(int step) {
  const auto at = static_cast<int64_t>(history_at_) + step;
  if (at < 0 || at > static_cast<int64_t>(history_.size())) return;
  history_at_ = static_cast<size_t>(at);
  replace_line(history_at_ == history_.size() ? std::string() : history_[history_at_]);
}

size_t LineEditor::word_start() const {
  size_t at = cursor_;
  while (at > 0 && line_[at - 1] == ' ') --at;
  while (at > 0 && line_[at - 1] != ' ') --at;
  return at;
}

void LineEditor::complete() {
  if (!complete_) return;
  const std::string before = line_.substr(0, cursor_);
  const std::vector<std::string> words = complete_(before);
  if (words.empty()) return;
  const size_t blank = before.rfind(' ');
  const std::string typed = before.substr(blank == std::string::npos ? 0 : blank + 1);
  std::string common = words.front();
  for (const auto& word : words) common.resize(std::ranges::mismatch(common, word).in1 - common.begin());
  if (common.size() > typed.size())
    for (char c : common.substr(typed.size())) insert(static_cast<uint8_t>(c));
  if (words.size() == 1)
    insert(' ');
  else if (common.size() <= typed.size())
    list(words);
}

void LineEditor::list(const std::vector<std::string>& words) {
  size_t width = 0;
  for (const auto& word : words) width = std::max(width, word.size() + 2);
  const size_t columns = std::max<size_t>(kColumns / width, 1);
  std::string text = "\r\n";
  for (size_t i = 0; i < words.size(); ++i) {
    text += words[i];
    const bool last = i + 1 == words.size() || (i + 1) % columns == 0;
    text += last ? std::string("\r\n") : std::string(width - words[i].size(), ' ');
  }
  output_(text + prompt_);
  show_from(0);
}

}  // namespace rhea
