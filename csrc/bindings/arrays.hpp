// NumPy arrays and bytes at the border between Python and the core.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <initializer_list>
#include <vector>

#include "common/basics.hpp"

using gv::check;

template <class T, int N>
using In = nanobind::ndarray<const T, nanobind::ndim<N>, nanobind::c_contig, nanobind::device::cpu>;
template <class T>
using Out = nanobind::ndarray<nanobind::numpy, T>;

template <class T>
Out<T> to_numpy(std::vector<T>&& values, std::initializer_list<size_t> shape) {
  auto* owned = new std::vector<T>(std::move(values));
  nanobind::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return Out<T>(owned->data(), shape, owner);
}

inline void check_size(int64_t width, int64_t height) {
  check(width >= 1 && height >= 1 && width <= 16384 && height <= 16384,
        "picture size out of range");
}

inline nanobind::bytes to_bytes(const std::vector<uint8_t>& v) {
  return nanobind::bytes(reinterpret_cast<const char*>(v.data()), v.size());
}
