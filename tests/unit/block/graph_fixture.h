// A loop, a graph with the built-in drivers, and files to open: what most tests of the block layer stand on.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "block/drivers/drivers.h"
#include "block/graph/block_graph.h"
#include "block/graph/open.h"

namespace rhea {

class GraphTest : public testing::Test {
 protected:
  GraphTest() {
    char name[] = "/tmp/rhea-block-XXXXXX";
    dir = mkdtemp(name);
    register_block_drivers(graph);
  }
  ~GraphTest() override {
    EXPECT_TRUE(run(graph.co_shutdown()));
    std::ignore = std::system(("rm -rf " + dir).c_str());
  }

  template <class T>
  Result<T> run(CoResult<T> work) {
    return run_to_completion(*loop, std::move(work));
  }
  /// A file of `bytes` bytes whose byte at i is i / 512.
  std::string make_file(const std::string& name, size_t bytes) {
    std::string content(bytes, 0);
    for (size_t i = 0; i < bytes; ++i) content[i] = static_cast<char>(i / 512);
    std::ofstream(dir + "/" + name, std::ios::binary) << content;
    return dir + "/" + name;
  }
  Result<NodeRef> open(const std::string& json, const std::string& filename = {}) {
    Result<Json> parsed = Json::parse(json);
    EXPECT_TRUE(parsed) << json;
    return run(co_open_node(graph, OpenRequest(OptionTree::from_json(*parsed), filename)));
  }
  std::string open_error(const std::string& json, const std::string& filename = {}) {
    Result<NodeRef> r = open(json, filename);
    return r ? "(success)" : r.error().message();
  }
  Result<> insert(BlockBackend& backend, BlockDriverState& node) { return run(co_insert(backend, node)); }
  Result<> set_perm(BlockBackend& backend, PermPair perms) { return run(co_perm(backend, perms)); }
  Result<> remove(BlockBackend& backend) { return run(co_remove(backend)); }
  void reap() { EXPECT_TRUE(run(co_reap())); }

  std::unique_ptr<AioContext> loop = std::move(AioContext::create("test").value());
  BlockGraph graph{*loop};
  std::string dir;

 private:
  CoResult<> co_insert(BlockBackend& backend, BlockDriverState& node) {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    co_return co_await backend.co_insert(lock, node);
  }
  CoResult<> co_perm(BlockBackend& backend, PermPair perms) {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    co_return co_await backend.co_set_perm(lock, perms);
  }
  CoResult<> co_remove(BlockBackend& backend) {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    co_return co_await backend.co_remove(lock);
  }
  CoResult<> co_reap() {
    GraphWriteLock lock = co_await or_return(co_await graph.co_lock());
    co_return co_await graph.co_reap(lock);
  }
};

}  // namespace rhea
