#include "chardev/char_frontend.h"

#include "chardev/chardev.h"

namespace rhea {

Result<> CharFrontend::attach(Chardev& chardev) {
  detach();
  TRY(chardev.add_frontend(*this));
  chardev_ = &chardev;
  return {};
}

void CharFrontend::detach() {
  if (chardev_ == nullptr) return;
  chardev_->remove_frontend(*this);
  chardev_ = nullptr;
  handlers_ = {};
  open_ = false;
}

bool CharFrontend::connected() const {
  return chardev_ != nullptr && chardev_->is_open();
}

void CharFrontend::set_handlers(CharHandlers handlers) {
  handlers_ = std::move(handlers);
  open_ = handlers_.can_read || handlers_.read || handlers_.event;
  if (chardev_ != nullptr) chardev_->handlers_changed(*this);
}

void CharFrontend::accept_input() {
  if (chardev_ != nullptr) chardev_->resume_input();
}

size_t CharFrontend::write(std::span<const uint8_t> data) {
  return chardev_ == nullptr ? data.size() : chardev_->write(data, Chardev::kBacklogBytes);
}

void CharFrontend::write_all(std::span<const uint8_t> data) {
  if (chardev_ != nullptr) chardev_->write(data, SIZE_MAX);
}

size_t CharFrontend::backlog_bytes() const {
  return chardev_ == nullptr ? 0 : chardev_->backlog_.size() - chardev_->backlog_start_;
}

void CharFrontend::send_break() {
  if (chardev_ != nullptr) chardev_->send_break();
}

void CharFrontend::set_line(const SerialLine& line) {
  if (chardev_ != nullptr) chardev_->set_line(line);
}

std::optional<uint32_t> CharFrontend::modem_lines() const {
  return chardev_ == nullptr ? std::nullopt : chardev_->modem_lines();
}

void CharFrontend::set_modem_lines(uint32_t lines) {
  if (chardev_ != nullptr) chardev_->set_modem_lines(lines);
}

std::vector<UniqueFd> CharFrontend::take_fds() {
  return chardev_ == nullptr ? std::vector<UniqueFd>() : chardev_->take_fds();
}

}  // namespace rhea
