// What a QMP command handler may reach: references to the parts of the VM process, declared only.
#pragma once

namespace rhea {

class BlockGraph;      // block/graph: nodes, edges, backends
class DriveSet;        // block: the drives of -drive
class JobSet;          // block/jobs: long work in the background
class ObjectRoot;      // qom: the composition tree and the type registry
class VmControl;       // system: run state, reset and shutdown requests
class ChardevSet;      // chardev: the character devices by label
class NbdServer;       // block/export: what is offered to NBD clients
class MonitorSession;  // monitor: the connection a command came over

/// Passed to each handler. One per monitor session (and one without, for the command line); all of it
/// belongs to the main thread and outlives the handlers, coroutines included.
struct QmpContext {
  QmpContext(BlockGraph& graph_, ObjectRoot& qom_, VmControl& vm_, ChardevSet& chardevs_,
             MonitorSession* session_ = nullptr)
      : graph(graph_), qom(qom_), vm(vm_), chardevs(chardevs_), session(session_) {}

  BlockGraph& graph;
  ObjectRoot& qom;
  VmControl& vm;
  ChardevSet& chardevs;
  MonitorSession* session;     ///< null outside a monitor
  DriveSet* drives = nullptr;  ///< null where no drives can be made
  NbdServer* nbd = nullptr;    ///< null where nothing can be exported
  JobSet* jobs = nullptr;      ///< null where there are no jobs
};

}  // namespace rhea
