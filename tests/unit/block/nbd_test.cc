// NBD: the server and the client node against each other, and each against a peer that breaks the rules.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <thread>

#include "block/drivers/nbd/options.h"
#include "block/export/nbd_protocol.h"
#include "block/export/nbd_server.h"
#include "tests/unit/block/graph_fixture.h"
#include "util/byteorder.h"

namespace rhea {
namespace {

using namespace nbd;

constexpr PermPair kNbdWriter{blk_perm::kConsistentRead | blk_perm::kWrite, blk_perm::kAll};
constexpr size_t kNbdSize = 1 << 20;

template <class T>
std::string be(T value) {
  std::string out(sizeof value, 0);
  store_be(out.data(), value);
  return out;
}

/// A blocking connection of a test's own.
class RawPeer {
 public:
  explicit RawPeer(int fd) : fd_(fd) {
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  static RawPeer connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return RawPeer(fd);
  }
  void send(const std::string& bytes) {
    std::ignore = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  /// Exactly `n` bytes, or what came before the end.
  std::string receive(size_t n) {
    std::string out(n, 0);
    size_t done = 0;
    while (done < n) {
      const ssize_t got = ::recv(fd_.get(), out.data() + done, n - done, 0);
      if (got <= 0) break;
      done += static_cast<size_t>(got);
    }
    out.resize(done);
    return out;
  }
  bool at_end() { return receive(1).empty(); }
  void hello() {
    receive(18);
    send(be(uint32_t{3}));
  }
  void option(uint32_t number, const std::string& data) {
    send(be(kOptionMagic) + be(number) + be(static_cast<uint32_t>(data.size())) + data);
  }
  uint32_t reply_type() {
    const std::string head = receive(20);
    if (head.size() < 20) return 0;
    receive(load_be<uint32_t>(head.data() + 16));
    return load_be<uint32_t>(head.data() + 12);
  }
  void request(uint16_t type, uint64_t offset, uint32_t bytes, uint16_t flags = 0) {
    send(be(kRequestMagic) + be(flags) + be(type) + be(uint64_t{7}) + be(offset) + be(bytes));
  }
  /// The error number of a simple reply; -1 if there is none.
  int64_t simple_error() {
    const std::string head = receive(16);
    if (head.size() < 16 || load_be<uint32_t>(head.data()) != kSimpleReplyMagic) return -1;
    return load_be<uint32_t>(head.data() + 4);
  }

 private:
  UniqueFd fd_;
};

class Nbd : public GraphTest {
 protected:
  ~Nbd() override { EXPECT_TRUE(run(server.co_stop())); }
  void serve(bool writable = true, const std::string& name = "disk") {
    if (!node) {
      Result<NodeRef> r = open(R"({"driver": "raw", "discard": "unmap"})", make_file("image", kNbdSize));
      ASSERT_TRUE(r) << r.error().message();
      node = *r;
    }
    start();
    NbdExportConfig config;
    config.id = config.name = name;
    config.writable = writable;
    config.allocation_depth = true;
    Result<> added = run(server.co_add(*node, std::move(config)));
    ASSERT_TRUE(added) << added.error().message();
  }
  void start() {
    SocketEndpoint a;
    a.path = path();
    server.start({});
    std::vector<UniqueFd> listeners;
    listeners.push_back(socket_listen(a, 8).value());
    server.listen(std::move(listeners));
  }
  std::string path() const { return dir + "/socket"; }
  std::string client_json(const std::string& more = {}) const {
    return str_cat(R"({"driver": "nbd", "server": {"type": "unix", "path": ")", path(),
                   R"("}, "export": "disk")", more, "}");
  }
  /// Lets the loop run beside a blocking peer.
  template <class F>
  void beside(F body) {
    std::atomic<bool> done = false;
    std::thread peer([&] {
      body();
      done = true;
      loop->wake();
    });
    loop->make_current();
    while (!done) loop->run_once(true);
    peer.join();
  }
  NbdServer server{graph};
  NodeRef node;
};

TEST_F(Nbd, AClientReadsAndWritesWhatTheServerHas) {
  serve();
  Result<NodeRef> client = open(client_json(R"(, "discard": "unmap")"));
  ASSERT_TRUE(client) << client.error().message();
  EXPECT_EQ((*client)->total_bytes(), kNbdSize);
  EXPECT_EQ((*client)->filename(), str_cat("nbd+unix:///disk?socket=", path()));
  BlockBackend backend(graph, "b", kNbdWriter);
  ASSERT_TRUE(insert(backend, **client));
  std::vector<char> out(300 << 10, 'x'), in(out.size());
  ASSERT_TRUE(run(backend.co_pwritev({1000, out.size()}, IoVector(out.data(), out.size()))));
  ASSERT_TRUE(run(backend.co_preadv({1000, in.size()}, IoVector(in.data(), in.size()))));
  EXPECT_EQ(in, out);
  ASSERT_TRUE(run(backend.co_pwrite_zeroes({65536, 65536}, true)));
  ASSERT_TRUE(run(backend.co_preadv({65536, 65536}, IoVector(in.data(), 65536))));
  EXPECT_EQ(std::string(in.data(), 65536), std::string(65536, 0));
  Result<BlockStatus> status = run(backend.co_block_status({65536, 131072}));
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->zero);
  EXPECT_EQ(status->bytes, 65536u);
  EXPECT_TRUE(run(backend.co_flush()));
  EXPECT_TRUE(run(backend.co_pdiscard({0, 4096})));
  EXPECT_EQ(run(backend.co_truncate(2 * kNbdSize)).error().message(), "Cannot grow NBD nodes");
  ASSERT_TRUE(remove(backend));
}

TEST_F(Nbd, ScatteredBuffersArriveWhole) {
  serve();
  Result<NodeRef> client = open(client_json());
  ASSERT_TRUE(client);
  BlockBackend backend(graph, "b", kNbdWriter);
  ASSERT_TRUE(insert(backend, **client));
  std::vector<char> bytes(100 * 512);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  std::vector<iovec> pieces;
  for (size_t i = 0; i < 100; ++i) pieces.push_back({&bytes[i * 512], 512});
  ASSERT_TRUE(run(backend.co_pwritev({512, bytes.size()}, IoVector(pieces))));
  std::vector<char> in(bytes.size());
  ASSERT_TRUE(run(backend.co_preadv({512, in.size()}, IoVector(in.data(), in.size()))));
  EXPECT_EQ(in, bytes);
  ASSERT_TRUE(remove(backend));
}

TEST_F(Nbd, ErrorsHaveTheWordsPeopleKnow) {
  serve(false);
  Result<NodeRef> r = open(str_cat(R"({"driver": "nbd", "path": ")", path(), R"(", "export": "nix"})"));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().message(), "Requested export not available");
  EXPECT_EQ(r.error().hint(), "server reported: export 'nix' not present");
  EXPECT_EQ(open_error(client_json()), "Could not open image: Permission denied");
  EXPECT_EQ(open_error(client_json(R"(, "read-only": true)")), "(success)");
  EXPECT_EQ(open_error(client_json(R"(, "auto-read-only": true)")), "(success)");
  EXPECT_EQ(open_error(client_json(R"(, "read-only": true, "x-dirty-bitmap": "qemu:dirty-bitmap:x")")),
            "Could not open image: Invalid argument");
  EXPECT_EQ(open_error(R"({"driver": "nbd"})"), "NBD server address missing");
  EXPECT_EQ(open_error(R"({"driver": "nbd", "port": "3"})"), "NBD server address missing");
  EXPECT_EQ(open_error(R"({"driver": "nbd", "path": "/x", "host": "y"})"),
            "path and host may not be used at the same time");
  EXPECT_EQ(open_error(R"({"driver": "nbd", "server.type": "unix"})"), "Parameter 'path' is missing");
  EXPECT_EQ(open_error(R"({"driver": "nbd", "path": "/nonexistent/s"})"),
            "Failed to connect to '/nonexistent/s': No such file or directory");
  EXPECT_EQ(
      open_error(str_cat(R"({"driver": "nbd", "read-only": true, "export": "disk", "bar": 1, "path": ")",
                         path(), R"("})")),
      "Block protocol 'nbd' doesn't support the option 'bar'");
}

TEST_F(Nbd, ExportsHaveTheirErrors) {
  serve();
  auto add = [&](const std::string& id, const std::string& name) {
    NbdExportConfig c;
    c.id = id;
    c.name = name;
    Result<> r = run(server.co_add(*node, std::move(c)));
    return r ? std::string("(success)") : r.error().message();
  };
  EXPECT_EQ(add("1", "x"), "Invalid block export id");
  EXPECT_EQ(add("disk", "x"), "Block export id 'disk' is already in use");
  EXPECT_EQ(add("other", "disk"), "NBD server already has export named 'disk'");
  EXPECT_EQ(add("long", std::string(4097, 'a')),
            str_cat("export name '", std::string(4097, 'a'), "' too long"));
  EXPECT_EQ(add("other", "o"), "(success)");
  Result<NodeRef> ro =
      open(str_cat(R"({"driver": "raw", "read-only": true, "file.filename": ")", dir, R"(/image"})"));
  ASSERT_TRUE(ro);
  NbdExportConfig c;
  c.id = c.name = "ro";
  c.writable = true;
  EXPECT_EQ(run(server.co_add(**ro, std::move(c))).error().message(),
            "Cannot export read-only node as writable");
}

TEST_F(Nbd, AnExportGoesWithItsClientsDisconnected) {
  serve();
  std::vector<std::string> gone;
  server.on_deleted = [&](const std::string& id) { gone.push_back(id); };
  Result<NodeRef> client = open(client_json());
  ASSERT_TRUE(client);
  NbdExport* e = server.find_id("disk");
  EXPECT_TRUE(server.has_clients(*e));
  server.begin_remove(*e);
  EXPECT_TRUE(e->shutting_down);
  while (gone.empty()) loop->run_once(true);
  EXPECT_EQ(gone, std::vector<std::string>{"disk"});
  char byte = 0;
  BlockBackend backend(graph, "b", kNbdWriter);
  ASSERT_TRUE(insert(backend, **client));
  EXPECT_EQ(run(backend.co_preadv({0, 1}, IoVector(&byte, 1))).error().errnum(), EIO);
  ASSERT_TRUE(remove(backend));
}

TEST_F(Nbd, RequestsWaitForAServerThatComesBack) {
  serve();
  Result<NodeRef> client = open(client_json(R"(, "reconnect-delay": 60)"));
  ASSERT_TRUE(client);
  BlockBackend backend(graph, "b", kNbdWriter);
  ASSERT_TRUE(insert(backend, **client));
  ASSERT_TRUE(run(server.co_stop()));
  std::vector<char> data(4096, 'r');
  std::optional<Result<>> written;
  loop->make_current();
  co_start<void>(backend.co_pwritev({0, 4096}, IoVector(data.data(), 4096)),
                 [&](Result<> r) { written = std::move(r); });
  for (int i = 0; i < 5; ++i) loop->run_once(false);
  EXPECT_FALSE(written);
  serve();
  while (!written) loop->run_once(true);
  EXPECT_TRUE(*written);
  ASSERT_TRUE(remove(backend));
  client->reset();  // its last flush would wait for the server, too
  reap();
}

TEST_F(Nbd, OpeningWaitsForAServerThatIsStarting) {
  Result<NodeRef> opened;
  bool done = false;
  loop->make_current();
  Result<Json> json = Json::parse(client_json(R"(, "open-timeout": 60)"));
  OpenRequest request(OptionTree::from_json(*json));
  co_start<NodeRef>(co_open_node(graph, std::move(request)), [&](Result<NodeRef> r) {
    opened = std::move(r);
    done = true;
  });
  for (int i = 0; i < 3; ++i) loop->run_once(true);
  EXPECT_FALSE(done);
  serve();
  while (!done) loop->run_once(true);
  EXPECT_TRUE(opened) << opened.error().message();
}

TEST_F(Nbd, FileNames) {
  struct Case {
    const char* name;
    const char* expected;
  };
  for (const Case& c :
       {Case{"nbd:h:1", R"({"server": {"type": "inet", "host": "h", "port": "1"}})"},
        {"nbd:[::1]:2:exportname=e",
         R"({"export": "e", "server": {"type": "inet", "host": "::1", "port": "2"}})"},
        {"nbd:unix:/p:exportname=", R"({"server": {"type": "unix", "path": "/p"}})"},
        {"nbd://h", R"({"server": {"type": "inet", "host": "h", "port": "10809"}})"},
        {"nbd+tcp://h:5/a%20b", R"({"export": "a b", "server": {"type": "inet", "host": "h", "port": "5"}})"},
        {"nbd+unix:///x?socket=/s%2fq", R"({"export": "x", "server": {"type": "unix", "path": "/s/q"}})"},
        {"nbd:foo", "error parsing address 'foo'"},
        {"nbd://", "No valid URL specified"},
        {"nbd://h/?x=y", "No valid URL specified"},
        {"nbd+unix:///", "No valid URL specified"},
        {"nbd+unix://h/?socket=a", "No valid URL specified"},
        {"nbd+unix:///?socket=a&socket=b", "No valid URL specified"},
        {"nbd://h/%zz", "No valid URL specified"}}) {
    OptionTree options;
    Result<> r = parse_nbd_filename(c.name, options);
    EXPECT_EQ(r ? options.to_json().dump() : r.error().message(), c.expected) << c.name;
  }
}

TEST_F(Nbd, ABrokenHandshakeEndsTheClientOnly) {
  serve();
  beside([&] {
    RawPeer flags = RawPeer::connect_to(path());
    flags.receive(18);
    flags.send(be(uint32_t{0xffff}));
    EXPECT_TRUE(flags.at_end());
    RawPeer magic = RawPeer::connect_to(path());
    magic.hello();
    magic.send(std::string(16, 'z'));
    EXPECT_TRUE(magic.at_end());
    RawPeer length = RawPeer::connect_to(path());
    length.hello();
    length.send(be(kOptionMagic) + be(option::kGo) + be(uint32_t{0xffffffff}));
    EXPECT_TRUE(length.at_end());
    RawPeer good = RawPeer::connect_to(path());
    good.hello();
    good.option(99, "abc");
    EXPECT_EQ(good.reply_type(), rep::kUnsupported);
    good.option(option::kStartTls, "");
    EXPECT_EQ(good.reply_type(), rep::kPolicy);
    good.option(option::kList, "x");
    EXPECT_EQ(good.reply_type(), rep::kInvalid);
    good.option(option::kGo, be(uint32_t{100}) + "disk");
    EXPECT_EQ(good.reply_type(), rep::kInvalid);
    good.option(option::kGo, be(uint32_t{4}) + "disk" + be(uint16_t{3}));
    EXPECT_EQ(good.reply_type(), rep::kInvalid);
    good.option(option::kSetMetaContext, be(uint32_t{4}) + "disk" + be(uint32_t{1}));
    EXPECT_EQ(good.reply_type(), rep::kInvalid);  // no structured replies yet
    good.option(option::kStructuredReply, "");
    EXPECT_EQ(good.reply_type(), rep::kAck);
    good.option(option::kSetMetaContext, be(uint32_t{4}) + "disk" + be(uint32_t{0xffffffff}));
    EXPECT_EQ(good.reply_type(), rep::kInvalid);
    good.option(option::kInfo, std::string(70000, 'q'));
    EXPECT_EQ(good.reply_type(), rep::kTooBig);
    good.option(option::kAbort, "");
    EXPECT_EQ(good.reply_type(), rep::kAck);
    EXPECT_TRUE(good.at_end());
  });
}

TEST_F(Nbd, BadRequestsAreRefusedAndGoodOnesFollow) {
  serve(false);
  beside([&] {
    RawPeer c = RawPeer::connect_to(path());
    c.hello();
    c.option(option::kExportName, "disk");
    EXPECT_EQ(load_be<uint64_t>(c.receive(10).data()), kNbdSize);
    c.request(cmd::kRead, kNbdSize, 1);
    EXPECT_EQ(c.simple_error(), 22);
    c.request(cmd::kRead, UINT64_MAX - 5, 100);
    EXPECT_EQ(c.simple_error(), 22);
    c.request(cmd::kRead, 0, kMaxPayload + 1);
    EXPECT_EQ(c.simple_error(), 22);
    c.request(cmd::kTrim, 0, 512);
    EXPECT_EQ(c.simple_error(), 1);
    c.request(cmd::kWrite, 0, 512);
    c.send(std::string(512, 'w'));
    EXPECT_EQ(c.simple_error(), 1);
    c.request(cmd::kBlockStatus, 0, 512);
    EXPECT_EQ(c.simple_error(), 22);
    c.request(99, 0, 0);
    EXPECT_EQ(c.simple_error(), 22);
    c.request(cmd::kRead, 0, 512, 0x8000);
    EXPECT_EQ(c.simple_error(), 22);
    c.request(cmd::kRead, 512, 512);
    EXPECT_EQ(c.simple_error(), 0);
    EXPECT_EQ(c.receive(512), std::string(512, 1));
    c.request(cmd::kWrite, 0, kMaxPayload + 1);  // what follows cannot be understood
    EXPECT_TRUE(c.at_end());
    RawPeer cut = RawPeer::connect_to(path());
    cut.hello();
    cut.option(option::kExportName, "disk");
    cut.receive(10);
    cut.request(cmd::kWrite, 0, 4096);
    cut.send("only a part");
  });
}

/// A server whose answers to the first request are a test's.
class NbdBadServer : public Nbd {
 protected:
  /// The client's read of 512 bytes at 0, answered with `answer` (handle put in at `handle_at`).
  int read_answered(bool structured, std::string answer, size_t handle_at = 8) {
    SocketEndpoint a;
    a.path = path();
    const UniqueFd listener = socket_listen(a, 8).value();
    fcntl(listener.get(), F_SETFL, 0);
    std::thread peer([&] {
      RawPeer p(::accept(listener.get(), nullptr, nullptr));
      p.send(be(kInitMagic) + be(kOptionMagic) + be(uint16_t{3}));
      p.receive(4);
      for (bool go = false; !go;) {
        const std::string head = p.receive(16);
        if (head.size() < 16) return;
        const auto number = load_be<uint32_t>(head.data() + 8);
        p.receive(load_be<uint32_t>(head.data() + 12));
        auto reply = [&](uint32_t type, const std::string& data) {
          p.send(be(kReplyMagic) + be(number) + be(type) + be(static_cast<uint32_t>(data.size())) + data);
        };
        go = number == option::kGo;
        if (go) reply(rep::kInfo, be(info::kExport) + be(uint64_t{kNbdSize}) + be(flag::kHasFlags));
        reply(number == option::kStructuredReply && !structured ? rep::kUnsupported : rep::kAck, "");
      }
      const std::string request = p.receive(28);
      if (request.size() == 28) answer.replace(handle_at, 8, request.substr(8, 8));
      p.send(answer);
      p.receive(28);  // until the client hangs up
    });
    int outcome = 0;
    {
      Result<NodeRef> client = open(client_json());
      EXPECT_TRUE(client) << client.error().message();
      BlockBackend backend(graph, "b", kNbdWriter);
      EXPECT_TRUE(insert(backend, **client));
      char data[512];
      Result<> r = run(backend.co_preadv({0, 512}, IoVector(data, 512)));
      outcome = r ? 0 : r.error().errnum();
      EXPECT_TRUE(remove(backend));
    }
    reap();
    peer.join();
    return outcome;
  }
  static std::string chunk_head(uint16_t flags, uint16_t type, uint32_t bytes) {
    return be(kStructuredReplyMagic) + be(flags) + be(type) + std::string(8, 0) + be(bytes);
  }
};

TEST_F(NbdBadServer, AnswersThatBreakTheRulesAreErrors) {
  const std::string zero(8, 0), data(512, 'd');
  EXPECT_EQ(read_answered(true, chunk_head(1, chunk::kOffsetData, 8 + 512) + zero + data), 0);
  EXPECT_EQ(read_answered(false, be(kSimpleReplyMagic) + be(uint32_t{0}) + zero + data), 0);
  EXPECT_EQ(read_answered(false, be(kSimpleReplyMagic) + be(uint32_t{28}) + zero), ENOSPC);
  EXPECT_EQ(read_answered(true, be(kSimpleReplyMagic) + be(uint32_t{0}) + zero + data), EIO);
  EXPECT_EQ(read_answered(false, chunk_head(1, chunk::kOffsetData, 8 + 512) + zero + data), EIO);
  EXPECT_EQ(read_answered(false, be(uint32_t{1}) + be(uint32_t{0}) + zero), EIO);
  // Behind, before and beyond what was asked for.
  EXPECT_EQ(read_answered(true, chunk_head(1, chunk::kOffsetData, 8 + 512) + be(uint64_t{1}) + data), EIO);
  EXPECT_EQ(read_answered(true, chunk_head(1, chunk::kOffsetData, 8 + 512) + be(UINT64_MAX) + data), EIO);
  EXPECT_EQ(read_answered(true, chunk_head(1, chunk::kOffsetData, UINT32_MAX) + zero), EIO);
  EXPECT_EQ(read_answered(true, chunk_head(1, chunk::kOffsetHole, 12) + zero + be(uint32_t{513})), EIO);
  EXPECT_EQ(read_answered(true, chunk_head(1, chunk::kOffsetHole, 12) + zero + be(uint32_t{512})), 0);
  // Too little.
  EXPECT_EQ(read_answered(true, chunk_head(1, chunk::kOffsetData, 8 + 100) + zero + std::string(100, 'd')),
            EIO);
  EXPECT_EQ(read_answered(true, chunk_head(1, chunk::kNone, 0)), EIO);
  EXPECT_EQ(read_answered(true, chunk_head(0, chunk::kNone, 0)), EIO);
  // Errors, whole and broken.
  EXPECT_EQ(read_answered(true, chunk_head(1, chunk::kError, 9) + be(uint32_t{1}) + be(uint16_t{3}) + "why"),
            EPERM);
  EXPECT_EQ(read_answered(true, chunk_head(1, chunk::kError, 9) + be(uint32_t{1}) + be(uint16_t{99}) + "why"),
            EIO);
  EXPECT_EQ(read_answered(true, chunk_head(1, chunk::kError, 2) + "no"), EIO);
  EXPECT_EQ(read_answered(true, chunk_head(1, 0x80ff, 6) + be(uint32_t{1}) + be(uint16_t{0})), EINVAL);
  EXPECT_EQ(read_answered(true, chunk_head(1, 77, 0)), EIO);
  EXPECT_EQ(read_answered(true, chunk_head(1, chunk::kBlockStatus, 12) + std::string(12, 1)), EIO);
}

}  // namespace
}  // namespace rhea
