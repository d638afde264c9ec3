// The types of character devices in the object tree: "chardev-socket" and its like.
#include <array>

#include "chardev/chardev.h"
#include "util/str.h"

namespace rhea {

namespace {

/// What introspection looks at when it asks for a fresh one.
class BlankChardev final : public Chardev {
 public:
  explicit BlankChardev(std::string_view backend) : Chardev({}), backend_(backend) {}
  std::string_view backend() const override { return backend_; }

 private:
  size_t push(std::span<const uint8_t> data) override { return data.size(); }
  std::string_view backend_;
};

const Chardev& chardev_of(const Object& o) {
  return static_cast<const Chardev&>(o);
}

constexpr PropertyInfo kSocketProperties[] = {
    {.name = "addr", .type = "SocketAddress", .get = [](const Object& o) { return chardev_of(o).address(); }},
    {.name = "connected", .type = "bool", .get = [](const Object& o) -> Json {
       return chardev_of(o).is_open();
     }}};

constexpr TypeInfo kFdType{.name = "chardev-fd", .parent = &Chardev::kType};

constexpr std::string_view kPrefix = "chardev-";

}  // namespace

constexpr TypeInfo Chardev::kType{.name = "chardev", .parent = &Object::kType};

namespace {

template <size_t N>
struct BackendName {
  constexpr BackendName(const char (&text)[N]) {
    for (size_t i = 0; i < N; ++i) chars[i] = text[i];
  }
  char chars[N];
};

template <BackendName Name>
constexpr TypeInfo backend_type(const TypeInfo& parent, std::span<const PropertyInfo> properties = {}) {
  return {.name = Name.chars,
          .parent = &parent,
          .create = []() -> std::shared_ptr<Object> {
            return std::make_shared<BlankChardev>(std::string_view(Name.chars).substr(kPrefix.size()));
          },
          .properties = properties};
}

constexpr TypeInfo kRingbufType = backend_type<"chardev-ringbuf">(Chardev::kType);
constexpr TypeInfo kTypes[] = {
    backend_type<"chardev-file">(kFdType),
    backend_type<"chardev-mux">(Chardev::kType),
    backend_type<"chardev-null">(Chardev::kType),
    backend_type<"chardev-pipe">(kFdType),
    backend_type<"chardev-pty">(Chardev::kType),
    backend_type<"chardev-serial">(kFdType),
    backend_type<"chardev-socket">(Chardev::kType, kSocketProperties),
    backend_type<"chardev-stdio">(kFdType),
    backend_type<"chardev-udp">(Chardev::kType),
    backend_type<"chardev-memory">(kRingbufType),
};

}  // namespace

const TypeInfo& Chardev::type() const {
  if (backend() == "ringbuf") return kRingbufType;
  for (const TypeInfo& type : kTypes)
    if (std::string_view(type.name).substr(kPrefix.size()) == backend()) return type;
  return kType;
}

void register_chardev_types() {
  TypeRegistry& registry = TypeRegistry::instance();
  registry.add({&Chardev::kType, &kFdType, &kRingbufType});
  for (const TypeInfo& type : kTypes) registry.add(type);
}

}  // namespace rhea
