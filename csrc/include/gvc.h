/* libgvc: reads gvcodec streams and paints their pictures. Format: docs/spec.
 *
 * The AV1 decoder belongs to the host (dav1d, FFmpeg, WebCodecs). libgvc hands out temporal units,
 * takes the decoded base pictures, and gives painted pictures back:
 *
 *     bytes of a .gvc file ── gvc_send ──────┐                       ┌── gvc_next_unit ──► AV1 decoder
 *     units of a one-file ─── gvc_send_unit ─┴──► gvc_decoder ───────┤                          │
 *     painter's file ──────── gvc_set_model ───►    ▲       │        └── gvc_send_base ◄────────┘
 *                                                   look    └─────────► gvc_get_picture, gvc_get_hashes
 *
 * A .gvc file, from start to end or after gvc_seek (examples/decode_with_dav1d.c is complete):
 *
 *     gvc_open(&settings, &d);
 *     for (;;) {
 *       code = gvc_next_unit(d, &unit);
 *       if (code == GVC_AGAIN) {                           // read more bytes, at this place
 *         n = pread(fd, buffer, sizeof buffer, gvc_offset(d));
 *         code = n > 0 ? gvc_send(d, buffer, n) : gvc_flush(d);
 *       } else if (code == GVC_OK) ...                     // to the AV1 decoder
 *       else break;                                        // GVC_END, or an error
 *       for each picture of the AV1 decoder:  gvc_send_base(d, &base);  gvc_get_picture(d, &out);
 *     }
 *
 * Units: sizes and offsets are bytes; picture sizes are luma samples; times are ticks of
 * `tick_num / tick_den` seconds. Pictures are 4:2:0; chroma planes have (width + 1) / 2 columns and
 * (height + 1) / 2 rows.
 *
 * Ownership: the caller owns every buffer that it passes, and may free it when the call returns.
 * Memory of the library stays valid as long as its call says. Nothing is freed by the caller except
 * the decoder.
 *
 * Null pointers: gvc_open allows null `settings`, gvc_close a null decoder, gvc_send and
 * gvc_send_unit null `data` of size 0, gvc_get_picture null planes. Any other null pointer is
 * GVC_MISUSE, or has no effect if the call returns no code (gvc_offset gives 0).
 *
 * Threads: calls on one decoder must not overlap; it may move between threads. Decoders do not
 * share anything but a pool of threads that paint. A decoder does not survive fork().
 *
 * Hostile input: any bytes end in a code. Sizes are checked against the format's limits and the
 * settings before memory is taken, and memory for painting is taken only when a base picture of the
 * right size has come: a file takes as much as its pictures need, whatever its header says.
 *
 * Errors: GVC_MISUSE, GVC_NO_MODEL, GVC_OTHER_HASH and GVC_DAMAGED of a base picture of another
 * size leave the decoder as it was. All others are final: later calls return them again until
 * gvc_seek.
 * Every call can return GVC_OK, GVC_MISUSE, GVC_NO_MEMORY and GVC_INTERNAL. Further codes:
 *
 *                        AGAIN END FOREIGN DAMAGED NEWER OTHER_HASH LIMIT UNSUPPORTED NO_MODEL
 *     gvc_send_unit                   x       x      x                x        x         x
 *     gvc_get_header       x                  x      x
 *     gvc_missing_model    x                  x      x                x        x
 *     gvc_set_model                           x      x                x        x         x
 *     gvc_next_unit        x    x             x      x                x        x         x
 *     gvc_send_base        x                  x      x                x                  x
 *     gvc_get_picture      x
 *     gvc_set_look                            x      x                x        x
 *     gvc_get_hashes       x                                 x
 *
 * Versions: with the same major version, programs run with any later libgvc. gvc_settings may get
 * further fields at its end, and zeros in them are the defaults. All other structures keep their
 * fields; new facts get new calls. Enumerations may get further values.
 */
#ifndef GVC_H
#define GVC_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(GVC_BUILD)
#define GVC_API __declspec(dllexport)
#elif defined(__GNUC__)
#define GVC_API __attribute__((visibility("default")))
#else
#define GVC_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define GVC_VERSION_MAJOR 1
#define GVC_VERSION_MINOR 1
#define GVC_VERSION_PATCH 0
#define GVC_VERSION (GVC_VERSION_MAJOR << 16 | GVC_VERSION_MINOR << 8 | GVC_VERSION_PATCH)

typedef struct gvc_decoder gvc_decoder;

/* Return values. Errors are negative; -3 to -5 are the exit codes of the gvcodec command. */
typedef enum gvc_code {
  GVC_OK = 0,
  GVC_AGAIN = 1,        /* nothing to give yet: send more, or take the picture first */
  GVC_END = 2,          /* the stream is complete */
  GVC_FOREIGN = 3,      /* gvc_send_unit: an AV1 unit that no gvcodec stream owns */
  GVC_DAMAGED = -3,     /* the stream breaks the specification */
  GVC_NEWER = -4,       /* the stream is whole, but of another version of the format */
  GVC_OTHER_HASH = -5,  /* pictures differ from the encoder's */
  GVC_LIMIT = -6,       /* the stream asks for more than the settings allow */
  GVC_NO_MEMORY = -7,
  GVC_UNSUPPORTED = -8, /* base vvc or gvc1d: not in this library yet */
  GVC_NO_MODEL = -9,    /* the painter's file is missing, or another file was given */
  GVC_MISUSE = -10,     /* a call that this page does not allow */
  GVC_INTERNAL = -11    /* a fault of the library or of its environment, such as $GVCODEC_CPU */
} gvc_code;

enum {
  GVC_BASE_ONLY = 1, /* give base pictures, without painting; no model is needed */
  GVC_HASH = 2       /* compute the hashes (about 3 ns for each byte of samples) */
};

/* Zeros are the defaults. */
typedef struct gvc_settings {
  uint32_t size;       /* sizeof(gvc_settings); fields beyond a smaller size are zero */
  uint32_t flags;      /* GVC_BASE_ONLY | GVC_HASH */
  int32_t threads;     /* 1…1024 that paint, with the caller's; 0: one for each processor */
  uint32_t max_fps;    /* frames for each second that the stream plays; 0: 1000 */
  uint64_t max_pixels; /* luma samples of a picture; 0: 2^26, the format's own limit */
  uint64_t file_size;  /* bytes of the file that gvc_send gets; 0: unknown, so gvc_seek fails */
} gvc_settings;

typedef enum gvc_base { GVC_BASE_AV1 = 1, GVC_BASE_VVC = 3, GVC_BASE_GVC1D = 7 } gvc_base;

typedef struct gvc_header {
  int32_t width, height;             /* of pictures that come out */
  int32_t coded_width, coded_height; /* of base pictures that the AV1 decoder must give */
  int32_t bits;                      /* 8 or 10, of the source, for display */
  int32_t base;                      /* gvc_base */
  int32_t scale;                     /* 0: full size, 1: 3/4, 2: 1/2 */
  int32_t q;                         /* 0…63 */
  int32_t has_painter, is_bundled;
  int32_t needs_major, needs_minor;  /* version of the format that reads the stream */
  int32_t primaries, transfer, matrix, full_range; /* ITU-T H.273 */
  int32_t chroma_location;           /* 0…6, as FFmpeg's AVChromaLocation */
  int64_t rate_num, rate_den;        /* nominal frames a second */
  int64_t tick_num, tick_den;        /* seconds */
  int64_t start;                     /* time of the first frame, ticks */
  int64_t sar_num, sar_den;          /* width to height of a sample */
  int64_t frames;                    /* -1 while unknown: before the index was read */
  uint8_t painter_id[8];             /* first 8 bytes of the SHA-256 of the painter's file */
} gvc_header;

/* A temporal unit of AV1: low-overhead format, temporal delimiter first, every OBU with its size. It
 * shows exactly one frame. `data` stays valid until the next gvc_next_unit. */
typedef struct gvc_unit {
  const uint8_t* data;
  size_t size;
  int64_t frame; /* number in the stream, from 0 */
  int32_t key;   /* a decoder may begin here; after gvc_seek it must be flushed first */
} gvc_unit;

/* Samples are uint8_t for 8 bits; for 10 bits uint16_t of this machine, 0…1023, at even addresses.
 * Rows must not overlap, but may follow each other upwards (a negative stride). GVC_MISUSE for
 * 10-bit planes or strides that are odd, and for strides shorter than a row. */
typedef struct gvc_picture {
  void* plane[3];      /* first row of Y, U, V; only read by gvc_send_base */
  ptrdiff_t stride[3]; /* bytes from one row to the next */
  int32_t width, height, bits;
  int32_t painted; /* out: 0 for a base picture */
  int64_t frame;   /* out: number in the stream */
  int64_t pts;     /* out: ticks */
} gvc_picture;

/* First 8 bytes of SHA-256 over all frames so far. A decoder that was sought has no `base` and
 * `painted` to compare. */
typedef struct gvc_hashes {
  int64_t frames;
  int64_t end_pts; /* when the last frame ends, ticks */
  int32_t has_base, has_painted, expects_base, expects_painted;
  uint8_t base[8], painted[8];                   /* of the pictures */
  uint8_t expected_base[8], expected_painted[8]; /* of the file, at its end */
} gvc_hashes;

typedef struct gvc_error {
  gvc_code code;
  int64_t packet;   /* packets before the one at fault; -1: the header, or no packet at all */
  int64_t frame;    /* frames before it */
  uint64_t offset;  /* bytes of the file before it */
  const char* text; /* English, one line of at most 255 bytes; valid until the next call */
} gvc_error;

/* GVC_VERSION of the library that runs. */
GVC_API uint32_t gvc_version(void);

/* --- A decoder ------------------------------------------------------------------------------- */

/* Opens a decoder. `settings` may be null: all defaults. Returns GVC_NO_MEMORY, or GVC_MISUSE for
 * settings that are larger than this library knows, unknown flags and numbers out of range;
 * `*decoder` is null then. */
GVC_API gvc_code gvc_open(const gvc_settings* settings, gvc_decoder** decoder);
/* Frees the decoder and all of its memory; null is allowed. */
GVC_API void gvc_close(gvc_decoder* decoder);
/* The last code below 0 that a call on this decoder returned, and where. GVC_MISUSE for a null
 * decoder. */
GVC_API void gvc_get_error(const gvc_decoder* decoder, gvc_error* error);

/* --- Input: either gvc_send or gvc_send_unit --------------------------------------------------- */

/* The byte of the file that the next gvc_send must begin with. It moves back and forth while
 * gvc_seek reads the index and the weights in force. */
GVC_API uint64_t gvc_offset(const gvc_decoder* decoder);
/* Takes the next bytes of a .gvc stream, as many as the caller likes; they are copied. Call it when
 * gvc_next_unit says GVC_AGAIN: earlier data only waits in memory. */
GVC_API gvc_code gvc_send(gvc_decoder* decoder, const uint8_t* data, size_t size);
/* Takes the next temporal unit of the AV1 track of a one-file (.mp4, .mkv, .webm). GVC_FOREIGN:
 * the unit belongs to no stream of ours, so it has no place here and base pictures of it must not
 * be sent. Damaged metadata of a keyframe is no error: its GOP gives base pictures, and so do those
 * after it up to a keyframe that repeats the weights in force. Hashes of a one-file are not
 * checked. */
GVC_API gvc_code gvc_send_unit(gvc_decoder* decoder, const uint8_t* data, size_t size);
/* No more input follows. gvc_next_unit then gives GVC_DAMAGED if the stream is cut off. */
GVC_API gvc_code gvc_flush(gvc_decoder* decoder);
/* Continues at the GOP that holds `frame`: units that wait are dropped, and the first unit is its
 * keyframe. Needs `file_size`. With gvc_send_unit: the next unit with a keyframe of the stream
 * begins again, for any `frame`. */
GVC_API gvc_code gvc_seek(gvc_decoder* decoder, int64_t frame);

/* --- Properties of the stream ----------------------------------------------------------------- */

/* GVC_AGAIN before the header was read. */
GVC_API gvc_code gvc_get_header(gvc_decoder* decoder, gvc_header* header);
/* GVC_OK and the id of a painter that is missing; GVC_AGAIN where none is. Embedded models are
 * taken from the stream. While one is missing, gvc_send_base gives GVC_NO_MODEL. */
GVC_API gvc_code gvc_missing_model(gvc_decoder* decoder, uint8_t id[8]);
/* The painter's safetensors file, whole; it is copied. GVC_NO_MODEL for another file than the one
 * that the header names, or one that is no painter. */
GVC_API gvc_code gvc_set_model(gvc_decoder* decoder, const uint8_t* data, size_t size);

/* --- Pictures ---------------------------------------------------------------------------------- */

/* The next unit for the AV1 decoder. GVC_AGAIN: send more. GVC_END: there is no more. */
GVC_API gvc_code gvc_next_unit(gvc_decoder* decoder, gvc_unit* unit);
/* Takes the base picture of the earliest unit whose picture has not come, film grain not applied:
 * coded_width × coded_height samples of 8 or 10 bits. Scales, hashes and paints it before
 * returning. GVC_DAMAGED for another size or number of bits (the picture is not taken, and another
 * one may be sent), or samples above 1023 (final). GVC_AGAIN: take the picture before first. */
GVC_API gvc_code gvc_send_base(gvc_decoder* decoder, const gvc_picture* base);
/* Writes the next picture. The caller sets plane, stride, width, height as the header has them, and
 * bits 8 or 10, independent of the header; the library fills in the rest. Null planes: only
 * frame, pts and painted are filled in, and the picture still waits. GVC_AGAIN: there is none. */
GVC_API gvc_code gvc_get_picture(gvc_decoder* decoder, gvc_picture* picture);
/* Painting strength from the next GOP on: 0 base pictures, 50 as trained, 100 bold; -1, the
 * default: as the stream says. `tokens` 0: without the side information of regions. Painted hashes
 * are not compared where either differs from the default. */
GVC_API gvc_code gvc_set_look(gvc_decoder* decoder, int32_t look, int32_t tokens);
/* Hashes of the pictures so far. GVC_OTHER_HASH where the end of the file was read and they differ;
 * the structure is filled in all the same. */
GVC_API gvc_code gvc_get_hashes(gvc_decoder* decoder, gvc_hashes* hashes);

#ifdef __cplusplus
}
#endif
#endif
