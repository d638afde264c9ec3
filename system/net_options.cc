// Options about networks: -netdev, -nic, -net.
#include "system/option_handlers.h"

namespace rhea {

namespace {

/// An option's text without the values that may stand in it several times, which go into `lists`.
std::string without_lists(std::string_view text, Json& lists) {
  constexpr std::string_view kLists[] = {"hostfwd", "dnssearch"};
  std::string rest;
  for (size_t at = 0; at <= text.size();) {
    size_t end = at;
    while (end < text.size() && (text[end] != ',' || text.substr(end, 2) == ",,"))
      end += text[end] == ',' ? 2 : 1;
    const std::string_view part = text.substr(at, std::min(end, text.size()) - at);
    at = end + 1;
    const size_t equals = part.find('=');
    const auto key = part.substr(0, equals);
    if (equals == std::string_view::npos || std::ranges::find(kLists, key) == std::end(kLists)) {
      str_append(rest, rest.empty() ? "" : ",", part);
      continue;
    }
    const Json* const before = lists.find(key);
    Json list = before != nullptr ? *before : Json::array({});
    list.push_back(Json::object({{"str", std::string(part.substr(equals + 1))}}));
    lists.set(std::string(key), std::move(list));
  }
  return rest;
}

/// Takes a text out of an option's values.
std::string take_text(Json& values, std::string_view key) {
  const Json found = values.take(key);
  std::string text = found.is_string() ? found.as_string() : std::string();
  return text;
}

bool is_network_card(const std::string& model) {
  const auto& aliases = TypeRegistry::instance().aliases();
  const auto alias = aliases.find(model);
  const TypeInfo* const type = alias != aliases.end() ? alias->second : TypeRegistry::instance().find(model);
  return type != nullptr && type->user_creatable && type->is_a("device") &&
         type->device_category() == DeviceCategory::kNetwork;
}

}  // namespace

Result<OptionValue> parse_netdev(std::string_view text) {
  Json lists = Json::object({});
  const bool is_json = !text.empty() && text[0] == '{';
  OptionArgument argument =
      TRY(parse_tree(is_json ? std::string(text) : without_lists(text, lists), "type", OptionSyntax::kLax));
  for (const auto& [key, list] : lists.as_object()) argument.values.set(key, list);
  return OptionValue{std::move(argument.values), argument.form};
}

Result<> opt_netdev(CommandLine& c, std::string_view text) {
  if (text == "help" || text == "?") {
    c.answer = "Available netdev backend types:\nhubport\nsocket\ntap\nuser\n";
    return {};
  }
  c.netdevs.push_back(TRY(parse_netdev(text)));
  c.netdev_texts.emplace_back(text);
  return {};
}

/// A back end and its card.
Result<> opt_nic(CommandLine& c, std::string_view text) {
  if (text == "none") return {};
  OptionValue netdev = TRY(parse_netdev(text));
  const std::string model = take_text(netdev.tree, "model"), mac = take_text(netdev.tree, "mac");
  if (!is_network_card(model))
    return fail(EINVAL, model.empty() ? "a NIC model must be given: model=virtio-net-pci"
                                      : str_cat("Unsupported NIC model: ", model));
  std::string id = take_text(netdev.tree, "id");
  if (id.empty()) id = str_cat("nic", c.netdevs.size());
  netdev.tree.set("id", id);
  Json device = Json::object({{"driver", model}, {"netdev", id}});
  if (!mac.empty()) device.set("mac", mac);
  c.netdevs.push_back(std::move(netdev));
  c.netdev_texts.emplace_back(text);
  c.devices.push_back({std::move(device), ValueForm::kKeyval});
  return {};
}

Result<> opt_net(CommandLine&, std::string_view text) {
  if (text == "none") return {};
  return fail(ENOTSUP, "network hubs are not supported: use -netdev and -device, or -nic");
}

}  // namespace rhea
