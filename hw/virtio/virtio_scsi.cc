#include "hw/virtio/virtio_scsi.h"

#include <linux/virtio_scsi.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "accel/accel.h"
#include "util/byteorder.h"

namespace rhea {

namespace {

constexpr size_t kRequestHead = 19, kAnswerHead = 12;  ///< without the CDB, without sense data (5.6.6.1)
constexpr uint64_t scsi_bit(unsigned n) {
  return uint64_t{1} << n;
}

constexpr PropertyInfo kVirtioScsiProperties[] = {
    prop<&VirtioScsi::num_queues>("num_queues"),
    prop<&VirtioScsi::queue_size>("virtqueue_size"),
    prop<&VirtioScsi::seg_max_adjust>("seg_max_adjust"),
    prop<&VirtioScsi::max_sectors>("max_sectors"),
    prop<&VirtioScsi::cmd_per_lun>("cmd_per_lun"),
    prop<&VirtioScsi::hotplug>("hotplug", "on/off"),
    prop<&VirtioScsi::param_change>("param_change", "on/off"),
};
constexpr VMState kVirtioScsiState{
    .name = "virtio-scsi", .version = 1, .minimum_version = 1, .fields = kVirtioStateFields};

/// Reads and writes are carried out by sectors on the wire, other commands from their beginning.
bool travels_with_sectors(uint8_t opcode) {
  using namespace scsi;
  switch (opcode) {
    case kRead6:
    case kRead10:
    case kRead12:
    case kRead16:
    case kWrite6:
    case kWrite10:
    case kWrite12:
    case kWrite16:
    case kWriteVerify10:
    case kWriteVerify12:
    case kWriteVerify16:
      return true;
    default:
      return false;
  }
}

}  // namespace

constexpr TypeInfo VirtioScsi::kCommonType{.name = "virtio-scsi-common", .parent = &VirtioDevice::kType};
constexpr TypeInfo VirtioScsi::kType{
    .name = "virtio-scsi-device",
    .parent = &VirtioScsi::kCommonType,
    .create = []() -> std::shared_ptr<Object> { return std::make_shared<VirtioScsi>(); },
    .properties = kVirtioScsiProperties,
    .category = DeviceCategory::kStorage};

struct VirtioScsi::Request {
  RingElement element;
  VirtioQueue* queue = nullptr;
  uint64_t epoch = 0;
  uint64_t tag = 0;
  Address address;
  uint32_t sense_bytes = 0;  ///< room for them in the answer
  ScsiTransfer transfer;
  ScsiCommand command;
  std::optional<uint8_t> response;  ///< of a command that was ended
  std::shared_ptr<Task> task;       ///< which waits for it
};

struct VirtioScsi::Task {
  RingElement element;
  VirtioQueue* queue = nullptr;
  uint64_t epoch = 0;
  int pending = 0;
};

VirtioScsi::VirtioScsi() = default;
VirtioScsi::~VirtioScsi() = default;

const VMState* VirtioScsi::vmstate() const {
  return &kVirtioScsiState;
}

Result<> VirtioScsi::do_realize() {
  TRY(VirtioDevice::do_realize());
  constexpr uint32_t kMostQueues = virtio::kMaxQueues - kFirstCommandQueue;
  if (num_queues == kAutoQueues) {  // one a processor
    const size_t cpus = machine_accelerator() != nullptr ? machine_accelerator()->vcpus().size() : 1;
    num_queues = static_cast<uint32_t>(std::clamp<size_t>(cpus, 1, kMostQueues));
  }
  if (num_queues == 0 || num_queues > kMostQueues)
    return fail(EINVAL, "Invalid number of queues (= ", num_queues,
                "), must be a positive integer less than ", kMostQueues, ".");
  if (queue_size <= 2)
    return fail(EINVAL, "invalid virtqueue_size property (= ", queue_size, "), must be > 2");
  if (!std::has_single_bit(queue_size) || queue_size > virtio::kMaxQueueSize)
    return fail(EINVAL, "invalid virtqueue_size property (= ", queue_size, "), must be a power of 2 (max ",
                virtio::kMaxQueueSize, ")");
  make_queues(num_queues + kFirstCommandQueue, static_cast<uint16_t>(queue_size));
  if (scsi_bus_ == nullptr) {
    const Device* const function = bus() != nullptr ? bus()->owner() : nullptr;
    static unsigned next = 0;
    const bool named = function != nullptr && !function->id().empty();
    scsi_bus_ =
        std::make_shared<ScsiBus>(named ? str_cat(function->id(), ".0") : str_cat("scsi.", next++), *this);
    add_bus(scsi_bus_);
  }
  return {};
}

void VirtioScsi::do_unrealize() {
  forget_requests();
  VirtioDevice::do_unrealize();
}

CoResult<> VirtioScsi::co_stop() {
  stopped_ = true;
  co_return co_await gate_.co_close();
}

// --- Features and configuration (5.6.3, 5.6.4).

uint64_t VirtioScsi::kind_features() const {
  uint64_t f = 0;
  if (hotplug) f |= scsi_bit(VIRTIO_SCSI_F_HOTPLUG);
  if (param_change) f |= scsi_bit(VIRTIO_SCSI_F_CHANGE);
  return f;
}

void VirtioScsi::fill_config(std::span<uint8_t> config) {
  virtio_scsi_config c{};
  c.num_queues = num_queues;
  c.seg_max = seg_max_adjust ? queue_size - 2 : 126;
  c.max_sectors = max_sectors;
  c.cmd_per_lun = cmd_per_lun;
  c.event_info_size = sizeof(virtio_scsi_event);
  c.sense_size = sense_bytes_;
  c.cdb_size = cdb_bytes_;
  c.max_target = ScsiBus::kMaxTarget;
  c.max_lun = ScsiBus::kMaxLun;
  std::memcpy(config.data(), &c, std::min<size_t>(sizeof c, config_bytes()));
}

/// The driver sizes the two variable parts of requests.
void VirtioScsi::config_written(std::span<const uint8_t> config) {
  const auto sense = load_le<uint32_t>(&config[offsetof(virtio_scsi_config, sense_size)]);
  const auto cdb = load_le<uint32_t>(&config[offsetof(virtio_scsi_config, cdb_size)]);
  if (sense == 0 || sense > kMostBytes || cdb == 0 || cdb > kMostBytes)
    return broken(Error(EINVAL, "virtio-scsi: bad data written to the configuration space"));
  sense_bytes_ = sense;
  cdb_bytes_ = cdb;
}

Result<> VirtioScsi::kind_loaded(std::span<const uint8_t> config) {
  const auto sense = load_le<uint32_t>(&config[offsetof(virtio_scsi_config, sense_size)]);
  const auto cdb = load_le<uint32_t>(&config[offsetof(virtio_scsi_config, cdb_size)]);
  if (sense == 0 && cdb == 0) return {};  // nobody has looked at the space
  if (sense == 0 || sense > kMostBytes || cdb == 0 || cdb > kMostBytes)
    return fail(EINVAL, "sense data of ", sense, " bytes, CDBs of ", cdb);
  sense_bytes_ = sense;
  cdb_bytes_ = cdb;
  return {};
}

void VirtioScsi::kind_reset() {
  sense_bytes_ = kDefaultSenseBytes;
  cdb_bytes_ = kDefaultCdbBytes;
  events_missed_ = false;
  if (scsi_bus_ != nullptr) scsi_bus_->reset_units();
}

void VirtioScsi::forget_requests() {
  ++epoch_;
  for (Request* r : active_) r->command.given_up = true;
  for (RequestPtr& request : waiting_) spare_.push_back(std::move(request));
  waiting_.clear();
}

void VirtioScsi::serve(VirtioQueue& queue) {
  if (stopped_) return;
  switch (queue_number(queue)) {
    case kControlQueue:
      return serve_control(queue);
    case kEventQueue:
      if (events_missed_) send_event(VIRTIO_SCSI_T_NO_EVENT, {}, 0);
      return;
    default:
      return serve_commands(queue);
  }
}

// --- Commands (5.6.6.1).

/// 5.6.6.1.1: a one, the target, the unit as a peripheral (SAM-5 4.6.5) or flat (4.6.6) address.
VirtioScsi::Address VirtioScsi::address_of(const uint8_t* lun) {
  const unsigned method = lun[2] >> 6;
  Address at{.target = lun[1], .lun = (lun[2] & 0x3fu) << 8 | lun[3]};
  at.valid = lun[0] == 1 && (method == 1 || lun[2] == 0);
  return at;
}

VirtioScsi::RequestPtr VirtioScsi::take_spare() {
  if (spare_.empty()) return std::make_unique<Request>();
  RequestPtr request = std::move(spare_.back());
  spare_.pop_back();
  request->command = {};
  request->response.reset();
  request->task.reset();
  return request;
}

void VirtioScsi::serve_commands(VirtioQueue& queue) {
  while (!stopped_ && may_serve(queue)) {
    RequestPtr request = take_spare();
    Result<bool> popped = queue.ring->pop(request->element);
    if (!popped) return broken(popped.error());
    if (!*popped) {
      spare_.push_back(std::move(request));
      return;
    }
    request->queue = &queue;
    if (!parse(*request)) return broken(Error(EINVAL, "virtio-scsi: wrong size for virtio-scsi headers"));
    begin(std::move(request));
  }
}

bool VirtioScsi::parse(Request& r) {
  const IoVector out(r.element.out()), in(r.element.in());
  const size_t head = kRequestHead + cdb_bytes_, answer_bytes = kAnswerHead + sense_bytes_;
  if (out.size() < head || in.size() < answer_bytes) return false;
  std::array<uint8_t, kRequestHead + kMostBytes> bytes{};
  out.slice(0, head).copy_to(bytes.data());
  r.epoch = epoch_;
  r.address = address_of(bytes.data());
  r.tag = load_le<uint64_t>(&bytes[8]);
  r.sense_bytes = sense_bytes_;
  std::copy_n(bytes.begin() + kRequestHead, std::min<size_t>(cdb_bytes_, r.command.cdb.size()),
              r.command.cdb.begin());
  r.command.out = out.slice(head);
  r.command.in = in.slice(answer_bytes);
  return true;
}

void VirtioScsi::begin(RequestPtr request) {
  Request& r = *request;
  ScsiCommand& c = r.command;
  const auto at_once = [&](uint8_t response) {
    answer(r, response);
    spare_.push_back(std::move(request));
  };
  if (!r.address.valid || !scsi_bus_->has_target(r.address.target)) return at_once(VIRTIO_SCSI_S_BAD_TARGET);
  if (!c.in.empty() && !c.out.empty()) return at_once(VIRTIO_SCSI_S_FAILURE);  // INOUT is not offered
  ScsiDevice* const unit = scsi_bus_->find(r.address.target, r.address.lun);
  using Direction = ScsiTransfer::Direction;
  r.transfer = scsi_transfer(c.cdb, unit != nullptr ? unit->block_bytes() : 512);
  const size_t room = r.transfer.direction == Direction::kOut ? c.out.size() : c.in.size();
  if (r.transfer.bytes > room) return at_once(VIRTIO_SCSI_S_OVERRUN);
  if (unit == nullptr) {
    ScsiDevice::execute_absent(*scsi_bus_, r.address.target, c);
    return at_once(VIRTIO_SCSI_S_OK);
  }
  active_.push_back(&r);
  ++in_flight_;
  c.waits = false;
  auto work = unit->co_execute(c);
  gate_.spawn<void>(std::move(work),
                    [this, request = std::move(request)](Result<>) mutable { finish(std::move(request)); });
}

void VirtioScsi::finish(RequestPtr request) {
  Request& r = *request;
  std::erase(active_, &r);
  --in_flight_;
  const bool wanted = r.epoch == epoch_ && r.queue->ring != nullptr;
  const std::shared_ptr<Task> task = std::move(r.task);
  if (wanted && r.command.waits && !r.response) {
    waiting_.push_back(std::move(request));
  } else {
    if (wanted) answer(r, r.response.value_or(VIRTIO_SCSI_S_OK));
    spare_.push_back(std::move(request));
  }
  if (task != nullptr && --task->pending == 0) finish_task(*task, VIRTIO_SCSI_S_OK);
  if (in_flight_ == 0) became_quiet();
}

void VirtioScsi::answer(Request& r, uint8_t response) {
  std::array<uint8_t, kAnswerHead + kMostBytes> bytes{};
  uint64_t moved = 0;
  if (response == VIRTIO_SCSI_S_OK) {
    const ScsiCommand& c = r.command;
    moved = std::min(c.moved, r.transfer.bytes);
    if (c.status == ScsiCommand::Status::kCheckCondition) {
      moved = 0;
      const std::vector<uint8_t> sense = scsi_sense_data(c.sense, false);
      const size_t n = std::min<size_t>(sense.size(), r.sense_bytes);
      store_le<uint32_t>(&bytes[0], static_cast<uint32_t>(n));
      std::copy_n(sense.begin(), n, bytes.begin() + kAnswerHead);
    }
    store_le<uint32_t>(&bytes[4],
                       static_cast<uint32_t>(std::min<uint64_t>(r.transfer.bytes - moved, UINT32_MAX)));
    bytes[10] = static_cast<uint8_t>(c.status);
  }
  bytes[11] = response;
  const size_t head = kAnswerHead + r.sense_bytes;
  IoVector(r.element.in()).slice(0, head).copy_from(bytes.data());
  const bool to_guest = r.transfer.direction == ScsiTransfer::Direction::kIn;
  complete(*r.queue, r.element,
           static_cast<uint32_t>(std::min<uint64_t>(head + (to_guest ? moved : 0), UINT32_MAX)));
}

// --- Task management (5.6.6.2).

template <class F>
std::vector<VirtioScsi::Request*> VirtioScsi::matching(F&& wanted) const {
  std::vector<Request*> out;
  for (Request* r : active_)
    if (!r->response && r->epoch == epoch_ && wanted(*r)) out.push_back(r);
  for (const RequestPtr& r : waiting_)
    if (wanted(*r)) out.push_back(r.get());
  return out;
}

void VirtioScsi::end_commands(const std::shared_ptr<Task>& task, const std::vector<Request*>& ended,
                              uint8_t response) {
  for (Request* r : ended) {
    const auto at = std::ranges::find(waiting_, r, &RequestPtr::get);
    if (at != waiting_.end()) {
      answer(*r, response);
      spare_.push_back(std::move(*at));
      waiting_.erase(at);
      continue;
    }
    r->response = response;
    r->command.given_up = true;
    r->task = task;
    ++task->pending;
  }
}

void VirtioScsi::serve_control(VirtioQueue& queue) {
  while (!stopped_ && may_serve(queue)) {
    auto task = std::make_shared<Task>();
    Result<bool> popped = queue.ring->pop(task->element);
    if (!popped) return broken(popped.error());
    if (!*popped) return;
    task->queue = &queue;
    task->epoch = epoch_;
    manage(std::move(task));
  }
}

void VirtioScsi::manage(std::shared_ptr<Task> task) {
  const IoVector out(task->element.out()), in(task->element.in());
  virtio_scsi_ctrl_tmf_req request{};
  if (out.size() < sizeof request.type)
    return broken(Error(EINVAL, "virtio-scsi: a control request without a type"));
  out.slice(0, std::min(out.size(), sizeof request)).copy_to(&request);
  if (request.type == VIRTIO_SCSI_T_AN_QUERY || request.type == VIRTIO_SCSI_T_AN_SUBSCRIBE) {
    const virtio_scsi_ctrl_an_resp none{.event_actual = 0, .response = VIRTIO_SCSI_S_OK};
    if (out.size() < sizeof(virtio_scsi_ctrl_an_req) || in.size() < sizeof none)
      return broken(Error(EINVAL, "virtio-scsi: wrong size for virtio-scsi headers"));
    in.slice(0, sizeof none).copy_from(&none);
    return complete(*task->queue, task->element, sizeof none);
  }
  if (out.size() < sizeof request || in.size() < sizeof(virtio_scsi_ctrl_tmf_resp))
    return broken(Error(EINVAL, "virtio-scsi: wrong size for virtio-scsi headers"));
  const Address at = address_of(request.lun);
  const uint64_t tag = load_le<uint64_t>(&request.tag);
  const bool whole_target = request.subtype == VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET;
  const auto of_unit = [&](const Request& r) {
    return r.address.target == at.target && (whole_target || r.address.lun == at.lun);
  };
  const auto of_tag = [&](const Request& r) { return of_unit(r) && r.tag == tag; };
  uint8_t response = VIRTIO_SCSI_S_OK;
  if (request.type != VIRTIO_SCSI_T_TMF)
    response = VIRTIO_SCSI_S_FAILURE;
  else if (!at.valid || !scsi_bus_->has_target(at.target))
    response = VIRTIO_SCSI_S_BAD_TARGET;
  else if (!whole_target && scsi_bus_->find(at.target, at.lun) == nullptr)
    response = VIRTIO_SCSI_S_INCORRECT_LUN;
  if (response != VIRTIO_SCSI_S_OK) return finish_task(*task, response);
  switch (request.subtype) {
    case VIRTIO_SCSI_T_TMF_ABORT_TASK:
      end_commands(task, matching(of_tag), VIRTIO_SCSI_S_ABORTED);
      break;
    case VIRTIO_SCSI_T_TMF_ABORT_TASK_SET:
    case VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET:
      end_commands(task, matching(of_unit), VIRTIO_SCSI_S_ABORTED);
      break;
    case VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET:
    case VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET:
      end_commands(task, matching(of_unit), VIRTIO_SCSI_S_RESET);
      scsi_bus_->for_each([&](ScsiDevice& unit) {
        if (unit.target == at.target && (whole_target || unit.lun == at.lun)) unit.reset();
      });
      break;
    case VIRTIO_SCSI_T_TMF_QUERY_TASK:
      if (!matching(of_tag).empty()) response = VIRTIO_SCSI_S_FUNCTION_SUCCEEDED;
      break;
    case VIRTIO_SCSI_T_TMF_QUERY_TASK_SET:
      if (!matching(of_unit).empty()) response = VIRTIO_SCSI_S_FUNCTION_SUCCEEDED;
      break;
    default:
      response = VIRTIO_SCSI_S_FUNCTION_REJECTED;
      break;
  }
  if (task->pending == 0) finish_task(*task, response);
}

void VirtioScsi::finish_task(Task& task, uint8_t response) {
  if (task.epoch != epoch_ || task.queue->ring == nullptr) return;
  const IoVector in(task.element.in());
  if (in.empty()) return broken(Error(EINVAL, "virtio-scsi: wrong size for virtio-scsi headers"));
  in.slice(0, 1).copy_from(&response);
  complete(*task.queue, task.element, 1);
}

// --- Events (5.6.6.3).

void VirtioScsi::send_event(uint32_t event, const Address& from, uint32_t reason) {
  if ((status() & virtio::kDriverOk) == 0 || queue_count() == 0) return;
  VirtioQueue& queue = *this->queue(kEventQueue);
  RingElement element;
  Result<bool> popped = may_serve(queue) ? queue.ring->pop(element) : Result<bool>(false);
  if (!popped) return broken(popped.error());
  if (!*popped) {
    events_missed_ = true;
    return;
  }
  if (std::exchange(events_missed_, false)) event |= VIRTIO_SCSI_T_EVENTS_MISSED;
  virtio_scsi_event told{};
  const IoVector in(element.in());
  if (in.size() < sizeof told)
    return broken(Error(EINVAL, "virtio-scsi: wrong size for virtio-scsi headers"));
  told.event = event;
  told.reason = reason;
  if (from.valid) {
    told.lun[0] = 1;
    told.lun[1] = static_cast<uint8_t>(from.target);
    told.lun[2] = static_cast<uint8_t>(from.lun < 256 ? 0 : 0x40 | from.lun >> 8);
    told.lun[3] = static_cast<uint8_t>(from.lun);
  }
  in.slice(0, sizeof told).copy_from(&told);
  complete(queue, element, sizeof told);
}

void VirtioScsi::unit_arrived(ScsiDevice& unit) {
  if (!has_feature(scsi_bit(VIRTIO_SCSI_F_HOTPLUG))) return;
  scsi_bus_->for_each([&](ScsiDevice& other) {
    if (&other != &unit && !other.attention()) other.set_attention(sense::kLunsChanged);
  });
  send_event(VIRTIO_SCSI_T_TRANSPORT_RESET, {unit.target, unit.lun, true}, VIRTIO_SCSI_EVT_RESET_RESCAN);
}

void VirtioScsi::unit_left(uint32_t target, uint32_t lun) {
  if (!has_feature(scsi_bit(VIRTIO_SCSI_F_HOTPLUG))) return;
  send_event(VIRTIO_SCSI_T_TRANSPORT_RESET, {target, lun, true}, VIRTIO_SCSI_EVT_RESET_REMOVED);
}

void VirtioScsi::unit_changed(ScsiDevice& unit, const Sense& what) {
  if (!has_feature(scsi_bit(VIRTIO_SCSI_F_CHANGE))) return;
  send_event(VIRTIO_SCSI_T_PARAM_CHANGE, {unit.target, unit.lun, true}, what.asc | uint32_t{what.ascq} << 8);
}

// --- Commands that wait for the machine to go on.

void VirtioScsi::resume(ScsiDevice& unit) {
  std::vector<RequestPtr> again;
  for (RequestPtr& r : std::exchange(waiting_, {})) {
    const bool its = r->address.target == unit.target && r->address.lun == unit.lun;
    (its ? again : waiting_).push_back(std::move(r));
  }
  for (RequestPtr& r : again) begin(std::move(r));
}

void VirtioScsi::abandon(ScsiDevice& unit) {
  for (RequestPtr& r : std::exchange(waiting_, {})) {
    if (r->address.target != unit.target || r->address.lun != unit.lun) {
      waiting_.push_back(std::move(r));
      continue;
    }
    if (r->queue->ring != nullptr) answer(*r, VIRTIO_SCSI_S_BAD_TARGET);
    spare_.push_back(std::move(r));
  }
}

void VirtioScsi::save_waiting(ScsiDevice& unit, StateWriter& out) {
  constexpr uint8_t kTryAgain = 1;
  for (const RequestPtr& r : waiting_) {
    if (r->address.target != unit.target || r->address.lun != unit.lun) continue;
    out.put_u8(kTryAgain);
    out.put_bytes(r->command.cdb);
    out.put_be32(static_cast<uint32_t>(r->tag));
    out.put_be32(r->address.lun);
    out.put_be32(static_cast<uint32_t>(queue_number(*r->queue) - kFirstCommandQueue));
    save_element(out, r->element);
    if (!travels_with_sectors(r->command.cdb[0])) continue;
    const ScsiExtent extent = scsi_extent(r->command.cdb);
    const uint64_t sectors = unit.block_bytes() / 512;
    out.put_be64(extent.lba * sectors);
    out.put_be32(static_cast<uint32_t>(extent.blocks * sectors));
    out.put_be32(0);  // bytes in a buffer: none
  }
  out.put_u8(0);
}

/// A command is parsed again where it arrives: what else the stream says of it is not needed.
Result<> VirtioScsi::load_waiting(ScsiDevice& unit, StateReader& in) {
  while (const uint8_t how = in.get_u8()) {
    if (how > 2) return fail(EINVAL, "a SCSI command waits in state ", how);
    ScsiCdb cdb{};
    in.get_bytes(cdb);
    in.get_be32();
    in.get_be32();
    const uint64_t number = uint64_t{in.get_be32()} + kFirstCommandQueue;
    VirtioQueue* const from = queue(number);
    if (from == nullptr) return fail(EINVAL, "a SCSI command waits in queue ", number);
    const SavedElement saved = TRY(load_element(in));
    if (travels_with_sectors(cdb[0])) {
      in.get_be64();
      in.get_be32();
      const uint32_t buffered = in.get_be32();
      if (buffered != 0)
        return fail(ENOTSUP, "a SCSI command brings ", buffered, " bytes of data of its own");
    }
    if (!in.ok()) return fail(EINVAL, "the SCSI commands that wait end too early");
    RequestPtr request = take_spare();
    TRY(restore_element(request->element, saved, *from));
    uint32_t slots = request->element.slots;
    for (const RequestPtr& other : waiting_)
      if (other->queue == from) slots += other->element.slots;
    if (slots > from->ring->position().in_use)
      return fail(EINVAL, "more commands wait in queue ", number, " than were taken from it");
    request->queue = from;
    if (!parse(*request) || request->address.target != unit.target || request->address.lun != unit.lun)
      return fail(EINVAL, "a SCSI command that waits is another unit's");
    waiting_.push_back(std::move(request));
  }
  return {};
}

}  // namespace rhea
