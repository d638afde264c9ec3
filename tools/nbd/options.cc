// The command line of rhea-nbd: qemu-nbd's options and messages.
#include <getopt.h>

#include <cstdio>
#include <cstring>

#include "block/cache_mode.h"
#include "tools/nbd/nbd.h"
#include "util/log.h"

namespace rhea::nbd_tool {

namespace {

enum LongOption : int {
  kCache = 256,
  kAio,
  kDiscard,
  kDetectZeroes,
  kImageOpts,
  kObject,
  kFork,
  kPidFile,
  kTlsCreds,
  kTlsAuthz,
  kSelinux
};

void print_help(const std::string& program) {
  std::printf(
      "Usage: %s [OPTIONS] FILE\n"
      "  or:  %s -L [OPTIONS]\n"
      "Serves a disk image to NBD clients\n\n"
      "  -h, --help                display this help and exit\n"
      "  -V, --version             display version information and exit\n\n"
      "Connection properties:\n"
      "  -p, --port=PORT           port to listen on (default `10809')\n"
      "  -b, --bind=IFACE          interface to bind to (default `0.0.0.0')\n"
      "  -k, --socket=PATH         path to the unix socket\n"
      "  -e, --shared=NUM          device can be shared by NUM clients (default '1'), 0 for any number\n"
      "  -t, --persistent          don't exit on the last connection\n"
      "  -v, --verbose             keep standard error after --fork\n"
      "  -x, --export-name=NAME    expose export by name (default is empty string)\n"
      "  -D, --description=TEXT    export a human-readable description\n\n"
      "Exposing part of the image:\n"
      "  -o, --offset=OFFSET       offset into the image\n"
      "  -A, --allocation-depth    expose the allocation depth\n\n"
      "General purpose options:\n"
      "  -L, --list                list exports available from another NBD server\n"
      "  --object type,id=ID,...   define an object such as 'secret'\n"
      "  --fork                    fork off the server process and exit the parent\n"
      "                            once the server is running\n"
      "  --pid-file=PATH           store the server's process ID in the given file\n\n"
      "Block device options:\n"
      "  -f, --format=FORMAT       set image format (raw, qcow2, ...)\n"
      "  -r, --read-only           export read-only\n"
      "  -s, --snapshot            write to a temporary image over FILE\n"
      "  -l, --load-snapshot=SNAPSHOT_PARAM\n"
      "                            export an internal snapshot of FILE read-only: 'snapshot.id=ID',\n"
      "                            'snapshot.name=NAME' or either alone\n"
      "  -n, --nocache             disable host cache\n"
      "      --cache=MODE          set cache mode used to access the disk image, the\n"
      "                            valid options are: 'none', 'writeback' (default),\n"
      "                            'writethrough', 'directsync' and 'unsafe'\n"
      "      --aio=MODE            set AIO mode (native, io_uring or threads)\n"
      "      --discard=MODE        set discard mode (ignore, unmap)\n"
      "      --detect-zeroes=MODE  set detect-zeroes mode (off, on, unmap)\n"
      "      --image-opts          treat FILE as a full set of image options\n",
      program.c_str(), program.c_str());
}

int complain(Options& o, const std::string& text, bool try_help = false) {
  error_report(text);
  if (try_help) std::fprintf(stderr, "Try `%s --help' for more information.\n", o.program.c_str());
  return o.status = 1;
}

class Parser {
 public:
  explicit Parser(Options& o) : o_(o) {}
  void take(int c);
  void finish(int argc, char** argv);

 private:
  void take_image(int c);
  void take_socket(int c);
  void take_cache(const std::string& mode) {
    if (cache_seen_) {
      complain(o_, "-n and --cache can only be specified once");
      return;
    }
    cache_seen_ = true;
    if (!parse_cache_mode(mode)) complain(o_, str_cat("Invalid cache mode `", mode, "'"));
    o_.image.cache = mode;
  }
  Options& o_;
  bool cache_seen_ = false, discard_seen_ = false, aio_seen_ = false, per_device_ = false;
};

void Parser::take_image(int c) {
  switch (c) {
    case 'f':
      o_.image.format = optarg;
      o_.format_given = true;
      break;
    case 'n':
      take_cache("none");
      break;
    case kCache:
      take_cache(optarg);
      break;
    case kAio:
      if (aio_seen_) complain(o_, "--aio can only be specified once");
      aio_seen_ = true;
      o_.image.aio = optarg;
      if (o_.image.aio != "threads" && o_.image.aio != "native" && o_.image.aio != "io_uring")
        complain(o_, str_cat("Invalid aio mode '", optarg, "'"));
      break;
    case kDiscard:
      if (discard_seen_) complain(o_, "--discard can only be specified once");
      discard_seen_ = true;
      o_.image.discard = optarg;
      if (o_.image.discard != "ignore" && o_.image.discard != "off" && o_.image.discard != "unmap" &&
          o_.image.discard != "on")
        complain(o_, str_cat("Invalid discard mode `", optarg, "'"));
      break;
    case kDetectZeroes:
      o_.detect_zeroes = optarg;
      if (o_.detect_zeroes != "off" && o_.detect_zeroes != "on" && o_.detect_zeroes != "unmap")
        complain(o_, str_cat("Failed to parse detect_zeroes mode: invalid parameter value: ", optarg));
      break;
    case kImageOpts:
      o_.image.image_opts = true;
      break;
    case 's':
      o_.image.snapshot = true;
      break;
    case 'l':
      o_.snapshot = optarg;
      o_.read_only = true;
      break;
    default:
      break;
  }
}

void Parser::take_socket(int c) {
  uint64_t number = 0;
  switch (c) {
    case 'b':
      o_.bind = optarg;
      break;
    case 'p':
      o_.port = optarg;
      break;
    case 'k':
      o_.socket = optarg;
      if (optarg[0] != '/') complain(o_, "socket path must be absolute");
      break;
    case 'e':
      if (!parse_u64(optarg, number) || number > INT32_MAX)
        complain(o_, str_cat("Invalid shared device number '", optarg, "'"));
      o_.shared = static_cast<unsigned>(number);
      break;
    default:
      break;
  }
}

void Parser::take(int c) {
  switch (c) {
    case 'b':
    case 'p':
    case 'k':
    case 'e':
      take_socket(c);
      break;
    case 'o':
      if (!parse_u64(optarg, o_.offset) || o_.offset > INT64_MAX)
        complain(o_, str_cat("Invalid offset '", optarg, "'"));
      per_device_ = true;
      break;
    case 'x':
      o_.export_name = optarg;
      per_device_ = true;
      if (o_.export_name.size() > 4096) complain(o_, str_cat("export name '", optarg, "' too long"));
      break;
    case 'D':
      o_.description = optarg;
      per_device_ = true;
      if (o_.description.size() > 4096) complain(o_, str_cat("export description '", optarg, "' too long"));
      break;
    case 'A':
      o_.allocation_depth = true;
      per_device_ = true;
      break;
    case 'r':
      o_.read_only = true;
      break;
    case 't':
      o_.persistent = true;
      break;
    case 'v':
      o_.verbose = true;
      break;
    case 'L':
      o_.list = true;
      break;
    case kFork:
      o_.fork = true;
      break;
    case kPidFile:
      o_.pid_file = optarg;
      break;
    case 'c':
    case 'd':
      complain(o_, str_cat("-", std::string(1, static_cast<char>(c)),
                           " is not supported: use nbd-client with the kernel's NBD devices"));
      break;
    case 'B':
      complain(o_, "-B is not supported: there are no dirty bitmaps to expose");
      break;
    case kObject:
      o_.objects.emplace_back(optarg);
      break;
    case kTlsCreds:
    case kTlsAuthz:
      complain(o_, "TLS is not supported");
      break;
    case kSelinux:
      complain(o_, "SELinux support not enabled in this binary");
      break;
    case 'T':
      break;
    case 'h':
      print_help(o_.program);
      o_.status = 0;
      break;
    case 'V':
      std::printf("%s version " RHEA_VERSION "\n", o_.program.c_str());
      o_.status = 0;
      break;
    case '?':
      complain(o_, str_cat("Try `", o_.program, " --help' for more information."));
      break;
    default:
      take_image(c);
  }
}

void Parser::finish(int argc, char** argv) {
  if (o_.list) {
    if (argc != optind) {
      complain(o_, "List mode is incompatible with a file name");
      return;
    }
    if (per_device_) complain(o_, "List mode is incompatible with per-device settings");
    return;
  }
  if (argc - optind != 1) {
    complain(o_, "Invalid number of arguments", true);
    return;
  }
  if (o_.image.image_opts && o_.format_given) {
    complain(o_, "--image-opts and -f are mutually exclusive");
    return;
  }
  o_.has_file = true;
  o_.image.name = argv[optind];
  o_.image.writable = !o_.read_only;
}

}  // namespace

Options parse_options(int argc, char** argv) {
  static constexpr option kLong[] = {{"help", no_argument, nullptr, 'h'},
                                     {"version", no_argument, nullptr, 'V'},
                                     {"port", required_argument, nullptr, 'p'},
                                     {"bind", required_argument, nullptr, 'b'},
                                     {"socket", required_argument, nullptr, 'k'},
                                     {"shared", required_argument, nullptr, 'e'},
                                     {"persistent", no_argument, nullptr, 't'},
                                     {"verbose", no_argument, nullptr, 'v'},
                                     {"export-name", required_argument, nullptr, 'x'},
                                     {"description", required_argument, nullptr, 'D'},
                                     {"offset", required_argument, nullptr, 'o'},
                                     {"allocation-depth", no_argument, nullptr, 'A'},
                                     {"bitmap", required_argument, nullptr, 'B'},
                                     {"list", no_argument, nullptr, 'L'},
                                     {"connect", required_argument, nullptr, 'c'},
                                     {"disconnect", no_argument, nullptr, 'd'},
                                     {"format", required_argument, nullptr, 'f'},
                                     {"read-only", no_argument, nullptr, 'r'},
                                     {"snapshot", no_argument, nullptr, 's'},
                                     {"load-snapshot", required_argument, nullptr, 'l'},
                                     {"nocache", no_argument, nullptr, 'n'},
                                     {"trace", required_argument, nullptr, 'T'},
                                     {"cache", required_argument, nullptr, kCache},
                                     {"aio", required_argument, nullptr, kAio},
                                     {"discard", required_argument, nullptr, kDiscard},
                                     {"detect-zeroes", required_argument, nullptr, kDetectZeroes},
                                     {"image-opts", no_argument, nullptr, kImageOpts},
                                     {"object", required_argument, nullptr, kObject},
                                     {"fork", no_argument, nullptr, kFork},
                                     {"pid-file", required_argument, nullptr, kPidFile},
                                     {"tls-creds", required_argument, nullptr, kTlsCreds},
                                     {"tls-authz", required_argument, nullptr, kTlsAuthz},
                                     {"selinux-label", required_argument, nullptr, kSelinux},
                                     {nullptr, 0, nullptr, 0}};
  Options o;
  const char* slash = std::strrchr(argv[0], '/');
  o.program = slash != nullptr ? slash + 1 : argv[0];
  log_set_program(o.program);
  o.image.discard = "ignore";
  Parser parser(o);
  for (int c = 0; o.status < 0 &&
                  (c = getopt_long(argc, argv, "hVb:o:p:rsnc:dvk:e:f:tl:x:T:D:AB:L", kLong, nullptr)) != -1;)
    parser.take(c);
  if (o.status < 0) parser.finish(argc, argv);
  return o;
}

SocketEndpoint address_of(const Options& o) {
  SocketEndpoint a;
  if (!o.socket.empty()) {
    a.path = o.socket;
    return a;
  }
  a.kind = SocketEndpoint::Kind::kInet;
  a.host = o.bind;
  a.port = o.port;
  return a;
}

}  // namespace rhea::nbd_tool
