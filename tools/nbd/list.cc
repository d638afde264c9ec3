// rhea-nbd -L: what another server offers.
#include <cstdio>

#include "block/drivers/nbd/connect.h"
#include "block/drivers/nbd/handshake.h"
#include "block/export/nbd_protocol.h"
#include "tools/nbd/nbd.h"

namespace rhea::nbd_tool {

namespace {

CoResult<std::vector<NbdExportInfo>> co_list(AioContext& loop, SocketEndpoint address) {
  std::unique_ptr<SocketStream> stream =
      co_await or_return(co_await co_nbd_connect(loop, std::move(address)));
  co_return co_await co_nbd_list(*stream);
}

void print_flags(uint16_t flags) {
  static constexpr struct {
    uint16_t bit;
    const char* name;
  } kNames[] = {{nbd::flag::kReadOnly, "readonly"},
                {nbd::flag::kSendFlush, "flush"},
                {nbd::flag::kSendFua, "fua"},
                {nbd::flag::kRotational, "rotational"},
                {nbd::flag::kSendTrim, "trim"},
                {nbd::flag::kSendWriteZeroes, "zeroes"},
                {nbd::flag::kSendDf, "df"},
                {nbd::flag::kCanMultiConn, "multi"},
                {nbd::flag::kSendResize, "resize"},
                {nbd::flag::kSendCache, "cache"},
                {nbd::flag::kSendFastZero, "fast-zero"}};
  std::printf("  flags: 0x%x (", flags);
  for (const auto& n : kNames)
    if ((flags & n.bit) != 0) std::printf(" %s", n.name);
  std::printf(" )\n");
}

void print_export(const NbdExportInfo& e) {
  std::printf(" export: '%s'\n", e.name.c_str());
  if (!e.description.empty()) std::printf("  description: %s\n", e.description.c_str());
  if ((e.flags & nbd::flag::kHasFlags) != 0) {
    std::printf("  size:  %llu\n", static_cast<unsigned long long>(e.bytes));
    print_flags(e.flags);
  }
  if (e.min_block != 0) {
    std::printf("  min block: %u\n", e.min_block);
    std::printf("  opt block: %u\n", e.opt_block);
    std::printf("  max block: %u\n", e.max_block);
  }
  if (e.contexts.empty()) return;
  std::printf("  available meta contexts: %zu\n", e.contexts.size());
  for (const std::string& c : e.contexts) std::printf("   %s\n", c.c_str());
}

}  // namespace

int list_exports(Tool& tool, const Options& options) {
  Result<std::vector<NbdExportInfo>> all = tool.run(co_list(tool.loop(), address_of(options)));
  if (!all) return report(all.error());
  std::printf("exports available: %zu\n", all->size());
  for (const NbdExportInfo& e : *all) print_export(e);
  return 0;
}

}  // namespace rhea::nbd_tool
