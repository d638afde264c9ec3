#include "system/guest_dump.h"

#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "accel/x86_paging.h"

namespace rhea {

namespace {

constexpr uint64_t kDumpPiece = uint64_t{1} << 20;  // bytes between two looks at cancelled_
constexpr size_t kDumpMaxTables = size_t{1} << 18;  // page tables read for one processor
constexpr size_t kDumpMaxSegments = PN_XNUM - 2;    // what e_phnum can tell, with the notes
constexpr uint32_t kDumpMsrKernelGsBase = 0xc000'0102;
constexpr uint64_t kDumpEferLma = 1 << 10;

bool dump_long_mode(const X86State& s) {
  return (s.efer & kDumpEferLma) != 0;
}

void put_note(ByteBuffer& out, std::string_view owner, uint32_t type, const Bytes& data) {
  out.u32(static_cast<uint32_t>(owner.size() + 1)).u32(static_cast<uint32_t>(data.size())).u32(type);
  out.text(owner).u8(0);
  out.align(4).raw(data).align(4);
}

/// struct elf_prstatus of 64-bit programs: pid at 32, registers at 112.
Bytes prstatus_64(const X86State& s, uint32_t pid) {
  ByteBuffer b;
  b.zeros(32).u32(pid).zeros(76);
  constexpr int kOrder[] = {15, 14, 13, 12, kRbp, kRbx, 11, 10, 9, 8, kRax, kRcx, kRdx, kRsi, kRdi};
  for (const int n : kOrder) b.u64(s.gpr[static_cast<size_t>(n)]);
  b.u64(0).u64(s.rip).u64(s.seg[kCs].selector).u64(s.rflags).u64(s.gpr[kRsp]).u64(s.seg[kSs].selector);
  b.u64(s.seg[kFs].base).u64(s.seg[kGs].base);
  for (const X86Seg n : {kDs, kEs, kFs, kGs}) b.u64(s.seg[n].selector);
  b.u64(0);  // no floating point registers
  return b.take();
}

/// The same of 32-bit programs: pid at 24, registers at 72.
Bytes prstatus_32(const X86State& s, uint32_t pid) {
  ByteBuffer b;
  b.zeros(24).u32(pid).zeros(44);
  for (const X86Gpr n : {kRbx, kRcx, kRdx, kRsi, kRdi, kRbp, kRax}) b.u32(static_cast<uint32_t>(s.gpr[n]));
  for (const X86Seg n : {kDs, kEs, kFs, kGs}) b.u32(s.seg[n].selector);
  b.u32(0).u32(static_cast<uint32_t>(s.rip)).u32(s.seg[kCs].selector);
  b.u32(static_cast<uint32_t>(s.rflags)).u32(static_cast<uint32_t>(s.gpr[kRsp])).u32(s.seg[kSs].selector);
  b.u32(0);
  return b.take();
}

void put_segment(ByteBuffer& b, uint32_t selector, uint32_t limit, uint32_t flags, uint64_t base) {
  b.u32(selector).u32(limit).u32(flags << 8).u32(0).u64(base);
}

/// What debuggers that know virtual machines look for: all registers, in version 1 of the note "QEMU".
Bytes machine_state(const X86State& s) {
  constexpr uint32_t kVersion = 1, kSize = 440;
  ByteBuffer b;
  b.u32(kVersion).u32(kSize);
  for (const X86Gpr n : {kRax, kRbx, kRcx, kRdx, kRsi, kRdi, kRsp, kRbp}) b.u64(s.gpr[n]);
  for (size_t n = 8; n < 16; ++n) b.u64(s.gpr[n]);
  b.u64(s.rip).u64(s.rflags);
  for (const X86Seg n : {kCs, kDs, kEs, kFs, kGs, kSs})
    put_segment(b, s.seg[n].selector, s.seg[n].limit, s.seg[n].flags, s.seg[n].base);
  for (const X86Segment* seg : {&s.ldt, &s.tr})
    put_segment(b, seg->selector, seg->limit, seg->flags, seg->base);
  for (const X86Table* table : {&s.gdt, &s.idt}) put_segment(b, 0, table->limit, 0, table->base);
  b.u64(s.cr0).u64(0).u64(s.cr2).u64(s.cr3).u64(s.cr4).u64(s.msr(kDumpMsrKernelGsBase));
  return b.take();
}

}  // namespace

Result<std::unique_ptr<GuestDump>> GuestDump::create(UniqueFd file, std::vector<X86State> cpus, bool paging,
                                                     std::optional<DumpFilter> filter) {
  std::unique_ptr<GuestDump> dump(new GuestDump(std::move(file), std::move(cpus)));
  dump->collect(filter);
  if (filter && dump->total_ == 0) return fail(EINVAL, "Invalid parameter 'begin'");
  dump->paging_ = paging;
  struct stat st {};
  if (::fstat(dump->file_.get(), &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
    ::fcntl(dump->file_.get(), F_SETFL,
            O_WRONLY | O_NONBLOCK);  // a reader that stops reading holds nobody up
  return dump;
}

/// What is RAM or ROM, in order, cut as the filter says.
void GuestDump::collect(std::optional<DumpFilter> filter) {
  view_ = memory_space().view();
  for (const FlatRange& range : view_->ranges) {
    if (range.ram == nullptr) continue;
    uint64_t start = range.start, end = range.start + range.size;
    if (filter) {
      start = std::max(start, filter->begin);
      end = std::min(end, filter->begin + filter->bytes);
    }
    if (start >= end) continue;
    const uint8_t* host = range.ram->host() + range.region_offset + (start - range.start);
    if (!stretches_.empty()) {  // aliases of one block that follow each other
      Stretch& last = stretches_.back();
      if (last.start + last.bytes == start && last.host + last.bytes == host) {
        last.bytes += end - start;
        total_ += end - start;
        continue;
      }
    }
    stretches_.push_back({.start = start, .bytes = end - start, .host = host, .file_offset = total_});
    total_ += end - start;
  }
}

/// The part of a mapped page that is in the file, added to the segment before where it goes on there.
void GuestDump::add_page(uint64_t linear, uint64_t physical, uint64_t bytes) {
  for (const Stretch& s : stretches_) {
    const uint64_t start = std::max(physical, s.start);
    const uint64_t end = std::min(physical + bytes, s.start + s.bytes);
    if (start >= end) continue;
    const Segment add{.linear = linear + (start - physical),
                      .physical = start,
                      .bytes = end - start,
                      .file_offset = s.file_offset + (start - s.start)};
    if (!segments_.empty()) {
      Segment& last = segments_.back();
      if (last.linear + last.bytes == add.linear && last.physical + last.bytes == add.physical &&
          last.file_offset + last.bytes == add.file_offset) {
        last.bytes += add.bytes;
        continue;
      }
    }
    segments_.push_back(add);
  }
}

/// Processors of one guest share most of their tables: a root that was read already brings nothing new.
Result<> GuestDump::map_by_page_tables() {
  const X86ReadPhysical read = [](uint64_t address, unsigned bytes) {
    return memory_space().load(address, bytes);
  };
  std::vector<uint64_t> roots;
  for (const X86State& s : cpus_) {
    if (!x86_paging(s) || std::ranges::find(roots, s.cr3) != roots.end()) continue;
    roots.push_back(s.cr3);
    const bool complete = x86_for_each_page(s, read, kDumpMaxTables, [&](const X86Page& page) {
      add_page(page.linear, page.physical, page.bytes);
      return segments_.size() <= kDumpMaxSegments;
    });
    if (segments_.size() > kDumpMaxSegments)
      return fail(E2BIG, "The guest's page tables make more than ", kDumpMaxSegments, " segments");
    if (!complete) return fail(E2BIG, "The guest has more than ", kDumpMaxTables, " page tables");
  }
  return {};
}

Bytes GuestDump::notes() const {
  ByteBuffer out;
  for (size_t i = 0; i < cpus_.size(); ++i) {
    const auto pid = static_cast<uint32_t>(i + 1);
    put_note(out, "CORE", NT_PRSTATUS,
             dump_long_mode(cpus_[i]) ? prstatus_64(cpus_[i], pid) : prstatus_32(cpus_[i], pid));
  }
  for (const X86State& s : cpus_) put_note(out, "QEMU", 0, machine_state(s));
  return out.take();
}

/// All that stands before memory.
Bytes GuestDump::headers() const {
  const Bytes note = notes();
  const size_t program_headers = 1 + segments_.size();
  const uint64_t notes_at = sizeof(Elf64_Ehdr) + program_headers * sizeof(Elf64_Phdr);
  const uint64_t memory_at = notes_at + note.size();
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_CORE;
  header.e_machine = !cpus_.empty() && dump_long_mode(cpus_[0]) ? EM_X86_64 : EM_386;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof header;
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<uint16_t>(program_headers);
  Bytes out(sizeof header);
  std::memcpy(out.data(), &header, sizeof header);
  auto add = [&out](const Elf64_Phdr& p) {
    const auto* at = reinterpret_cast<const uint8_t*>(&p);
    out.insert(out.end(), at, at + sizeof p);
  };
  add({.p_type = PT_NOTE,
       .p_flags = 0,
       .p_offset = notes_at,
       .p_vaddr = 0,
       .p_paddr = 0,
       .p_filesz = note.size(),
       .p_memsz = note.size(),
       .p_align = 0});
  for (const Segment& s : segments_)
    add({.p_type = PT_LOAD,
         .p_flags = 0,
         .p_offset = memory_at + s.file_offset,
         .p_vaddr = s.linear,
         .p_paddr = s.physical,
         .p_filesz = s.bytes,
         .p_memsz = s.bytes,
         .p_align = 0});
  out.insert(out.end(), note.begin(), note.end());
  return out;
}

Result<> GuestDump::wait_for_room() const {
  constexpr int kLookMs = 100;
  pollfd p{.fd = file_.get(), .events = POLLOUT, .revents = 0};
  while (::poll(&p, 1, kLookMs) == 0)
    if (cancelled_) return fail(ECANCELED, "dump: cancelled");
  return {};
}

Result<> GuestDump::put(const uint8_t* data, uint64_t bytes) {
  while (bytes > 0) {
    if (cancelled_) return fail(ECANCELED, "dump: cancelled");
    const ssize_t n = ::write(file_.get(), data, std::min(bytes, kDumpPiece));
    if (n < 0 && errno == EAGAIN) TRY(wait_for_room());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return fail_errno(n < 0 ? errno : EIO, "dump: failed to save memory");
    data += n;
    bytes -= static_cast<uint64_t>(n);
  }
  return {};
}

Result<> GuestDump::write() {
  if (paging_) TRY(map_by_page_tables());
  if (segments_.empty())
    for (const Stretch& s : stretches_)
      segments_.push_back(
          {.linear = s.start, .physical = s.start, .bytes = s.bytes, .file_offset = s.file_offset});
  const Bytes head = headers();
  TRY(put(head.data(), head.size()));
  for (const Stretch& s : stretches_)
    for (uint64_t done = 0; done < s.bytes; done += kDumpPiece) {
      const uint64_t n = std::min(kDumpPiece, s.bytes - done);
      TRY(put(s.host + done, n));
      completed_ += n;
    }
  return {};
}

}  // namespace rhea
