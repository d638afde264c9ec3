// The commands, sorted by name, and their help.
#include <cstring>

#include "tools/io/io.h"

namespace rhea::io {

namespace {
constexpr const char* kReadHelp =
    "\n reads a range of bytes from the given offset\n\n Example:\n 'read -v 512 1k' - dumps 1 kilobyte read "
    "from 512 bytes into the file\n\n"
    " -C, -- report statistics in a machine parsable format\n -l, -- length for pattern verification (only "
    "with -P)\n"
    " -P, -- use a pattern to verify read data\n -q, -- quiet mode, do not show I/O statistics\n"
    " -s, -- start offset for pattern verification (only with -P)\n -v, -- dump buffer to standard output\n";
constexpr const char* kWriteHelp =
    "\n writes a range of bytes from the given offset\n\n Example:\n 'write 512 1k' - writes 1 kilobyte at "
    "512 bytes into the open file\n\n"
    " -c, -- write compressed data\n -f, -- flush before the write counts as done\n -P, -- use different "
    "pattern to fill file\n"
    " -s, -- use a pattern file to fill the write buffer\n -C, -- report statistics in a machine parsable "
    "format\n"
    " -q, -- quiet mode, do not show I/O statistics\n -u, -- with -z, allow unmapping\n -z, -- write "
    "zeroes\n";

constexpr const char* kReopenHelp =
    "\n Changes the open options of an image that is open\n\n Example:\n 'reopen -o lazy-refcounts=on' - "
    "enables lazy refcount writeback on a qcow2 image\n\n -r, -- Reopen the image read-only\n -w, -- Reopen "
    "the image read-write\n -c, -- Change the cache mode to the given value\n -o, -- Changes block driver "
    "options (cf. 'open' command)\n";

constexpr Command kCommands[] = {
    {"abort", nullptr, "", "simulate a program crash using abort(3)", nullptr, 0, 0, false, cmd_abort},
    {"aio_flush", nullptr, "", "completes all outstanding aio requests", nullptr, 0, 0, true, cmd_aio_flush},
    {"aio_read", nullptr, "[-Ciqv] [-P pattern] off len [len..]", "asynchronously reads a number of bytes",
     nullptr, 2, -1, true, cmd_aio_read},
    {"aio_write", nullptr, "[-Cfiquz] [-P pattern] off len [len..]",
     "asynchronously writes a number of bytes", nullptr, 2, -1, true, cmd_aio_write, blk_perm::kWrite},
    {"alloc", "a", "offset [count]", "checks if offset is allocated in the file", nullptr, 1, 2, true,
     cmd_alloc},
    {"break", nullptr, "event tag", "sets a breakpoint on event and tags the stopped request as tag", nullptr,
     2, 2, true, cmd_break},
    {"close", "c", "", "close the current open file", nullptr, 0, 0, true, cmd_close},
    {"discard", "d", "[-Cq] off len", "discards a number of bytes at a specified offset", nullptr, 2, -1,
     true, cmd_discard, blk_perm::kWrite},
    {"flush", "f", "", "flush all in-core file state to disk", nullptr, 0, 0, true, cmd_flush},
    {"help", "?", "[command]", "help for one or all commands", nullptr, 0, 1, false, cmd_help},
    {"info", "i", "", "prints information about the current file", nullptr, 0, 0, true, cmd_info},
    {"length", "l", "", "gets the length of the current file", nullptr, 0, 0, true, cmd_length},
    {"map", nullptr, "", "prints the allocated areas of a file", nullptr, 0, 1, true, cmd_map},
    {"open", "o", "[-rnU] [-t cache] [-d discard] [-o options] [path]", "open the file specified by path",
     nullptr, 1, -1, false, cmd_open},
    {"quit", "q", "", "exit the program", nullptr, 0, 0, false, cmd_quit},
    {"read", "r", "[-abCqv] [-P pattern [-s off] [-l len]] off len",
     "reads a number of bytes at a specified offset", kReadHelp, 2, -1, true, cmd_read},
    {"readv", "rv", "[-Cqv] [-P pattern] off len [len..]", "reads a number of bytes at a specified offset",
     nullptr, 2, -1, true, cmd_readv},
    {"remove_break", nullptr, "tag", "remove a breakpoint by tag", nullptr, 1, 1, true, cmd_remove_break},
    {"reopen", nullptr, "[(-r|-w)] [-c cache] [-o options]", "reopens an image with new options", kReopenHelp,
     0, -1, true, cmd_reopen},
    {"resume", nullptr, "tag", "resumes the request tagged as tag", nullptr, 1, 1, true, cmd_resume},
    {"sigraise", nullptr, "signal", "raises a signal", nullptr, 1, 1, false, cmd_sigraise},
    {"sleep", nullptr, "", "waits for the given value in milliseconds", nullptr, 1, 1, false, cmd_sleep},
    {"truncate", "t", "[-m prealloc_mode] off", "truncates the current file at the given offset", nullptr, 1,
     3, true, cmd_truncate, blk_perm::kWrite | blk_perm::kResize},
    {"wait_break", nullptr, "tag", "waits for the suspension of a request", nullptr, 1, 1, true,
     cmd_wait_break},
    {"write", "w", "[-bcCfnquz] [-P pattern | -s source_file] off len",
     "writes a number of bytes at a specified offset", kWriteHelp, 2, -1, true, cmd_write, blk_perm::kWrite},
    {"writev", "wv", "[-Cfq] [-P pattern] off len [len..]", "writes a number of bytes at a specified offset",
     nullptr, 2, -1, true, cmd_writev, blk_perm::kWrite},
};
}  // namespace

std::span<const Command> commands() {
  return kCommands;
}

const Command* find_command(const std::string& name) {
  for (const Command& c : kCommands)
    if (name == c.name || (c.alias != nullptr && name == c.alias)) return &c;
  return nullptr;
}

}  // namespace rhea::io
