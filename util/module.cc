#include "util/module.h"

#include <dlfcn.h>
#include <unistd.h>

#include <climits>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace rhea {

namespace {

std::string program_directory() {
  char path[PATH_MAX];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  if (n <= 0) return ".";
  const std::string_view whole(path, static_cast<size_t>(n));
  return std::string(whole.substr(0, whole.rfind('/')));
}

std::vector<std::string> module_directories() {
  const std::string here = program_directory();
  return {here, here + "/modules", here + "/../modules", here + "/../lib/rhea", RHEA_MODULE_DIR};
}

Result<const void*> check(void* handle, const std::string& path) {
  const auto* header = static_cast<const ModuleHeader*>(dlsym(handle, "rhea_module"));
  if (header == nullptr || header->magic != kModuleMagic || std::strcmp(header->build, kModuleBuild) != 0)
    return fail(ENOEXEC, "'", path, "' is no module of this program");
  return header->interface;
}

}  // namespace

Result<const void*> load_module(std::string_view kind, std::string_view name) {
  static std::map<std::string, const void*> loaded;
  const std::string file = str_cat("rhea-", kind, "-", name, ".so");
  if (auto it = loaded.find(file); it != loaded.end()) return it->second;
  for (const std::string& directory : module_directories()) {
    const std::string path = str_cat(directory, "/", file);
    if (::access(path.c_str(), R_OK) != 0) continue;
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return fail(ENOEXEC, "cannot load module '", path, "': ", dlerror());
    const void* interface = TRY(check(handle, path));
    loaded.emplace(file, interface);
    return interface;
  }
  return fail(ENOENT, "module ", file, " is not installed");
}

}  // namespace rhea
