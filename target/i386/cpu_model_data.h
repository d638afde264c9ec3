// The tables behind cpu_model.h.
#pragma once

#include <cstdint>
#include <span>

namespace rhea {

/// Version 1 of a model.
struct CpuModelData {
  const char* name;
  const char* base;  ///< the model whose features it starts from; null: none
  const char* vendor;
  uint32_t family, model, stepping;
  uint32_t level, xlevel, xlevel2;
  const char* model_id;
  const char* features;  ///< names between spaces; "-name": not this one
};

/// A later version, told by what differs from the one before.
struct CpuVersionData {
  const char* model;
  unsigned version;
  const char* other_name;  ///< null: none
  const char* note;        ///< null: none
  const char* model_id;    ///< null: unchanged
  int stepping;            ///< -1: unchanged
  const char* changes;     ///< features, and "model=N"
};

/// In an order in which a model's base comes before it.
std::span<const CpuModelData> cpu_model_data();
/// A model's versions ascend.
std::span<const CpuVersionData> cpu_version_data();

}  // namespace rhea
