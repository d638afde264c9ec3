// A QMP message taken apart, and the texts that answer it (QMP specification, sections 2.3 to 2.5).
#pragma once

#include <string>
#include <string_view>

#include "util/json.h"
#include "util/result.h"

namespace rhea {

/// One command a client sent. Reused from message to message, so that reading one allocates nothing new.
struct QmpRequest {
  std::string command;
  std::string id;  ///< the text of the id to send back, empty if there was none
  Json arguments = Json::object();
  bool oob = false;  ///< sent as exec-oob

  /// Reads the text of one JSON value. On error `id` is what could be found of it. `allow_oob`: exec-oob has
  /// been negotiated. Errors are those of the protocol: "QMP input must be a JSON object", "QMP input lacks
  /// member 'execute'" ….
  Result<> parse(std::string_view text, bool allow_oob);

 private:
  bool parse_plain(std::string_view text);
  Result<> take_members(Json& message, bool allow_oob);
};

/// Appends an error reply and its CR LF.
void qmp_append_error(std::string& out, std::string_view id, const Error& error);
/// Appends ", "id": ID}" and CR LF to a line that begins with "{"return": VALUE".
void qmp_end_return(std::string& out, std::string_view id);
/// The same message over several lines.
std::string qmp_pretty(std::string_view line);

}  // namespace rhea
