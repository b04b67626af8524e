// What the test programs of the core share: expectations, random numbers, a model and moving
// pictures.
#pragma once

#include <cmath>
#include <cstdio>
#include <random>

#include "klt/encoder.hpp"

namespace gvtest {

inline int& failures() {
  static int count = 0;
  return count;
}

#define EXPECT(condition)                                                                        \
  do {                                                                                           \
    if (!(condition)) {                                                                          \
      if (gvtest::failures()++ < 20) std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                                            \
  } while (false)

// Exit status of a test program.
inline int verdict(const char* name) {
  std::printf("%s: %s (%d failures)\n", name, failures() ? "FAILED" : "ok", failures());
  return failures() ? 1 : 0;
}

// Calls fn(name) with every form of the core's loops that this machine can run.
template <class Fn>
void in_every_form(const Fn& fn) {
  for (const std::string& name : gv::cpu_forms()) {
    gv::use_cpu(name);
    fn(name);
  }
}

using Random = std::mt19937;

inline int uniform(Random& random, int low,
                   int high) {  // both included; the same on every standard library
  const uint32_t range = static_cast<uint32_t>(high) - static_cast<uint32_t>(low) + 1;
  return static_cast<int>(low + static_cast<int64_t>(random() % range));
}

// Separable cosine transforms in order of frequency, and an entropy state that has learned nothing.
inline gv::Model cosine_model() {
  struct Row {
    double frequency;
    std::vector<int16_t> values;
  };
  const double pi = std::acos(-1.0);
  auto wave = [&](int n, int k, int x) {
    return std::cos(pi * (2 * x + 1) * k / (2.0 * n)) * std::sqrt((k == 0 ? 1.0 : 2.0) / n);
  };
  std::vector<Row> rows;
  for (int c = 0; c < 3; ++c) {
    const int n = c == 0 ? 16 : 8, first = c == 0 ? 0 : 192 + 64 * c;
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) {
        Row row{(i * i + j * j) * (c == 0 ? 1.0 : 5.0), std::vector<int16_t>(gv::kBlockSamples)};
        for (int y = 0; y < n; ++y)
          for (int x = 0; x < n; ++x)
            row.values[static_cast<size_t>(first + y * n + x)] =
                static_cast<int16_t>(std::lround(4096 * wave(n, i, y) * wave(n, j, x)));
        rows.push_back(std::move(row));
      }
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.frequency < b.frequency; });
  gv::Model model;
  for (auto& kind : model.basis)
    for (int l = 0; l < gv::kLevels; ++l) {
      kind[l].count = gv::coefficient_count(l);
      for (int i = 0; i < kind[l].count; ++i)
        kind[l].rows.insert(kind[l].rows.end(), rows[static_cast<size_t>(i)].values.begin(),
                            rows[static_cast<size_t>(i)].values.end());
    }
  return model;
}

// Frame t of a clip: waves that move by (3, 1) samples a frame, with grain; a square that moves the
// other way.
inline gv::Picture picture(int width, int height, int t, uint32_t seed) {
  gv::Picture p(width, height);
  for (int c = 0; c < 3; ++c) {
    const int scale = c == 0 ? 1 : 2;
    gv::Plane& plane = p.plane[c];
    for (int y = 0; y < plane.height; ++y)
      for (int x = 0; x < plane.width; ++x) {
        const int u = x * scale + 3 * t, v = y * scale + t;
        double value = 512 + 150 * std::sin(u * 0.11 + seed) * std::cos(v * 0.07) +
                       90 * std::sin((u + 2 * v) * 0.31 + c);
        const uint32_t grain =
            (static_cast<uint32_t>(u) * 2654435761u ^ static_cast<uint32_t>(v) * 40503u ^ seed) *
            2246822519u;
        value += static_cast<double>(grain >> 26) - 32;
        const int dx = x * scale - width / 2 + 2 * t, dy = y * scale - height / 3;
        if (std::abs(dx) < width / 6 && std::abs(dy) < height / 6) value = 800 - 2 * dx + c * 50;
        plane.row(y)[x] =
            static_cast<uint16_t>(gv::clamp(static_cast<int>(value), 0, gv::kMaxSample));
      }
  }
  p.extend();
  return p;
}

inline bool equal(const gv::Picture& a, const gv::Picture& b) {
  for (int c = 0; c < 3; ++c)
    if (a.plane[c].data != b.plane[c].data) return false;
  return true;
}

}  // namespace gvtest
