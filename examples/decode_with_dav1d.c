/* Decodes a .gvc file with libgvc and libdav1d to raw planes (yuv420p10le) on standard output:
 *   cc decode_with_dav1d.c $(pkg-config --cflags --libs gvc dav1d) -o decode_with_dav1d
 *   ./decode_with_dav1d film.gvc painter.safetensors > film.yuv
 * Exit codes are those of the gvcodec command: 3 damaged, 4 newer, 5 another hash. */
#include <dav1d/dav1d.h>
#include <gvc.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void stop(gvc_decoder* d, gvc_code code) {
  gvc_error e;
  gvc_get_error(d, &e);
  fprintf(stderr, "frame %lld: %s\n", (long long)e.frame, e.text);
  exit(-code);
}

/* Pictures of dav1d that are ready, painted, to standard output. */
static void show(gvc_decoder* d, Dav1dContext* dav1d, const gvc_header* h, uint8_t* out) {
  for (Dav1dPicture p = {0}; dav1d_get_picture(dav1d, &p) == 0; dav1d_picture_unref(&p)) {
    gvc_picture base = {{p.data[0], p.data[1], p.data[2]}, {p.stride[0], p.stride[1], p.stride[1]},
                        p.p.w, p.p.h, p.p.bpc, 0, 0, 0};
    const size_t luma = 2 * (size_t)h->width * h->height, row = 2 * (size_t)((h->width + 1) / 2);
    const size_t chroma = row * ((h->height + 1) / 2);
    gvc_picture shown = {{out, out + luma, out + luma + chroma}, {2 * h->width, row, row},
                         h->width, h->height, 10, 0, 0, 0};
    gvc_code code = gvc_send_base(d, &base);
    if (code == GVC_OK) code = gvc_get_picture(d, &shown);
    if (code < 0) stop(d, code);
    fwrite(out, 1, luma + 2 * chroma, stdout);
  }
}

int main(int count, char** words) {
  FILE* file = count > 1 ? fopen(words[1], "rb") : NULL;
  FILE* model = count > 2 ? fopen(words[2], "rb") : NULL;
  static uint8_t bytes[1 << 20], painter[1 << 24];
  const uint32_t flags = GVC_HASH | (model ? 0 : GVC_BASE_ONLY);
  const gvc_settings settings = {sizeof settings, flags, 0, 0, 0, 0};
  gvc_decoder* d;
  gvc_header h = {0};
  gvc_hashes hashes;
  gvc_unit unit;
  gvc_code code;
  Dav1dSettings s;
  Dav1dContext* dav1d;
  uint8_t *out = NULL, id[8];
  dav1d_default_settings(&s);
  s.apply_grain = 0;
  if (!file || gvc_open(&settings, &d) || dav1d_open(&dav1d, &s)) return 2;
  while ((code = gvc_next_unit(d, &unit)) >= 0 && code != GVC_END) {
    if (code == GVC_AGAIN) {
      const size_t size = fread(bytes, 1, sizeof bytes, file);
      code = size ? gvc_send(d, bytes, size) : gvc_flush(d);
      continue;
    }
    if (!out && gvc_get_header(d, &h) == GVC_OK)
      out = malloc(3 * ((size_t)h.width + 1) * (h.height + 1));
    if (model && gvc_missing_model(d, id) == GVC_OK)
      if (gvc_set_model(d, painter, fread(painter, 1, sizeof painter, model)) < 0) break;
    Dav1dData data;
    memcpy(dav1d_data_create(&data, unit.size), unit.data, unit.size);
    while (data.sz && dav1d_send_data(dav1d, &data) == DAV1D_ERR(EAGAIN)) show(d, dav1d, &h, out);
    show(d, dav1d, &h, out);
  }
  for (int n = 0; n < 2 && code == GVC_END; ++n) show(d, dav1d, &h, out); /* dav1d drains */
  if (code == GVC_END) code = gvc_get_hashes(d, &hashes);
  if (code < 0) stop(d, code);
  dav1d_close(&dav1d), gvc_close(d), free(out);
  return 0;
}
