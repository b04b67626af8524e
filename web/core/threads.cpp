// The core's pool without threads: a page on any file server has none.
#include "common/pool.hpp"

namespace gv {

int pool_size() { return 0; }
void use_small_stacks() {}
void run_with_helpers(int, const std::function<void()>& work) { work(); }

}  // namespace gv
