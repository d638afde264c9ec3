// QMP: what migration is to do in ways that both sides must agree on.
#include <array>

#include "qapi/qapi_commands_migration.h"

namespace rhea {

namespace {

constexpr size_t kCapabilities = 1;         // values of MigrationCapability
std::array<bool, kCapabilities> enabled{};  // main thread

}  // namespace

Result<> qmp_migrate_set_capabilities(QmpContext&, MigrateSetCapabilitiesArgs args) {
  for (const MigrationCapabilityStatus& c : args.capabilities)
    enabled[static_cast<size_t>(c.capability)] = c.state;
  return {};
}

Result<std::vector<MigrationCapabilityStatus>> qmp_query_migrate_capabilities(QmpContext&) {
  std::vector<MigrationCapabilityStatus> out;
  for (size_t i = 0; i < kCapabilities; ++i) {
    MigrationCapabilityStatus& status = out.emplace_back();
    status.capability = static_cast<MigrationCapability>(i);
    status.state = enabled[i];
  }
  return out;
}

}  // namespace rhea
