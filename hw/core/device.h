// Device and Bus: the device tree, life cycle, reset, interrupt pins.
//
// realize -> (pause <-> resume) -> reset -> unrealize. No member reaches for a global: lines and backends
// arrive as properties or by wiring calls before realize(). Everything here is called under the machine lock.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hw/core/irq.h"
#include "migration/vmstate/vmstate.h"
#include "qom/globals.h"
#include "qom/object.h"
#include "util/coroutine.h"
#include "util/result.h"

namespace rhea {

class AioContext;
class BlockBackend;
class BlockGraph;
class Bus;
class ChardevSet;
class Clock;
class DriveSet;
class Unplugger;
class VmControl;
struct PendingUnplug;

/// What devices are connected to on the host's side. Outlives every device.
struct DeviceContext {
  DeviceContext(AioContext& loop, Clock& guest_clock, BlockGraph& graph, ChardevSet& chardevs,
                VmControl* vm_control = nullptr)
      : main_loop(loop), clock(guest_clock), block(graph), chars(chardevs), vm(vm_control) {}
  AioContext& main_loop;
  Clock& clock;  ///< the guest's time
  BlockGraph& block;
  ChardevSet& chars;
  VmControl* vm;                   ///< null where no machine stands around the devices (unit tests)
  DriveSet* drives = nullptr;      ///< null where no drives can be made
  Unplugger* unplugger = nullptr;  ///< the same
  /// The loop of the machine's own I/O thread, for devices that were given none; made when first asked for.
  /// Null where no machine stands around the devices: then they do with the main loop.
  std::function<Result<AioContext*>()> io_loop;
};

class Device : public Object, public IrqSink {
 public:
  static const TypeInfo kType;  ///< "device", abstract
  static const TypeInfo
      kSysBusType;  ///< "sys-bus-device", abstract: the board wires it, and it sits on no bus
  const TypeInfo& type() const override { return kType; }
  Device();
  ~Device() override;

  /// The id given by the user; empty if none.
  const std::string& id() const { return id_; }
  void set_id(std::string id) { id_ = std::move(id); }
  /// id if there is one, else the QOM path: how messages name it.
  std::string display_name() const { return id_.empty() ? path() : id_; }
  Bus* bus() const { return bus_; }
  bool realized() const { return realized_; }
  /// Added to a running machine.
  bool hotplugged() const { return hotplugged_; }
  void set_hotplugged(bool on) { hotplugged_ = on; }
  /// While its removal is under way (hw/core/unplug.h).
  std::unique_ptr<PendingUnplug> unplug;

  /// The type name of the bus it plugs into ("PCI", "IDE", "ISA"); null if it sits on none.
  virtual const char* bus_type() const { return nullptr; }
  /// False for devices that a machine alone may make, or that need a cold start.
  virtual bool hotpluggable() const { return true; }

  /// The part of coming to life that may wait: finds what the properties name on the host's side (a disk, a
  /// chardev) and takes hold of it, with the errors users know. Called once, after the properties are set and
  /// before the device is on its bus; destroying the device lets go again.
  virtual CoResult<> co_prepare(DeviceContext&) { co_return Result<>(); }

  /// Waits until nothing the device has started is under way, and lets it start nothing more: before it is
  /// taken away. Main loop.
  virtual CoResult<> co_stop() { co_return Result<>(); }
  /// The disk it holds; null if it is no disk or has none.
  virtual BlockBackend* block_backend() { return nullptr; }

  /// Checks the properties, registers what the device shows, and makes it usable; on failure everything is as
  /// before. The device must have its bus and its place in the tree. Child buses are realized with it.
  Result<> realize();
  void unrealize();

  /// Puts the state to its power-on or bus-reset values. No notification reaches another device before all
  /// are reset.
  virtual void reset() {}
  /// Called on all devices once all are reset: lines may be driven now.
  virtual void reset_exit() {}

  /// State that travels with the machine; null: nothing to send. `vmstate_object` is what the description's
  /// functions get.
  virtual const VMState* vmstate() const { return nullptr; }
  virtual void* vmstate_object() { return this; }
  /// The section's name instead of vmstate()->name with the bus path before it, where compatibility asks for
  /// one; instance ids count devices of one section name.
  virtual int vmstate_instance() const { return -1; }

  /// The place on the bus as shown in "info qtree" and savevm section names ("0000:00:06.0"); empty if the
  /// bus has no names.
  std::string bus_path() const;
  /// The firmware's name for it, as in boot order entries ("ide@1,1", "drive@1/disk@0"); empty if it has
  /// none.
  virtual std::string fw_name() const { return {}; }
  /// Its place in the boot order, first is lowest; -1: not to be booted from.
  virtual int32_t boot_index() const { return -1; }

  /// Interrupt inputs: how others reach pin `n`.
  IrqLine irq_in(int n) { return IrqLine(*this, n); }
  void set_irq(int n, int level) final;
  virtual int irq_input_count() const { return 0; }
  /// Inputs that belong together: pins [first, first + count) are numbered from 0 under `name`.
  struct IrqInputs {
    std::string_view name;  ///< empty: those without a name
    int first = 0, count = 0;
  };
  /// All groups; without names if not overridden. Names are QEMU's.
  virtual std::vector<IrqInputs> irq_inputs() const;
  /// Null if there is none of that name.
  std::optional<IrqInputs> find_irq_inputs(std::string_view name) const;
  /// Outputs, for taps and "info qtree". The n-th of its name is output n.
  struct IrqOutput {
    std::string_view name;
    IrqLine* line;
  };
  const std::vector<IrqOutput>& irq_outputs() const { return outputs_; }
  /// Reports changes of the inputs or outputs called `name` from now on, by their number within it:
  /// `irq_intercept_in`, `irq_intercept_out`.
  void tap_inputs(std::string_view name, IrqTap::Report report);
  void tap_outputs(std::string_view name, IrqTap::Report report);

  /// Buses this device provides.
  const std::vector<std::shared_ptr<Bus>>& child_buses() const { return child_buses_; }
  Bus* child_bus(std::string_view name) const;

  /// Lines for "info qtree" besides properties (one per line, no indentation).
  virtual void describe(std::string&) const {}

  Result<> check_settable(const PropertyInfo& p) const override;

 protected:
  /// The device's own part of realize(); must leave nothing behind on failure.
  virtual Result<> do_realize() { return {}; }
  virtual void do_unrealize() {}
  /// Input pin `n` changed.
  virtual void irq_input(int /*n*/, int /*level*/) {}
  /// `name` lives for ever.
  void add_irq_output(IrqLine& line, std::string_view name = {}) { outputs_.push_back({name, &line}); }
  /// Adds a bus as a child object named like the bus.
  void add_bus(std::shared_ptr<Bus> bus);

 private:
  friend class Bus;
  static const PropertyInfo kCommonProperties[];
  std::string id_;
  Bus* bus_ = nullptr;
  bool realized_ = false;
  bool hotplugged_ = false;
  struct InputTap {
    IrqInputs pins;
    IrqTap::Report report;
    std::vector<int> levels;
  };
  std::vector<IrqOutput> outputs_;
  std::vector<std::unique_ptr<IrqTap>> output_taps_;
  std::vector<InputTap> input_taps_;
  std::vector<std::shared_ptr<Bus>> child_buses_;
};

class Bus : public Object {
 public:
  static const TypeInfo kType;  ///< "bus", abstract
  const TypeInfo& type() const override { return kType; }

  explicit Bus(std::string bus_name) : bus_name_(std::move(bus_name)) {}
  ~Bus() override;
  /// "pci.0", "ide.1": how -device bus= names it.
  const std::string& bus_name() const { return bus_name_; }
  /// What kind of bus: matches Device::bus_type().
  virtual const char* bus_kind() const = 0;
  Device* owner() const { return owner_; }
  virtual bool hotplug_allowed() const { return false; }
  /// How many devices fit; 0: no limit.
  virtual int max_devices() const { return 0; }

  /// Puts `device` on the bus (before realize). Fails with `Bus 'ide.0' is full` and the like; `device` reads
  /// its address from its own properties in check_address().
  Result<> plug(Device& device);
  void unplug(Device& device);
  const std::vector<Device*>& devices() const { return devices_; }

  virtual std::string device_path(const Device&) const { return {}; }

 protected:
  /// Whether `device` may sit at its address; may choose one. No change on failure.
  virtual Result<> check_address(Device&) { return {}; }
  /// `device` has left. It may be half destroyed: its address is all that may be used.
  virtual void device_left(const Device*) {}

 private:
  friend class Device;
  std::string bus_name_;
  Device* owner_ = nullptr;
  std::vector<Device*> devices_;
};

/// Makes a device of `type` (by name) with `properties` (an object without "driver", "id" and "bus"). It is
/// nowhere yet.
Result<std::shared_ptr<Device>> make_device(std::string_view type, const Json& properties = {},
                                            ValueForm form = ValueForm::kTyped,
                                            GlobalErrors errors = GlobalErrors::kFail);
/// Puts a device made and prepared on `bus` (null: none), into the tree as `name` of `parent`, and realizes
/// it. On failure it is where it was.
Result<> add_device(std::shared_ptr<Device> device, Bus* bus, Object& parent, std::string name);

/// The bus named `name` below `root` (a machine), depth first; null if none.
Bus* find_bus(Object& root, std::string_view name);
/// Calls `fn` for each device below `root`, parents before children.
void for_each_device(Object& root, const std::function<void(Device&)>& fn);
/// reset() on all devices below `root`, then reset_exit() on all.
void reset_devices(Object& root);
/// Emits DEVICE_DELETED-style teardown: unrealizes and removes `device` from bus and tree.
void remove_device(Device& device);
/// The disk of the device with this id or at this path of the tree; null if there is none.
BlockBackend* device_backend(std::string_view id_or_path);
/// The path by which firmware knows it ("/pci@i0cf8/ide@1,1/drive@1/disk@0").
std::string firmware_path(const Device& device);
/// The text of "info qtree".
std::string qtree_text(Object& root);

}  // namespace rhea
