#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "players/dav1d_abi.hpp"

namespace dav1d {
namespace {

Dl_info info_of(const void* address) {
  Dl_info info{};
  dladdr(address, &info);
  return info;
}

// Through the caller's own dependencies first: VLC loads dav1d with a plugin, privately, where
// RTLD_NEXT finds nothing. A program that is linked to dav1d itself has it after this library.
std::unique_ptr<Library> load(const char* caller) {
  static const char own = 0;
  void* module = dlopen(caller, RTLD_LAZY | RTLD_NOLOAD);  // stays open, so that dav1d does
  const auto find = [&](const char* name, auto*& function) {
    void* symbol = module ? dlsym(module, name) : nullptr;
    if (!symbol || info_of(symbol).dli_fbase == info_of(&own).dli_fbase)
      symbol = dlsym(RTLD_NEXT, name);
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
    return symbol != nullptr;
  };
  auto library = std::make_unique<Library>();
  Library& l = *library;
  if (!find("dav1d_open", l.open) || !find("dav1d_close", l.close) ||
      !find("dav1d_send_data", l.send_data) || !find("dav1d_get_picture", l.get_picture) ||
      !find("dav1d_flush", l.flush) || !find("dav1d_picture_unref", l.picture_unref) ||
      !find("dav1d_data_create", l.data_create) || !find("dav1d_data_unref", l.data_unref))
    return nullptr;
  const Dl_info info = info_of(reinterpret_cast<void*>(l.open));
  const char* end = info.dli_fname ? std::strstr(info.dli_fname, ".so.") : nullptr;
  l.base = info.dli_fbase, l.major = end ? std::atoi(end + 4) : 0;
  return library;
}

}  // namespace

const Library* find_library(void* caller) try {
  static std::mutex mutex;
  static auto* known = new std::map<void*, std::unique_ptr<Library>>;  // by the caller's module
  const Dl_info info = info_of(caller);
  if (!info.dli_fname) return nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<Library>& library = (*known)[info.dli_fbase];
  if (!library) library = load(info.dli_fname);
  return library.get();
} catch (const std::exception&) {
  return nullptr;
}

}  // namespace dav1d
