// Compares dav1d_abi.hpp with dav1d's own headers where they are installed; nothing runs.
#if defined(__has_include)
#if __has_include(<dav1d/dav1d.h>)
#include <dav1d/dav1d.h>
#if DAV1D_API_VERSION_MAJOR == 6 || DAV1D_API_VERSION_MAJOR == 7

#include "players/dav1d_abi.hpp"

namespace dav1d {

#define SAME(ours, our_field, theirs, their_field)                            \
  static_assert(offsetof(ours, our_field) == offsetof(theirs, their_field) && \
                    sizeof(ours::our_field) == sizeof(theirs::their_field),   \
                "dav1d_abi.hpp: " #ours "::" #our_field " differs from dav1d's")

SAME(DataProps, timestamp, Dav1dDataProps, timestamp);
SAME(DataProps, duration, Dav1dDataProps, duration);
SAME(DataProps, offset, Dav1dDataProps, offset);
SAME(DataProps, size, Dav1dDataProps, size);
SAME(DataProps, user_data, Dav1dDataProps, user_data.data);
SAME(DataProps, user_data_ref, Dav1dDataProps, user_data.ref);
static_assert(sizeof(DataProps) == sizeof(Dav1dDataProps));

SAME(Data, data, Dav1dData, data);
SAME(Data, sz, Dav1dData, sz);
SAME(Data, ref, Dav1dData, ref);
SAME(Data, m, Dav1dData, m);
static_assert(sizeof(Data) == sizeof(Dav1dData));

SAME(Picture, seq_hdr, Dav1dPicture, seq_hdr);
SAME(Picture, frame_hdr, Dav1dPicture, frame_hdr);
SAME(Picture, data, Dav1dPicture, data);
SAME(Picture, stride, Dav1dPicture, stride);
SAME(Picture, w, Dav1dPicture, p.w);
SAME(Picture, h, Dav1dPicture, p.h);
SAME(Picture, layout, Dav1dPicture, p.layout);
SAME(Picture, bpc, Dav1dPicture, p.bpc);
SAME(Picture, m, Dav1dPicture, m);
static_assert(kLayoutI420 == DAV1D_PIXEL_LAYOUT_I420);

SAME(Allocator, cookie, Dav1dPicAllocator, cookie);
SAME(Allocator, alloc, Dav1dPicAllocator, alloc_picture_callback);
SAME(Allocator, release, Dav1dPicAllocator, release_picture_callback);
static_assert(sizeof(Allocator) == sizeof(Dav1dPicAllocator));

SAME(Settings, n_threads, Dav1dSettings, n_threads);
SAME(Settings, frame_size_limit, Dav1dSettings, frame_size_limit);
SAME(Settings, allocator, Dav1dSettings, allocator);

static_assert(offsetof(Dav1dPicture, allocator_data) == allocator_data_at(DAV1D_API_VERSION_MAJOR));

#undef SAME

}  // namespace dav1d
#endif
#endif
#endif
