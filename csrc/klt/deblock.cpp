#include "klt/deblock.hpp"

#include "klt/transform.hpp"

namespace gv {

DeblockLimits deblock_limits(int q) {
  const int step = quantiser_step(q, 0) >> kCoefBits;  // in samples
  return {std::min(400, (step * 3) >> 2), std::min(80, 1 + (step >> 3))};
}

void deblock_edge(uint16_t* edge, ptrdiff_t across, ptrdiff_t along, int lines,
                  DeblockLimits limits) {
  for (int i = 0; i < lines; ++i, edge += along) {
    int p[4], q[4];
    for (int k = 0; k < 4; ++k) p[k] = edge[-(k + 1) * across], q[k] = edge[k * across];
    const int bend = std::abs(p[2] - 2 * p[1] + p[0]) + std::abs(q[2] - 2 * q[1] + q[0]);
    if (bend >= limits.beta) continue;
    const int tc = limits.tc;
    const bool flat = 8 * (std::abs(p[3] - p[0]) + std::abs(q[3] - q[0])) < limits.beta * 2 &&
                      4 * bend < limits.beta && std::abs(p[0] - q[0]) < 4 * tc;
    auto put = [&](ptrdiff_t at, int old, int v, int limit) {
      edge[at] = static_cast<uint16_t>(clamp(clamp(v, old - limit, old + limit), 0, kMaxSample));
    };
    if (flat) {
      put(-1 * across, p[0], (p[2] + 2 * p[1] + 2 * p[0] + 2 * q[0] + q[1] + 4) >> 3, 2 * tc);
      put(-2 * across, p[1], (p[2] + p[1] + p[0] + q[0] + 2) >> 2, 2 * tc);
      put(-3 * across, p[2], (2 * p[3] + 3 * p[2] + p[1] + p[0] + q[0] + 4) >> 3, 2 * tc);
      put(0, q[0], (q[2] + 2 * q[1] + 2 * q[0] + 2 * p[0] + p[1] + 4) >> 3, 2 * tc);
      put(across, q[1], (q[2] + q[1] + q[0] + p[0] + 2) >> 2, 2 * tc);
      put(2 * across, q[2], (2 * q[3] + 3 * q[2] + q[1] + q[0] + p[0] + 4) >> 3, 2 * tc);
    } else {
      const int delta = (9 * (q[0] - p[0]) - 3 * (q[1] - p[1]) + 8) >> 4;
      if (std::abs(delta) >= 10 * tc) continue;
      put(-1 * across, p[0], p[0] + delta, tc);
      put(0, q[0], q[0] - delta, tc);
    }
  }
}

}  // namespace gv
