// Images of all kinds, made and used through the graph.
#pragma once

#include <random>

#include "block/drivers/qcow2/check.h"
#include "block/drivers/qcow2/create.h"
#include "block/drivers/qcow2/node.h"
#include "block/drivers/qcow2/snapshot.h"
#include "tests/unit/block/graph_fixture.h"

namespace rhea {

class Qcow2Test : public GraphTest {
 protected:
  static constexpr PermPair kAllOfIt{blk_perm::kConsistentRead | blk_perm::kWrite | blk_perm::kResize,
                                     blk_perm::kAll};

  std::string path(const std::string& name) const { return dir + "/" + name; }
  /// Makes the image `name`.
  void create(const std::string& name, qcow2::CreateOptions options) {
    std::ofstream(path(name), std::ios::binary).flush();
    Result<NodeRef> node = open(R"({"driver": "file", "filename": ")" + path(name) + R"("})");
    ASSERT_TRUE(node) << node.error().message();
    BlockBackend file(graph, "", kAllOfIt);
    ASSERT_TRUE(insert(file, **node));
    Result<> made = run(qcow2::co_create_image(file, std::move(options)));
    ASSERT_TRUE(made) << made.error().message();
    ASSERT_TRUE(remove(file));
    node->reset();
    reap();
  }
  /// Puts the image `name` into backend(); `extra`: more options, each with a comma before it.
  void attach(const std::string& name, const std::string& extra = {}) {
    Result<NodeRef> node = open(R"({"driver": "qcow2", "file": {"driver": "file", "filename": ")" +
                                path(name) + R"("})" + extra + "}");
    ASSERT_TRUE(node) << node.error().message();
    backend_.emplace(graph, "", kAllOfIt);
    Result<> inserted = insert(*backend_, **node);
    ASSERT_TRUE(inserted) << inserted.error().message();
  }
  void detach() {
    if (!backend_) return;
    expect_clean();
    EXPECT_TRUE(remove(*backend_));
    backend_.reset();
    reap();
  }
  BlockBackend& backend() { return *backend_; }
  qcow2::Image& image() { return static_cast<qcow2::Qcow2Node*>(backend_->node())->image(); }
  Result<> write(uint64_t offset, std::string bytes) {
    return run(backend_->co_pwritev({offset, bytes.size()}, IoVector(bytes.data(), bytes.size())));
  }
  Result<std::string> read(uint64_t offset, size_t bytes) {
    std::string out(bytes, '?');
    TRY(run(backend_->co_preadv({offset, bytes}, IoVector(out.data(), bytes))));
    return out;
  }
  CheckResult check(bool fix_leaks = false, bool fix_errors = false, std::string* said = nullptr) {
    CheckOptions options{fix_leaks, fix_errors, [said](const std::string& line) {
                           if (said != nullptr) *said += line + "\n";
                         }};
    Result<CheckResult> r = run(qcow2::co_check(image(), options));
    EXPECT_TRUE(r) << r.error().message();
    return r.value_or(CheckResult{});
  }
  /// Everything that is in memory is written, and every count and flag is right.
  void expect_clean() {
    ASSERT_TRUE(run(image().co_checkpoint(true)));
    ASSERT_TRUE(run(image().co_checkpoint(true)));  // counts that the first one let go down
    std::string said;
    const CheckResult r = check(false, false, &said);
    EXPECT_EQ(r.corruptions + r.leaks + r.check_errors, 0u) << said.substr(0, 600);
  }
  void TearDown() override { detach(); }

 private:
  std::optional<BlockBackend> backend_;
};

}  // namespace rhea
