#include "qapi/option.h"

namespace rhea {

Result<OptionArgument> parse_option(std::string_view text, std::string_view implied_key,
                                    OptionSyntax syntax) {
  OptionArgument out;
  if (text.starts_with('{')) {
    out.values = TRY(Json::parse(text));
    return out;
  }
  out.form = ValueForm::kKeyval;
  const bool strict = syntax == OptionSyntax::kStrict;
  Keyval parsed = TRY(strict ? keyval_parse(text, implied_key) : keyval_parse_flat(text, implied_key));
  out.values = strict ? std::move(parsed.values) : TRY(json_unflatten(parsed.values));
  out.help = parsed.help;
  out.warnings = std::move(parsed.warnings);
  return out;
}

}  // namespace rhea
