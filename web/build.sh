#!/usr/bin/env bash
# web/build.sh [NAME…]: compiles libgvc and the painter for the page to web/built/, all or these: reader.* (streams),
# core.* (painting, one thread) and threads.* (for pages that may share memory), these two once more as *-relaxed.* for
# browsers with relaxed SIMD. Debian: apt-get install emscripten clang-16 lld-16 llvm-16 (Emscripten's own clang 14 does
# not know relaxed SIMD). What it makes is part of the checkout, so that nobody else needs a compiler for the web.
set -euo pipefail
cd "$(dirname "$0")/.."
export NODE_PATH=/usr/share/nodejs  # where Debian keeps what emscripten needs of Node
tools=$(mktemp -d)
trap 'rm -r "$tools"' EXIT
for tool in /usr/lib/llvm-16/bin/*; do
  ln -s "$tool" "$tools/"
  ln -s "$tool" "$tools/$(basename "$tool")-14"  # as Debian's emscripten calls it
done
export EM_LLVM_ROOT=$tools

# The sample that models of bundles begin from, as CMakeLists.txt makes it.
sample=$tools/bundles_sample.cpp
{
  echo "#include <cstddef>"
  echo "#include <cstdint>"
  echo "namespace gv {"
  echo "extern const uint8_t kBundlesSample[] = {$(od -An -v -tu1 docs/spec/tables/bundles.sample | tr -s ' \n' ',' | sed 's/^,//')};"
  echo "extern const size_t kBundlesSampleSize = sizeof kBundlesSample;"
  echo "}  // namespace gv"
} > "$sample"

reader_calls=_malloc,_free,_last_code,_last_text,_stream_open,_stream_close,_stream_offset,_stream_send,_stream_finish,_stream_step
reader_calls+=,_stream_header,_stream_facts,_stream_gops,_stream_gop_count,_header_open,_header_close,_header_facts
reader_calls+=,_gop_open,_gop_close,_gop_send,_gop_send_sample,_gop_finish,_gop_count,_gop_facts,_gop_times
reader_calls+=,_sample_read,_sample_facts
core_calls=_malloc,_free,_last_code,_last_text,_hash_open,_hash_take,_hash_digest,_picture_rgba
core_calls+=,_model_open,_model_dimensions,_model_tokens,_model_facts,_painter_open,_painter_close,_painter_start,_painter_move
core_calls+=,_painter_vectors,_painter_paint,_painter_carry,_painter_numbers,_painter_number_count,_painter_own_entry
core_calls+=,_painter_hides,_painter_show_base,_vector_integers,_vector_fit

flags=(-std=c++17 -fwasm-exceptions -Wall -Wextra -Icsrc -I.)
# compile NAME CALLS OPTION…
compile() {
  emcc "${flags[@]}" \
    -sMODULARIZE -sEXPORT_ES6 -sFILESYSTEM=0 -sEXPORTED_RUNTIME_METHODS=UTF8ToString -sIMPORTED_MEMORY \
    -sALLOW_MEMORY_GROWTH -sMAXIMUM_MEMORY=1GB -sENVIRONMENT=web,worker -sEXPORTED_FUNCTIONS="$2" \
    -o "web/built/$1.js" "${@:3}"
}
painter=(-O3 -msimd128 web/core/{hash,painter,picture,vectors}.cpp csrc/common/{cpu,sha256}.cpp csrc/entropy/{cdf,intnet,rans}.cpp
  csrc/model/*.cpp csrc/motion/{block_motion,motion_search}.cpp csrc/painter/{painter,forms,input}.cpp)
for name in ${*:-reader core core-relaxed threads threads-relaxed}; do
  simd=()
  [[ $name == *-relaxed ]] && simd=(-mrelaxed-simd)
  case $name in
    reader)  # what runs once a GOP, for size
      compile reader $reader_calls -Os web/core/{page_stream,page_gop,reader}.cpp "$sample" csrc/format/*.cpp \
        csrc/decoder/metadata_obu.cpp csrc/entropy/{bundles,cdf,rans}.cpp csrc/model/fit.cpp csrc/common/sha256.cpp ;;
    core*) compile "$name" $core_calls "${painter[@]}" "${simd[@]}" web/core/no_threads.cpp ;;
    threads*)
      compile "$name" $core_calls "${painter[@]}" "${simd[@]}" -pthread -Wno-pthreads-mem-growth \
        -sPTHREAD_POOL_SIZE=Module.helpers csrc/common/pool.cpp ;;
  esac
done
