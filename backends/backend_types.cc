#include "backends/backend_types.h"

#include "backends/iothread.h"
#include "backends/rng.h"
#include "backends/secret.h"

namespace rhea {

void register_backend_types(TypeRegistry& registry) {
  registry.add({&IoThread::kType, &RngBuiltin::kType, &RngRandom::kType, &Secret::kType});
}

}  // namespace rhea
