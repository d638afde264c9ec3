#include <getopt.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <iostream>

#include "block/drivers/blkdebug.h"
#include "tools/io/io.h"
#include "util/log.h"

namespace rhea::io {

namespace {

enum LongOption : int { kObject = 256, kImageOpts };

void print_help(const std::string& program) {
  std::printf(
      "Usage: %s [OPTIONS]... [-c STRING]... [file]\n"
      "Exercises a disk image request by request\n\n"
      "  --object OBJECTDEF   make an object, such as a secret, for the image's options\n"
      "  --image-opts         treat file as option string\n"
      "  -c, --cmd STRING     execute command with its arguments\n"
      "                       from the given string\n"
      "  -f, --format FMT     specifies the block driver to use\n"
      "  -r, --read-only      export read-only\n"
      "  -n, --nocache        disable host cache, short for -t none\n"
      "  -i, --aio=MODE       use AIO mode (threads, native or io_uring)\n"
      "  -t, --cache=MODE     use the given cache mode for the image\n"
      "  -d, --discard=MODE   use the given discard mode for the image\n"
      "  -U, --force-share    force shared permissions\n"
      "  -h, --help           display this help and exit\n"
      "  -V, --version        output version information and exit\n\n"
      "See '%s -c help' for information on available commands.\n",
      program.c_str(), program.c_str());
}

struct Invocation {
  std::string program;
  std::vector<std::string> commands, objects;
  ImageRequest request;
  bool has_file = false;
  int status = -1;  ///< not negative: exit with it
};

Invocation parse(int argc, char** argv) {
  static constexpr option kLong[] = {{"help", no_argument, nullptr, 'h'},
                                     {"version", no_argument, nullptr, 'V'},
                                     {"cmd", required_argument, nullptr, 'c'},
                                     {"format", required_argument, nullptr, 'f'},
                                     {"read-only", no_argument, nullptr, 'r'},
                                     {"snapshot", no_argument, nullptr, 's'},
                                     {"nocache", no_argument, nullptr, 'n'},
                                     {"copy-on-read", no_argument, nullptr, 'C'},
                                     {"misalign", no_argument, nullptr, 'm'},
                                     {"native-aio", no_argument, nullptr, 'k'},
                                     {"aio", required_argument, nullptr, 'i'},
                                     {"discard", required_argument, nullptr, 'd'},
                                     {"cache", required_argument, nullptr, 't'},
                                     {"trace", required_argument, nullptr, 'T'},
                                     {"force-share", no_argument, nullptr, 'U'},
                                     {"object", required_argument, nullptr, kObject},
                                     {"image-opts", no_argument, nullptr, kImageOpts},
                                     {nullptr, 0, nullptr, 0}};
  Invocation in;
  const char* slash = std::strrchr(argv[0], '/');
  in.program = slash != nullptr ? slash + 1 : argv[0];
  log_set_program(in.program);
  in.request.writable = true;
  for (int c = 0; (c = getopt_long(argc, argv, "hVc:d:f:rsnCmki:t:T:U", kLong, nullptr)) != -1;) {
    switch (c) {
      case 'h':
        print_help(in.program);
        in.status = 0;
        return in;
      case 'V':
        std::printf("%s version " RHEA_VERSION "\n", in.program.c_str());
        in.status = 0;
        return in;
      case 'c':
        in.commands.emplace_back(optarg);
        break;
      case 'd':
        in.request.discard = optarg;
        break;
      case 'f':
        in.request.format = optarg;
        break;
      case 'r':
        in.request.writable = false;
        break;
      case 's':
        in.request.snapshot = true;
        break;
      case 'n':
        in.request.cache = "none";
        break;
      case 'C':
        in.request.copy_on_read = true;
        break;
      case 'm':
        break;  // buffers of any alignment work
      case 'k':
        in.request.aio = "native";
        break;
      case 'i':
        in.request.aio = optarg;
        break;
      case 't':
        in.request.cache = optarg;
        break;
      case 'T':
        break;
      case 'U':
        in.request.force_share = true;
        break;
      case kImageOpts:
        in.request.image_opts = true;
        break;
      case kObject:
        in.objects.emplace_back(optarg);
        break;
      default:
        print_help(in.program);
        in.status = 1;
        return in;
    }
  }
  if (argc - optind > 1) {
    print_help(in.program);
    in.status = 1;
    return in;
  }
  if (argc - optind == 1) {
    in.has_file = true;
    in.request.name = argv[optind];
  }
  return in;
}

/// Reads commands from standard input until its end.
int interact(Session& session, const std::string& program) {
  const bool terminal = isatty(STDIN_FILENO) != 0;
  std::string line;
  int status = 0;
  while (!session.quit()) {
    std::printf("%s> ", program.c_str());
    std::fflush(stdout);
    if (!std::getline(std::cin, line)) break;
    if (session.run_line(line) < 0) status = 1;
  }
  if (terminal && !session.quit()) std::printf("\n");
  return terminal ? 0 : status;
}

}  // namespace

bool Session::open(ImageRequest request) {
  if (image_) {
    std::fprintf(stderr, "file open already, try 'help close'\n");
    return false;
  }
  Result<std::unique_ptr<ToolImage>> image = tool_.open(request);
  if (!image) {
    Error e = image.error();
    const std::string prefix = str_cat("Could not open '", request.name, "': ");
    if (!request.name.empty() && e.message().starts_with(prefix))
      error_report(Error(e.errnum(), str_cat("can't open", request.name.empty() ? "" : " device ",
                                             request.name, ": ", e.message().substr(prefix.size())))
                       .with_hint(e.hint()));
    else
      error_report(Error(e.errnum(), str_cat("can't open: ", e.message())));
    return false;
  }
  image_ = std::move(*image);
  request_ = std::move(request);
  return true;
}

/// An image opened for reading may be writable by now.
bool Session::need(uint32_t perms) {
  BlockBackend& disk = image_->backend();
  if ((disk.perms().perm & perms) == perms) return true;
  Result<> r = tool_.run(tool_.co_set_perm(disk, PermPair{disk.perms().perm | perms, disk.perms().shared}));
  if (!r) error_report(r.error());
  return r.has_value();
}

void Session::close() {
  wait_for_started();
  image_.reset();
}

void Session::start(CoResult<> work, std::function<void(Result<>)> done) {
  started_.spawn<void>(std::move(work), std::move(done));
}

void Session::wait_for_started() {
  std::ignore = tool_.run(started_.co_close());
}

int Session::run_line(const std::string& line) {
  static constexpr const char* kBlank = " \t\r\n";
  Words words;
  size_t at = 0;
  while ((at = line.find_first_not_of(kBlank, at)) != std::string::npos) {
    const size_t end = std::min(line.find_first_of(kBlank, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  if (words.empty()) return 0;
  const Command* c = find_command(words[0]);
  if (c == nullptr) {
    std::fprintf(stderr, "command \"%s\" not found\n", words[0].c_str());
    return -1;
  }
  if (c->needs_image && !image_) {
    std::fprintf(stderr, "no file open, try 'help open'\n");
    return -1;
  }
  const int n = static_cast<int>(words.size()) - 1;
  if (n < c->least || (c->most >= 0 && n > c->most)) {
    if (c->most == c->least)
      std::fprintf(stderr, "bad argument count %d to %s, expected %d arguments\n", n, words[0].c_str(),
                   c->least);
    else if (c->most < 0)
      std::fprintf(stderr, "bad argument count %d to %s, expected at least %d arguments\n", n,
                   words[0].c_str(), c->least);
    else
      std::fprintf(stderr, "bad argument count %d to %s, expected between %d and %d arguments\n", n,
                   words[0].c_str(), c->least, c->most);
    return -1;
  }
  const PermPair before = image_ ? image_->backend().perms() : PermPair{};
  if (c->perms != 0 && !need(c->perms)) return -1;
  const int status = c->run(*this, words);
  // Only while the command runs: with the right to resize, writes behind the end would make an image longer.
  if ((c->perms & blk_perm::kResize) != 0 && image_)
    std::ignore = tool_.run(tool_.co_set_perm(image_->backend(), before));
  std::fflush(stdout);
  return status;
}

static int main(int argc, char** argv) {
  Invocation in = parse(argc, argv);
  if (in.status >= 0) return in.status;
  Result<std::unique_ptr<Tool>> tool = Tool::create();
  if (!tool) return report(tool.error());
  for (const std::string& text : in.objects)
    if (const Result<> made = (*tool)->add_object(text); !made) return report(made.error());
  BlkdebugRules::on_break = [](bool suspended, const std::string& tag) {
    std::printf("blkdebug: %s request '%s'\n", suspended ? "Suspended" : "Resuming", tag.c_str());
  };
  Session session(**tool);
  if (in.has_file && !session.open(in.request)) return 1;
  int status = 0;
  if (in.commands.empty()) {
    status = interact(session, in.program);
  } else {
    for (const std::string& line : in.commands) {
      if (session.quit()) break;
      if (session.run_line(line) < 0) status = 1;
    }
  }
  session.close();
  return status;
}

}  // namespace rhea::io

int main(int argc, char** argv) {
  return rhea::io::main(argc, argv);
}
