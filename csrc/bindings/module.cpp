// Python bindings of the core (module gvcodec._core). NumPy arrays in, NumPy arrays or bytes out;
// the interpreter lock is released while the core works.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <optional>

#include "bindings/arrays.hpp"
#include "bindings/turn.hpp"
#include "common/pool.hpp"
#include "entropy/counter.hpp"
#include "klt/deblock.hpp"
#include "klt/encoder.hpp"
#include "klt/lookahead.hpp"

namespace nb = nanobind;
using namespace nb::literals;

void bind_entropy(nb::module_&);
void bind_refiner(nb::module_&);
void bind_streams(nb::module_&);
void bind_tokens(nb::module_&);
void bind_painter(nb::module_&);
void bind_integer_painter(nb::module_&);

namespace {

Out<uint16_t> crop(const gv::Plane& p, int width, int height) {
  std::vector<uint16_t> values(static_cast<size_t>(width) * height);
  for (int y = 0; y < height; ++y)
    std::copy_n(p.row(y), width, values.data() + static_cast<size_t>(y) * width);
  return to_numpy(std::move(values), {static_cast<size_t>(height), static_cast<size_t>(width)});
}

using Planes = std::tuple<Out<uint16_t>, Out<uint16_t>, Out<uint16_t>>;

Planes crop(const gv::Picture& p, int width, int height) {
  const int cw = (width + 1) / 2, ch = (height + 1) / 2;
  return {crop(p.plane[0], width, height), crop(p.plane[1], cw, ch), crop(p.plane[2], cw, ch)};
}

// Copies a plane and repeats its edges up to the padded size.
void fill(gv::Plane& plane, const In<uint16_t, 2>& in) {
  const int h = static_cast<int>(in.shape(0)), w = static_cast<int>(in.shape(1));
  if (w > plane.width || h > plane.height || w < 1 || h < 1)
    throw nb::value_error("plane of another size");
  for (int y = 0; y < plane.height; ++y) {
    const uint16_t* src = in.data() + static_cast<size_t>(std::min(y, h - 1)) * w;
    uint16_t* dst = plane.row(y);
    for (int x = 0; x < w; ++x) dst[x] = std::min<uint16_t>(src[x], gv::kMaxSample);
    std::fill(dst + w, dst + plane.width, dst[w - 1]);
  }
  plane.extend();
}

gv::Picture to_picture(int width, int height, const In<uint16_t, 2>& y, const In<uint16_t, 2>& u,
                       const In<uint16_t, 2>& v) {
  const size_t w = static_cast<size_t>(width), h = static_cast<size_t>(height), cw = (w + 1) / 2,
               ch = (h + 1) / 2;
  if (y.shape(0) != h || y.shape(1) != w || u.shape(0) != ch || u.shape(1) != cw ||
      v.shape(0) != ch || v.shape(1) != cw)
    throw nb::value_error("planes do not fit the picture size");
  gv::Picture p(width, height);
  fill(p.plane[0], y);
  fill(p.plane[1], u);
  fill(p.plane[2], v);
  return p;
}

void check_size(int width, int height) {
  if (width < 1 || height < 1 || width > 16384 || height > 16384)
    throw nb::value_error("picture size out of range");
}

std::vector<float> to_lambda_map(const In<float, 2>& map, int width, int height) {
  if (static_cast<int>(map.shape(0)) != gv::ceil_div(height, gv::kBlock) ||
      static_cast<int>(map.shape(1)) != gv::ceil_div(width, gv::kBlock))
    throw nb::value_error("lambda map: one value for each 16×16 block");
  std::vector<float> values(map.data(), map.data() + map.size());
  if (!std::all_of(values.begin(), values.end(),
                   [](float v) { return v > 0.f && std::isfinite(v); }))
    throw nb::value_error("lambda map: values above 0");
  return values;
}

Out<float> to_windows(const std::vector<float>& bits, int width, int height) {
  const size_t rows = static_cast<size_t>(gv::ceil_div(height, 256)),
               columns = static_cast<size_t>(gv::ceil_div(width, 256));
  if (bits.size() != rows * columns) throw nb::value_error("no frame yet");
  return to_numpy(std::vector<float>(bits), {rows, columns});
}

gv::Basis to_basis(const In<int16_t, 2>& rows, int count) {
  if (static_cast<int>(rows.shape(0)) != count || rows.shape(1) != gv::kBlockSamples)
    throw nb::value_error("basis of another shape");
  gv::Basis b;
  b.count = count;
  b.rows.assign(rows.data(), rows.data() + rows.size());
  return b;
}

// Contexts that the model does not know keep what they have: those of tools that came later.
void set_initial(gv::MixState& mix, const In<uint16_t, 1>& p, const In<uint8_t, 1>& n,
                 const In<int32_t, 2>& w) {
  const size_t count = p.shape(0);
  if ((count != gv::slots::kFirstCount && count != mix.slots.size()) || n.shape(0) != count ||
      (w.size() != gv::slots::kFirstSetCount * gv::kWeights && w.size() != mix.weights.size()))
    throw nb::value_error("entropy model of another shape");
  for (size_t i = 0; i < count; ++i)
    mix.slots[i] = {p(i), std::min<uint8_t>(n(i), gv::kCountLimit)};
  for (size_t i = 0; i < w.size(); ++i)
    mix.weights[i] = gv::clamp(w.data()[i], -gv::kWeightLimit, gv::kWeightLimit);
}

nb::tuple get_mix(const gv::MixState& mix) {
  std::vector<uint16_t> p;
  std::vector<uint8_t> n;
  for (const gv::Slot& s : mix.slots) p.push_back(s.p), n.push_back(s.n);
  const size_t count = p.size();
  return nb::make_tuple(to_numpy(std::move(p), {count}), to_numpy(std::move(n), {count}),
                        to_numpy(std::vector<int32_t>(mix.weights),
                                 {gv::slots::kSetCount, static_cast<size_t>(gv::kWeights)}));
}

void raise(const char* name, const char* what) {
  nb::object type = nb::module_::import_("gvcodec.errors").attr(name);
  PyErr_SetString(type.ptr(), what);
}

}  // namespace

NB_MODULE(_core, m) {
  // Objects of ours that live until the interpreter ends are no fault; the end of a worker is
  // quiet.
  nb::set_leak_warnings(false);
  m.doc() =
      "C++ core of gvcodec: range coder, entropy model, transform, motion, the KLT structure "
      "layer.";
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const gv::DamagedStream& e) {
      raise("DamagedStreamError", e.what());
    } catch (const gv::BadSetting& e) {
      raise("UsageError", e.what());
    }
  });
  bind_entropy(m);
  bind_refiner(m);
  bind_streams(m);
  bind_tokens(m);
  bind_painter(m);
  bind_integer_painter(m);
  m.def("cpu_forms", &gv::cpu_forms,
        "What this machine can run the core's loops with: plain, avx2, avx512; on ARM plain, neon, "
        "dotprod.");
  m.def("cpu", &gv::cpu_name,
        "What they run with: $GVCODEC_CPU, or the best. Raises `UsageError` when that cannot be.");
  m.def("use_cpu", &gv::use_cpu, "name"_a,
        "For the whole process; calls that are running may use both forms.");
  m.def("pool_size", &gv::pool_size, "Threads that the core has started.");
  m.def("use_small_stacks", &gv::use_small_stacks,
        "New threads of the process get stacks of 1 MiB, which count where memory is limited.");
  m.attr("BLOCK_SAMPLES") = gv::kBlockSamples;
  m.attr("COARSE_COUNT") = gv::kCoarseCount;
  m.attr("LAMBDA") = gv::EncoderTools().lambda;
  m.attr("LEVELS") = gv::kLevels;
  m.attr("SLOT_COUNT") = gv::slots::kCount;
  m.attr("WEIGHT_SETS") = static_cast<uint32_t>(gv::slots::kSetCount);
  m.attr("WEIGHTS") = gv::kWeights;

  nb::class_<gv::Model>(m, "Model", "Bases and initial entropy state of the KLT structure layer.")
      .def(
          "__init__",
          [](gv::Model* self, const std::vector<In<int16_t, 2>>& key,
             const std::vector<In<int16_t, 2>>& inter, const In<uint16_t, 1>& p,
             const In<uint8_t, 1>& n, const In<int32_t, 2>& w, const gv::RefinerModel* refiner) {
            if (key.size() != gv::kLevels || inter.size() != gv::kLevels)
              throw nb::value_error("five bases each");
            new (self) gv::Model();
            for (int l = 0; l < gv::kLevels; ++l) {
              self->basis[0][l] = to_basis(key[l], gv::coefficient_count(l));
              self->basis[1][l] = to_basis(inter[l], gv::coefficient_count(l));
            }
            set_initial(self->initial, p, n, w);
            if (refiner) self->refiner = *refiner;
          },
          "key"_a, "inter"_a, "probabilities"_a, "counts"_a, "weights"_a, "refiner"_a = nb::none())
      .def_static(
          "blank_state",
          [] { return get_mix(gv::MixState(gv::slots::kCount, gv::slots::kSetCount)); },
          "Entropy state that has learned nothing: (probabilities, counts, weights).");

  struct Encoder {
    gv::KltEncoder encoder;
    int width, height;
    bool saved = false;
    gv::FrameReport report = {};
    mutable std::mutex mutex = {};
  };
  nb::class_<Encoder>(m, "KltEncoder")
      .def(
          "__init__",
          [](Encoder* self, const gv::Model& model, int width, int height, int threads,
             double lambda, double aq, bool coarse, bool quadtree, bool merge, bool fractions,
             bool golden, bool rdoq, bool deblock) {
            check_size(width, height);
            const gv::EncoderTools tools{lambda,    aq,     coarse, quadtree, merge,
                                         fractions, golden, rdoq,   deblock};
            new (self) Encoder{gv::KltEncoder(model, width, height, threads, tools), width, height};
          },
          nb::keep_alive<1, 2>(), "model"_a, "width"_a, "height"_a, "threads"_a = 1, nb::kw_only(),
          "lambda_"_a = gv::EncoderTools().lambda, "aq"_a = gv::EncoderTools().aq,
          "coarse_tokens"_a = true, "quadtree"_a = true, "merge"_a = true, "fractions"_a = true,
          "golden"_a = true, "rdoq"_a = true, "deblock"_a = true)
      .def(
          "encode",
          [](Encoder& self, const In<uint16_t, 2>& y, const In<uint16_t, 2>& u,
             const In<uint16_t, 2>& v, int q, int key_q, bool key, bool scene_cut,
             const std::optional<In<float, 2>>& lambda_map, bool golden) {
            if (q < 0 || q > 63 || key_q < 0 || key_q > 63) throw nb::value_error("q is 0…63");
            const gv::Picture source = to_picture(self.width, self.height, y, u, v);
            std::vector<float> map;
            if (lambda_map) map = to_lambda_map(*lambda_map, self.width, self.height);
            const Turn turn(self.mutex);
            gv::FrameReport& report = self.report;
            {
              nb::gil_scoped_release unlocked;
              report = self.encoder.encode(source, q, key_q, key, scene_cut, map, golden);
            }
            return nb::make_tuple(to_bytes(report.payload), report.key);
          },
          "y"_a, "u"_a, "v"_a, "q"_a, "key_q"_a, "key"_a, "scene_cut"_a,
          "lambda_map"_a = nb::none(), "golden"_a = false,
          "`lambda_map`: multiplier of lambda for each 16×16 luma block, float32 (ceil(height / "
          "16), ceil(width / 16)), above 0;\n"
          "values count as at least 1/64 and at most 64.")
      .def(
          "window_bits",
          [](const Encoder& self) {
            const Turn turn(self.mutex);
            return to_windows(self.report.window_bits, self.width, self.height);
          },
          "Code lengths of the last frame's 256×256 windows (rows, columns) float32, in bits.")
      .def(
          "save",
          [](Encoder& self) {
            const Turn turn(self.mutex);
            self.encoder.save();
            self.saved = true;
          },
          "Remember the state, so that `restore` can undo the frames from here on.")
      .def("restore",
           [](Encoder& self) {
             const Turn turn(self.mutex);
             if (!self.saved) throw nb::value_error("nothing was saved");
             self.encoder.restore();
           })
      .def("loop",
           [](const Encoder& self) {
             const Turn turn(self.mutex);
             return crop(self.encoder.loop(), self.width, self.height);
           })
      .def(
          "residual",
          [](const Encoder& self) {
            const Turn turn(self.mutex);
            const gv::Residual& r = self.encoder.residual();
            nb::list planes;
            for (int c = 0; c < 3; ++c)
              planes.append(
                  to_numpy(std::vector<int16_t>(r.data[c]),
                           {static_cast<size_t>(r.height[c]), static_cast<size_t>(r.width[c])}));
            return planes;
          },
          "What the tokens were made from: three int16 planes (for fitting the bases).")
      .def("learned",
           [](const Encoder& self) {
             const Turn turn(self.mutex);
             return get_mix(self.encoder.learned());
           })
      .def(
          "learn_on",
          [](Encoder& self, const In<uint16_t, 1>& p, const In<uint8_t, 1>& n,
             const In<int32_t, 2>& w) {
            const Turn turn(self.mutex);
            gv::MixState mix(gv::slots::kCount, gv::slots::kSetCount);
            set_initial(mix, p, n, w);
            self.encoder.set_initial(mix);
            self.encoder.keep_learning = true;
          },
          "probabilities"_a, "counts"_a, "weights"_a,
          "Start from this state and never reset it (for training the initial state).");

  struct Decoder {
    gv::KltDecoder decoder;
    int width, height;
    mutable std::mutex mutex = {};
  };
  nb::class_<Decoder>(m, "KltDecoder")
      .def(
          "__init__",
          [](Decoder* self, const gv::Model& model, int width, int height, int threads) {
            check_size(width, height);
            new (self) Decoder{gv::KltDecoder(model, width, height, threads), width, height};
          },
          nb::keep_alive<1, 2>(), "model"_a, "width"_a, "height"_a, "threads"_a = 1)
      .def(
          "decode",
          [](Decoder& self, nb::bytes payload) {
            const auto* data = reinterpret_cast<const uint8_t*>(payload.c_str());
            const size_t size = payload.size();
            const Turn turn(self.mutex);
            {
              nb::gil_scoped_release unlocked;
              self.decoder.decode(data, size);
            }
            return crop(self.decoder.loop(), self.width, self.height);
          },
          "payload"_a)
      .def(
          "tokens",
          [](const Decoder& self, int level) {
            const Turn turn(self.mutex);
            if (level < 0 || level >= gv::kLevels) throw nb::value_error("level is 0…4");
            const gv::TokenLevel& t = self.decoder.tokens().level[level];
            const size_t h = static_cast<size_t>(t.grid.height),
                         w = static_cast<size_t>(t.grid.width);
            const size_t count = static_cast<size_t>(gv::coefficient_count(level));
            std::vector<int16_t> value(h * w * count);
            for (size_t n = 0; n < h * w; ++n)
              std::copy_n(t.value.data() + n * count, static_cast<size_t>(t.last[n] + 1),
                          value.data() + n * count);
            return nb::make_tuple(to_numpy(std::move(value), {h, w, count}),
                                  to_numpy(std::vector<int16_t>(t.last), {h, w}));
          },
          "level"_a,
          "Tokens of the last frame: quantised values (rows, columns, count) int16 and index of "
          "the last one, -1 = none.")
      .def(
          "decisions",
          [](const Decoder& self, bool key) {
            const Turn turn(self.mutex);
            gv::BitCounter counter(gv::slots::kCount);
            gv::FrameTokens tokens = self.decoder.tokens();
            gv::FrameSyntax<gv::BitCounter>(counter, tokens, self.decoder.tokens_before(),
                                            self.decoder.q(), key)
                .code();
            return nb::make_tuple(
                to_numpy(std::vector<uint32_t>(counter.seen()), {gv::slots::kCount, 2}),
                counter.raw_bits());
          },
          "key"_a,
          "What the last frame was coded as: zeros and ones seen by each context (slots, 2), and "
          "raw bits.")
      .def(
          "window_bits",
          [](const Decoder& self) {
            const Turn turn(self.mutex);
            return to_windows(self.decoder.window_bits(), self.width, self.height);
          },
          "Code lengths of the last frame's 256×256 windows (rows, columns) float32, in bits.")
      .def(
          "motion",
          [](const Decoder& self) {
            const Turn turn(self.mutex);
            const gv::FrameTokens& t = self.decoder.tokens();
            std::vector<int16_t> motion;
            for (const gv::Motion& m : t.motion)
              motion.insert(motion.end(), {m.last.x, m.last.y, m.golden.x, m.golden.y, m.from});
            return to_numpy(std::move(motion), {static_cast<size_t>(t.blocks_high),
                                                static_cast<size_t>(t.blocks_wide), 5});
          },
          "Of each 16×16 block: vector into the last frame, vector into the golden one (x, y in "
          "quarter samples), 1: from the last, 2: from the golden, 3: from both.");

  struct Ahead {
    gv::Lookahead lookahead;
    int width, height;
    mutable std::mutex mutex = {};
  };
  nb::class_<Ahead>(
      m, "Lookahead",
      "What later frames gain from each block of a frame; holds the frames pushed and not popped.")
      .def(
          "__init__",
          [](Ahead* self, int width, int height, int threads) {
            check_size(width, height);
            new (self) Ahead{gv::Lookahead(width, height, threads), width, height};
          },
          "width"_a, "height"_a, "threads"_a = 1)
      .def(
          "push",
          [](Ahead& self, const In<uint16_t, 2>& y) {
            if (static_cast<int>(y.shape(0)) != self.height ||
                static_cast<int>(y.shape(1)) != self.width)
              throw nb::value_error("plane of another size");
            gv::Picture source(self.width, self.height);
            fill(source.plane[0], y);
            const Turn turn(self.mutex);
            nb::gil_scoped_release unlocked;
            self.lookahead.push(source.plane[0]);
          },
          "y"_a, "Takes the luma of the next frame.")
      .def(
          "importance",
          [](const Ahead& self, double noise, size_t frames) {
            const Turn turn(self.mutex);
            if (self.lookahead.held() == 0 || !(noise > 0))
              throw nb::value_error("no frame is held, or noise is not above 0");
            const size_t h = static_cast<size_t>(gv::ceil_div(self.height, gv::kBlock));
            return to_numpy(self.lookahead.importance(noise, frames),
                            {h, static_cast<size_t>(gv::ceil_div(self.width, gv::kBlock))});
          },
          "noise"_a, "frames"_a,
          "Of the oldest frame: squared error that changes with a block's own, float32 (rows, "
          "columns) of 16×16 blocks, from 1.")
      .def(
          "error",
          [](const Ahead& self) {
            const Turn turn(self.mutex);
            if (self.lookahead.held() == 0) throw nb::value_error("no frame is held");
            const size_t h = static_cast<size_t>(gv::ceil_div(self.height, gv::kBlock)),
                         w = static_cast<size_t>(gv::ceil_div(self.width, gv::kBlock));
            return to_numpy(std::vector<float>(self.lookahead.error()), {h, w});
          },
          "Of the oldest frame: mean squared error of each 16×16 block moved from the frame before "
          "it, 0 in the first frame.")
      .def("pop", [](Ahead& self) {
        const Turn turn(self.mutex);
        if (self.lookahead.held() == 0) throw nb::value_error("no frame is held");
        self.lookahead.pop();
      });

  // The parts by themselves, for their tests and for others to use (those of the entropy model:
  // bind_entropy.cpp).
  m.def(
      "klt_inverse",
      [](const In<int16_t, 2>& basis, const In<int32_t, 1>& coefficients) {
        const gv::Basis b = to_basis(basis, static_cast<int>(basis.shape(0)));
        if (coefficients.shape(0) > basis.shape(0))
          throw nb::value_error("more coefficients than rows");
        std::vector<int16_t> out(gv::kBlockSamples);
        gv::klt_inverse(b, static_cast<int>(coefficients.shape(0)), coefficients.data(),
                        out.data());
        return to_numpy(std::move(out), {gv::kBlockSamples});
      },
      "basis"_a, "coefficients"_a);
  m.def(
      "klt_forward",
      [](const In<int16_t, 2>& basis, const In<int16_t, 1>& residual) {
        const gv::Basis b = to_basis(basis, static_cast<int>(basis.shape(0)));
        if (residual.shape(0) != gv::kBlockSamples) throw nb::value_error("384 samples");
        std::vector<int32_t> out(basis.shape(0));
        gv::klt_forward(b, b.count, residual.data(), out.data());
        const size_t count = out.size();
        return to_numpy(std::move(out), {count});
      },
      "basis"_a, "residual"_a);
  m.def(
      "quantiser_step",
      [](int q, int level) {
        if (q < 0 || q > 63 || level < 0 || level >= gv::kLevels)
          throw nb::value_error("q is 0…63 and the level 0…4");
        return gv::quantiser_step(q, level);
      },
      "q"_a, "level"_a);
  m.def(
      "compensate",
      [](const In<uint16_t, 2>& plane, const In<int16_t, 3>& motion, bool chroma) {
        const int size = chroma ? 8 : 16, h = static_cast<int>(plane.shape(0)),
                  w = static_cast<int>(plane.shape(1));
        if (w % size || h % size || static_cast<int>(motion.shape(0)) != h / size ||
            static_cast<int>(motion.shape(1)) != w / size || motion.shape(2) != 2)
          throw nb::value_error("one vector for each block of a padded plane");
        gv::Plane ref(w, h, chroma ? gv::kMargin / 2 + 8 : gv::kMargin), out(w, h, 0);
        fill(ref, plane);
        for (int y = 0; y < h / size; ++y)
          for (int x = 0; x < w / size; ++x) {
            const gv::Mv mv{motion(y, x, 0), motion(y, x, 1)};
            auto* f = chroma ? gv::compensate_chroma : gv::compensate_luma;
            f(ref, x * size, y * size, mv, out.row(y * size) + x * size, out.stride);
          }
        return crop(out, w, h);
      },
      "plane"_a, "motion"_a, "chroma"_a = false,
      "Moves a padded plane by one vector a block (quarter luma samples).");
  m.def(
      "motion_search",
      [](const In<uint16_t, 2>& current, const In<uint16_t, 2>& reference, int penalty,
         int threads, int finest) {
        const int h = static_cast<int>(current.shape(0)), w = static_cast<int>(current.shape(1));
        check_size(w, h);
        if (reference.shape(0) != current.shape(0) || reference.shape(1) != current.shape(1))
          throw nb::value_error("planes differ in size");
        if (finest != 4 && finest != 2 && finest != 1)
          throw nb::value_error("finest is 4, 2 or 1 quarters of a sample");
        gv::Picture a(w, h), b(w, h);
        fill(a.plane[0], current);
        fill(b.plane[0], reference);
        const gv::Grid blocks{a.plane[0].width / gv::kBlock, a.plane[0].height / gv::kBlock};
        gv::MotionField field;
        {
          nb::gil_scoped_release unlocked;
          field = gv::search_motion(
              a.plane[0], b.plane[0], {},
              std::vector<int>(static_cast<size_t>(blocks.width) * blocks.height, penalty), finest,
              threads);
        }
        std::vector<int16_t> mv;
        for (const gv::Mv v : field.mv) mv.push_back(v.x), mv.push_back(v.y);
        const size_t fh = static_cast<size_t>(field.height), fw = static_cast<size_t>(field.width);
        return nb::make_tuple(to_numpy(std::move(mv), {fh, fw, 2}),
                              to_numpy(std::move(field.satd), {fh, fw}));
      },
      "current"_a, "reference"_a, "penalty"_a = 64, "threads"_a = 1, "finest"_a = 1,
      "Vectors (H/16, W/16, 2) int16 in quarter samples, multiples of `finest` (4, 2 or 1), and "
      "their SATD, for luma planes of 10 bit; sizes round up to 16.");
  m.def(
      "deblock_edges",
      [](const In<uint16_t, 2>& plane, int q, int size) {
        const int h = static_cast<int>(plane.shape(0)), w = static_cast<int>(plane.shape(1));
        if ((size != 8 && size != 16) || w % size || h % size)
          throw nb::value_error("whole blocks of 8 or 16");
        gv::Plane p(w, h, 0);
        for (int y = 0; y < h; ++y)
          std::copy_n(plane.data() + static_cast<size_t>(y) * w, w, p.row(y));
        const gv::DeblockLimits limits = gv::deblock_limits(q);
        for (int y = 0; y < h; y += size)
          for (int x = size; x < w; x += size)
            gv::deblock_edge(p.row(y) + x, 1, p.stride, size, limits);
        for (int x = 0; x < w; x += size)
          for (int y = size; y < h; y += size)
            gv::deblock_edge(p.row(y) + x, p.stride, 1, size, limits);
        return crop(p, w, h);
      },
      "plane"_a, "q"_a, "size"_a, "Filters every block edge of a plane.");
}
