// query-qmp-schema and query-commands: text that is fixed when the program is built.
#include "qapi/introspect.h"
#include "qapi/qapi_commands_control.h"

namespace rhea {

Result<std::string_view> qmp_query_qmp_schema(QmpContext&) {
  return qapi_schema_text();
}

Result<std::string_view> qmp_query_commands(QmpContext&) {
  return qapi_commands_text();
}

}  // namespace rhea
