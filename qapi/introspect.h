// The replies that are known when the program is built.
#pragma once

#include <string_view>

namespace rhea {

/// The text of query-qmp-schema's and query-commands's return values.
std::string_view qapi_schema_text();
std::string_view qapi_commands_text();

}  // namespace rhea
