// Streams: the CUDA code, run on the processor, against the C++ form: same bytes, same values, same
// verdict on damaged packets.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "check.hpp"
#include "cuda/backend.hpp"
#include "cuda/emulated.hpp"
#include "entropy/streams.hpp"

using namespace gvtest;

namespace {

// A block whose threads are threads: each has variables of its own and they meet nowhere but where
// the kernel says.
class Barrier {
 public:
  explicit Barrier(int count) : count_(count) {}
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    const int round = round_;
    if (++waiting_ == count_) {
      waiting_ = 0;
      ++round_;
      all_.notify_all();
    } else {
      all_.wait(lock, [&] { return round_ != round; });
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_;
  const int count_;
  int waiting_ = 0, round_ = 0;
};

struct ThreadGroup {
  int thread, threads;
  Barrier* barrier;
  template <class Fn>
  void each(int count, const Fn& fn) const {
    for (int i = thread; i < count; i += threads) fn(i);
    barrier->wait();
  }
  template <class Fn>
  void one(const Fn& fn) const {
    if (thread == 0) fn();
    barrier->wait();
  }
};

struct ThreadMachine {
  template <class T>
  using Buffer = gv::cuda::HostBuffer<T>;

  template <class Kernel>
  static void launch(const Kernel& kernel, int blocks, int, size_t words) {
    constexpr int kThreads = 3;
    for (int block = 0; block < blocks; ++block) {
      std::vector<uint32_t> shared(words);
      Barrier barrier(kThreads);
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t)
        threads.emplace_back(
            [&, t] { kernel(ThreadGroup{t, kThreads, &barrier}, block, shared.data()); });
      for (std::thread& t : threads) t.join();
    }
  }
};

gv::IntegerNetwork random_network(Random& random, std::vector<int> sizes) {
  std::vector<gv::DenseLayer> layers;
  for (size_t l = 0; l + 1 < sizes.size(); ++l) {
    gv::DenseLayer layer;
    layer.inputs = sizes[l];
    layer.outputs = sizes[l + 1];
    const bool final = l + 2 == sizes.size();
    for (int i = 0; i < layer.inputs * layer.outputs; ++i)
      layer.weight.push_back(static_cast<int16_t>(uniform(random, -128, 127)));
    for (int o = 0; o < layer.outputs; ++o) {
      layer.bias.push_back(uniform(random, -3000, 3000));
      layer.multiplier.push_back(final ? uniform(random, -300, 300) : uniform(random, 100, 800));
    }
    layer.shift = 16;
    if (final) layer.low = INT32_MIN, layer.high = INT32_MAX;
    layers.push_back(layer);
  }
  return gv::IntegerNetwork(layers);
}

struct Case {
  gv::Batch batch;
  std::vector<int32_t> counts, values;
  std::vector<uint8_t> scale, side;
  std::vector<int16_t> mean;
  int side_count;

  Case(Random& random, int streams, int steps) : side_count(uniform(random, 0, 5)) {
    const size_t cells = static_cast<size_t>(streams) * steps;
    for (int s = 0; s < streams; ++s) counts.push_back(uniform(random, 0, steps));
    for (size_t i = 0; i < cells; ++i) {
      const int reach = i % 3 == 0 ? 3 : i % 3 == 1 ? 700 : 1 << 30;
      mean.push_back(static_cast<int16_t>(uniform(random, -32768, 32767)));
      values.push_back(i % 50 == 7   ? INT32_MIN
                       : i % 50 == 9 ? INT32_MAX
                                     : mean.back() / 8 + uniform(random, -reach, reach));
      scale.push_back(static_cast<uint8_t>(uniform(random, 0, gv::kScales - 1)));
      for (int k = 0; k < side_count; ++k)
        side.push_back(static_cast<uint8_t>(uniform(random, 0, 255)));
    }
    batch = {streams, steps, counts.data()};
  }
};

// Calls fn(packets) with the packets as they are, then with damage.
template <class Fn>
void with_damage(Random& random, gv::Packets packets, const Fn& fn) {
  fn(packets, true);
  for (uint8_t& byte : packets.bytes)
    if (uniform(random, 0, 9) == 0) byte = static_cast<uint8_t>(uniform(random, 0, 255));
  fn(packets, false);
  for (uint64_t& at : packets.start) at = at * 2 / 3;  // cut, and beginning elsewhere
  packets.bytes.resize(packets.start.back());
  fn(packets, false);
  for (uint8_t& byte : packets.bytes) byte = 255;
  fn(packets, false);
}

struct Outcome {
  std::vector<int32_t> values;
  std::vector<uint8_t> whole;
  explicit Outcome(const gv::Batch& batch)
      : values(batch.at(batch.streams, 0), 1), whole(static_cast<size_t>(batch.streams), 2) {}
  bool operator==(const Outcome& other) const {
    return values == other.values && whole == other.whole;
  }
};

void round_trips(Random& random, gv::StreamBackend& kernels, int streams, int steps) {
  gv::StreamBackend& plain = gv::cpu_backend();
  Case c(random, streams, steps);
  Outcome sent(c.batch);
  for (int s = 0; s < streams; ++s) {
    sent.whole[s] = 1;
    for (int i = 0; i < steps; ++i)
      sent.values[c.batch.at(s, i)] = i < c.counts[s] ? c.values[c.batch.at(s, i)] : 0;
  }

  const gv::Packets packets =
      kernels.encode(c.batch, c.values.data(), c.scale.data(), c.mean.data());
  const gv::Packets expected =
      plain.encode(c.batch, c.values.data(), c.scale.data(), c.mean.data());
  EXPECT(packets.bytes == expected.bytes && packets.start == expected.start);
  with_damage(random, packets, [&](const gv::Packets& given, bool good) {
    Outcome a(c.batch), b(c.batch);
    plain.decode(c.batch, given, c.scale.data(), c.mean.data(), a.values.data(), a.whole.data());
    kernels.decode(c.batch, given, c.scale.data(), c.mean.data(), b.values.data(), b.whole.data());
    EXPECT(a == b);
    EXPECT(!good || b == sent);
  });

  const int before = uniform(random, 1, 6);
  const gv::IntegerNetwork network =
      random_network(random, {c.side_count + before, uniform(random, 1, 50),
                              uniform(random, gv::kFewestOutputs, gv::kMostOutputs)});
  // Values and spans before, some of which reach beyond the first value.
  std::vector<int32_t> back(c.values.size() * static_cast<size_t>(before));
  for (int32_t& entry : back)
    entry = uniform(random, 0, 1) == 0
                ? uniform(random, 0, steps)
                : -(uniform(random, 0, steps) << gv::kSpanBits | uniform(random, 0, steps));
  if (uniform(random, 0, 2) > 0) c.batch.back = back.data();
  const gv::Packets predicted =
      kernels.encode_predicted(c.batch, network, c.side.data(), c.side_count, c.values.data());
  const gv::Packets also =
      plain.encode_predicted(c.batch, network, c.side.data(), c.side_count, c.values.data());
  EXPECT(predicted.bytes == also.bytes && predicted.start == also.start);
  with_damage(random, predicted, [&](const gv::Packets& given, bool good) {
    Outcome a(c.batch), b(c.batch);
    plain.decode_predicted(c.batch, network, given, c.side.data(), c.side_count, a.values.data(),
                           a.whole.data());
    kernels.decode_predicted(c.batch, network, given, c.side.data(), c.side_count, b.values.data(),
                             b.whole.data());
    EXPECT(a == b);
    EXPECT(!good || b == sent);
  });
}

}  // namespace

int main() {
  Random random(1);
  for (int turn = 0; turn < 60; ++turn)
    round_trips(random, gv::cuda::emulated_backend(), uniform(random, 0, 130),
                uniform(random, 0, 25));
  gv::cuda::DeviceBackend<ThreadMachine> threads;
  for (int turn = 0; turn < 8; ++turn)
    round_trips(random, threads, uniform(random, 1, 8), uniform(random, 1, 12));
  return verdict("streams");
}
