#include "hw/core/numa.h"

#include <gtest/gtest.h>

#include "qapi/qapi_types_machine.h"

namespace rhea {
namespace {

class Numa : public testing::Test {
 protected:
  std::string add(std::string_view json) {
    auto option = from_json<NumaOptions>(Json::parse(json).value(), ValueForm::kTyped);
    if (!option) return option.error().message();
    Result<> added = numa_add(config, *option, limits);
    return added ? "" : added.error().message();
  }
  NumaConfig config;
  NumaLimits limits{.mem_allowed = true, .hmat = true, .max_cpus = 4, .sockets = 2, .cores = 2};
};

TEST_F(Numa, NodesAndDistances) {
  EXPECT_EQ(add(R"({"type": "node", "mem": 1048576, "cpus": [0, 1]})"), "");
  EXPECT_EQ(add(R"({"type": "node", "mem": 1048576})"), "");
  EXPECT_EQ(add(R"({"type": "node", "nodeid": 1})"), "Duplicate NUMA nodeid: 1");
  EXPECT_EQ(add(R"({"type": "node", "nodeid": 128})"), "Max number of NUMA nodes reached: 128");
  EXPECT_EQ(add(R"({"type": "node", "cpus": [4]})"), "CPU index (4) should be smaller than maxcpus (4)");
  EXPECT_EQ(add(R"({"type": "cpu", "node-id": 1, "socket-id": 1})"), "");
  EXPECT_EQ(add(R"({"type": "cpu", "node-id": 1, "socket-id": 2})"), "no match found");
  EXPECT_EQ(add(R"({"type": "dist", "src": 0, "dst": 1, "val": 9})"),
            "NUMA distance (9) is invalid, it shouldn't be less than 10.");
  EXPECT_EQ(add(R"({"type": "dist", "src": 0, "dst": 1, "val": 21})"), "");
  EXPECT_EQ(numa_complete(config, 1 << 20).error().message(),
            "total memory for NUMA nodes (0x200000) should equal RAM size (0x100000)");
  ASSERT_TRUE(numa_complete(config, 2 << 20));
  EXPECT_EQ(config.distances[1][0], 21) << "the way back is as far";
  EXPECT_EQ(config.distances[1][1], 10);
}

TEST_F(Numa, EveryNumberHasItsNode) {
  EXPECT_EQ(add(R"({"type": "node", "nodeid": 2})"), "");
  EXPECT_EQ(numa_complete(config, 0).error().message(), "numa: Node ID missing: 1");
}

TEST_F(Numa, HmatNeedsItsSwitchAndItsOrder) {
  EXPECT_EQ(add(R"({"type": "node", "cpus": [0]})"), "");
  const char* figure = R"({"type": "hmat-lb", "initiator": 0, "target": 0, "hierarchy": "memory",
                           "data-type": "access-latency", "latency": 5})";
  limits.hmat = false;
  EXPECT_NE(add(figure).find("is disabled"), std::string::npos);
  limits.hmat = true;
  const char* cache = R"({"type": "hmat-cache", "node-id": 0, "size": 10240, "level": 1,
                          "associativity": "direct", "policy": "write-back", "line": 8})";
  EXPECT_NE(add(cache).find("should be provided before"), std::string::npos);
  EXPECT_EQ(add(figure), "");
  EXPECT_NE(add(figure).find("Duplicate"), std::string::npos);
  EXPECT_EQ(add(cache), "");
}

}  // namespace
}  // namespace rhea
