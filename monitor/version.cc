#include "monitor/version.h"

namespace rhea {

std::string_view rhea_version() {
  return RHEA_VERSION;
}

std::string package_version() {
  return "rhea " RHEA_VERSION;
}

}  // namespace rhea
