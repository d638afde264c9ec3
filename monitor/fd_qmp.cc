// QMP: sets of handed-over file descriptors.
#include "qapi/monitor_session.h"
#include "qapi/qapi_commands_misc.h"
#include "util/fdset.h"

namespace rhea {

Result<AddfdInfo> qmp_add_fd(QmpContext& ctx, AddFdArgs args) {
  UniqueFd fd = ctx.session != nullptr ? ctx.session->received_fd() : UniqueFd();
  if (!fd) return fail(EINVAL, "No file descriptor supplied via SCM_RIGHTS");
  const auto added = TRY(fd_sets().add(std::move(fd), args.fdset_id, args.opaque.value_or("")));
  AddfdInfo info;
  info.fdset_id = added.id;
  info.fd = added.fd;
  return info;
}

Result<> qmp_remove_fd(QmpContext&, RemoveFdArgs args) {
  return fd_sets().remove(args.fdset_id, args.fd);
}

Result<std::vector<FdsetInfo>> qmp_query_fdsets(QmpContext&) {
  std::vector<FdsetInfo> out;
  for (const FdSets::Set& set : fd_sets().snapshot()) {
    FdsetInfo& info = out.emplace_back();
    info.fdset_id = set.id;
    for (const FdSets::Entry& entry : set.fds) {
      FdsetFdInfo& fd = info.fds.emplace_back();
      fd.fd = entry.fd;
      if (!entry.opaque.empty()) fd.opaque = entry.opaque;
    }
  }
  return out;
}

}  // namespace rhea
