#include "chardev/char_options.h"

#include <gtest/gtest.h>

namespace rhea {
namespace {

TEST(CharOptions, TakesListsApart) {
  auto o = CharOptions::parse("socket,id=mon,path=/a,,b,server,nowait,delay=off");
  ASSERT_TRUE(o);
  EXPECT_EQ(o->backend(), "socket");
  EXPECT_EQ(o->take("id"), "mon");
  EXPECT_EQ(o->take("path"), "/a,b");
  EXPECT_TRUE(*o->take_bool("server", false));
  EXPECT_FALSE(*o->take_bool("wait", true));
  auto left = o->check_all_taken();
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().message(), "Invalid parameter 'delay'");
}

TEST(CharOptions, NamesTheBadValue) {
  auto o = CharOptions::parse("x,wait=maybe,n=-,s=12q");
  ASSERT_TRUE(o);
  EXPECT_EQ(o->take_bool("wait", true).error().message(), "Parameter 'wait' expects 'on' or 'off'");
  EXPECT_EQ(o->take_number("n", 0).error().message(), "Parameter 'n' expects a number");
  EXPECT_EQ(o->take_size("s", 0).error().message(), "Parameter 's' expects a size");
}

struct Legacy {
  const char* spec;
  const char* backend;
  const char* key;
  const char* value;
};
class LegacyForm : public testing::TestWithParam<Legacy> {};
TEST_P(LegacyForm, Becomes) {
  auto o = CharOptions::parse_legacy(GetParam().spec);
  ASSERT_TRUE(o) << o.error().message();
  EXPECT_EQ(o->backend(), GetParam().backend);
  EXPECT_EQ(o->take(GetParam().key), GetParam().value);
}
INSTANTIATE_TEST_SUITE_P(
    Char, LegacyForm,
    testing::Values(
        Legacy{"stdio", "stdio", "mux", ""}, Legacy{"mon:stdio", "stdio", "mux", "on"},
        Legacy{"unix:/x,server=on,wait=off", "socket", "wait", "off"},
        Legacy{"unix:/x,server,nowait", "socket", "server", "on"},
        Legacy{"unix:path=/x", "socket", "path", "/x"}, Legacy{"unix:/x,,y,server", "socket", "path", "/x,y"},
        Legacy{"unix:path=/x,server=on", "socket", "path", "/x"},
        Legacy{"tcp:localhost:44,server=on", "socket", "port", "44"}, Legacy{"tcp::44", "socket", "host", ""},
        Legacy{"tcp:[::1]:44", "socket", "host", "::1"}, Legacy{"telnet:h:1", "socket", "telnet", "on"},
        Legacy{"file:/a,b", "file", "path", "/a,b"}, Legacy{"pipe:/p", "pipe", "path", "/p"},
        Legacy{"websocket:h:1,server=on", "socket", "websocket", "on"},
        Legacy{"tn3270:h:1", "socket", "tn3270", "on"}, Legacy{"udp::44", "udp", "port", "44"},
        Legacy{"udp:h:44@:55", "udp", "localport", "55"}, Legacy{"udp:h:44@l:55", "udp", "host", "h"},
        Legacy{"/dev/parport0", "parallel", "path", "/dev/parport0"},
        Legacy{"/dev/ttyS0", "serial", "path", "/dev/ttyS0"}));

TEST(CharOptions, RefusesUnknownShortForms) {
  EXPECT_EQ(CharOptions::parse_legacy("foo").error().message(), "'foo' is not a valid char driver");
  EXPECT_EQ(CharOptions::parse_legacy("tcp:nowhere").error().message(), "error parsing address 'nowhere'");
}

}  // namespace
}  // namespace rhea
