// The core's pool without threads, for pages that may not share memory: those on most file servers.
#include "common/pool.hpp"

namespace gv {

int pool_size() { return 0; }
void use_small_stacks() {}
void run_with_helpers(int, const std::function<void()>& work) { work(); }

}  // namespace gv
