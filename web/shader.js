// The integer painter as WGSL, with the samples that docs/spec/painter.md defines: one module of WGSL.
//
// `m` holds planes of numbers at the offsets that `f` names: full size (2h, 2w), half (h, w), quarter, blocks (h8, w8). Where two fields
// are worked on alike (picture and noise, the two of chroma) they are the low and the high half of a word. Activations and signals are
// quads, four levels in a word. `l` is the layer or the filter at work: entry points of layers get the quad of outputs as z.

/** Numbers of a frame and the places of its planes, in this order (gpu.js fills them). */
export const FRAME = [
  "width", "height", "w", "h", "w8", "h8", "known", "top", "left", "now", "before", "now_detail", "before_detail", "now_tint", "before_tint",
  "down", "half", "half_down", "low", "low_down", "blur", "bands", "signal", "below", "statistics", "mismatch", "inside",
  "slopes", "heads", "maps",
];
export const LAYER = [
  "weight", "scale", "quads", "side", "stride", "source", "height", "width", "outside", "goal", "rows", "columns", "outputs", "added",
  "limit", "bits",
];

const DOT = "dot4I8Packed(a, b)";
const SPELLED = "(i32(a << 24u) >> 24u) * (i32(b << 24u) >> 24u) + (i32(a << 16u) >> 24u) * (i32(b << 16u) >> 24u) + " +
  "(i32(a << 8u) >> 24u) * (i32(b << 8u) >> 24u) + (i32(a) >> 24u) * (i32(b) >> 24u)";
const struct = (name, fields) => `struct ${name} { ${fields.map((field) => `${field}: i32`).join(", ")} }\n`;

/** `packed`: whether the browser has products of four bytes. */
export const shader = (packed) => `${struct("Frame", FRAME)}${struct("Layer", LAYER)}${BODY.replace("DOT", packed ? DOT : SPELLED)}`;

const BODY = `
struct Bands { h: vec2i, v: vec2i, d: vec2i, iso: vec2i, p: vec2i, q: vec2i, low: vec2i }

@group(0) @binding(0) var<uniform> f: Frame;
@group(0) @binding(1) var<storage, read> given: array<u32>;
@group(0) @binding(2) var<storage, read> moves: array<i32>;
@group(0) @binding(3) var<storage, read> weights: array<vec4i>;
@group(0) @binding(4) var<storage, read_write> m: array<i32>;
@group(0) @binding(5) var<storage, read_write> painted: array<i32>;
@group(1) @binding(0) var<uniform> l: Layer;

fn halved(a: i32, n: i32) -> i32 { return (a + (1 << u32(n - 1))) >> u32(n); }
fn halved2(a: vec2i, n: i32) -> vec2i { return (a + (1 << u32(n - 1))) >> vec2u(u32(n)); }
fn halved4(a: vec4i, n: vec4i) -> vec4i { return (a + (vec4i(1) << vec4u(n - 1))) >> vec4u(n); }
fn times(a: i32, b: i32) -> i32 { return (a * b + 16384) >> 15u; }
fn pair(v: vec2i) -> i32 { return (v.x & 0xffff) | (v.y << 16u); }
fn two(v: i32) -> vec2i { return vec2i((v << 16u) >> 16u, v >> 16u); }
fn quad(v: vec4i) -> i32 { return v.x | (v.y << 8u) | (v.z << 16u) | (v.w << 24u); }
fn dot4(a: u32, b: u32) -> i32 { return DOT; }
fn log8(a: i32) -> i32 {
  let place = 31 - countLeadingZeros(a);
  return 8 * place + ((a >> u32(place - 3)) & 7);
}
fn mixed(from_: u32) -> u32 {
  var x = (from_ ^ (from_ >> 16u)) * 0x21F0AAADu;
  x = (x ^ (x >> 16u)) * 0x735A2D97u;
  return x ^ (x >> 15u);
}

fn pixels(plane: i32, y: i32, x: i32, height: i32, width: i32) -> vec2i {
  return two(m[plane + clamp(y, 0, height - 1) * width + clamp(x, 0, width - 1)]);
}
fn halves(plane: i32, y: i32, x: i32) -> vec2i { return pixels(plane, y, x, f.h, f.w); }
fn half_at(plane: i32, y: i32, x: i32) -> i32 { return plane + y * f.w + x; }
fn block_at(plane: i32, y: i32, x: i32) -> i32 { return plane + y * f.w8 + x; }
fn sample(place: i32) -> i32 { return i32((given[place >> 1u] >> u32(16 * (place & 1))) & 0xffffu); }
fn chroma(y: i32, x: i32) -> vec2i {
  let high = (f.height + 1) / 2;
  let wide = (f.width + 1) / 2;
  let place = f.width * f.height + clamp(y, 0, high - 1) * wide + clamp(x, 0, wide - 1);
  return vec2i(sample(place), sample(place + high * wide));
}
fn vector_at(y: i32, x: i32) -> vec2i { return two(moves[y * (f.w8 / 2) + x]); }

fn smoothed(a: vec2i, b: vec2i, c: vec2i, d: vec2i, e: vec2i) -> vec2i { return a + e + 4 * (b + d) + 6 * c; }
fn down_at(plane: i32, y: i32, x: i32, height: i32, width: i32, step: i32) -> vec2i {
  return smoothed(pixels(plane, y - 2 * step, x, height, width), pixels(plane, y - step, x, height, width), pixels(plane, y, x, height, width),
                pixels(plane, y + step, x, height, width), pixels(plane, y + 2 * step, x, height, width));
}
fn along_at(plane: i32, y: i32, x: i32, height: i32, width: i32, step: i32) -> vec2i {
  return smoothed(pixels(plane, y, x - 2 * step, height, width), pixels(plane, y, x - step, height, width), pixels(plane, y, x, height, width),
                pixels(plane, y, x + step, height, width), pixels(plane, y, x + 2 * step, height, width));
}
fn band(v: vec2i) -> vec2i { return clamp(v, vec2i(-1023), vec2i(1023)); }
fn bands_at(plane: i32, below: i32, y: i32, x: i32, height: i32, width: i32, step: i32, fine: bool) -> Bands {
  let centre = pixels(plane, y, x, height, width);
  let quarter = select(centre, 4 * centre, fine);
  let down = pixels(below, y, x, height, width);
  let along = halved2(along_at(plane, y, x, height, width, step), select(4, 2, fine));
  let both = halved2(along_at(below, y, x, height, width, step), 4);
  let turned = pixels(plane, y - step, x + step, height, width) + pixels(plane, y + step, x - step, height, width)
             - pixels(plane, y + step, x + step, height, width) - pixels(plane, y - step, x - step, height, width);
  return Bands(band(down - both), band(along - both), band(quarter - down - along + both), band(quarter - both), band(down - along),
               band(select(halved2(turned, 2), turned, fine)), both);
}
fn fine_at(y: i32, x: i32) -> Bands { return bands_at(f.now, f.down, y, x, 2 * f.h, 2 * f.w, 1, true); }
fn squeezed(v: i32) -> i32 {
  let codes = (v + 2) >> 2u;
  let inner = clamp(codes, -32, 32);
  return 64 + inner + ((clamp(codes, -156, 156) - inner) >> 2u);
}
fn tinge(y: i32, x: i32) -> vec2i { return band(4 * chroma(y, x) - two(m[half_at(f.blur, y, x)])); }

// Map of the block grid at a place of half resolution.
fn map_at(map: i32, y: i32, x: i32) -> i32 { return m[block_at(f.maps + map * f.h8 * f.w8, clamp(y, 0, f.h8 - 1), clamp(x, 0, f.w8 - 1))]; }
fn between(a: i32, b: i32, place: i32) -> i32 { return a + (((b - a) * vec4i(5, 7, 1, 3)[place & 3] + 4) >> 3u); }
fn widened(map: i32, y: i32, x: i32) -> i32 {
  let up = (y >> 2u) - select(0, 1, (y & 3) < 2);
  let left = (x >> 2u) - select(0, 1, (x & 3) < 2);
  return between(between(map_at(map, up, left), map_at(map, up + 1, left), y), between(map_at(map, up, left + 1), map_at(map, up + 1, left + 1), y), x);
}
fn widened3(map: i32, y: i32, x: i32) -> vec3i { return vec3i(widened(map, y, x), widened(map + 1, y, x), widened(map + 2, y, x)); }
fn three_times(a: vec3i, b: vec3i) -> i32 { return times(a.x, b.x) + times(a.y, b.y) + times(a.z, b.z); }

// Luma padded, and noise: that of the frame before where it moved along.
@compute @workgroup_size(8, 8)
fn begin(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  if (y >= 2 * f.h || x >= 2 * f.w) { return; }
  let luma = sample(min(y, f.height - 1) * f.width + min(x, f.width - 1));
  let bits = mixed(u32(((y + f.top) & 511) * 512 + ((x + f.left) & 511)) * 0x9E3779B1u);
  var noise = i32((bits & 255u) + ((bits >> 8u) & 255u) + ((bits >> 16u) & 255u) + (bits >> 24u)) + 2;
  if (f.known != 0) {
    let from_ = vec2i(y, x) + vector_at(y / 16, x / 16);
    if (all(from_ >= vec2i(0)) && from_.x < 2 * f.h && from_.y < 2 * f.w) {
      let before = two(m[f.before + from_.x * 2 * f.w + from_.y]);
      if (bits % 32u != 0u || before.x == luma) { noise = before.y; }
    }
  }
  m[f.now + y * 2 * f.w + x] = pair(vec2i(luma, noise));
}

@compute @workgroup_size(8, 8)
fn smoothed_down(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  if (y >= l.height || x >= l.width) { return; }
  m[l.goal + y * l.width + x] = pair(halved2(down_at(l.source, y, x, l.height, l.width, l.stride), l.bits));
}

fn decimated_row(y: i32, x: i32) -> vec2i {
  let high = 2 * f.h;
  let wide = 2 * f.w;
  let inner = pixels(f.now, y, x, high, wide) + pixels(f.now, y + 1, x, high, wide);
  return halved2(pixels(f.now, y - 1, x, high, wide) + 3 * inner + pixels(f.now, y + 2, x, high, wide), 1);
}

// Half resolution, signals of the finest bands, blurred chroma.
@compute @workgroup_size(8, 8)
fn split(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  if (y >= f.h || x >= f.w) { return; }
  let wide = 2 * f.w;
  let inner = decimated_row(2 * y, 2 * x) + decimated_row(2 * y, 2 * x + 1);
  let outer = decimated_row(2 * y, max(2 * x - 1, 0)) + decimated_row(2 * y, min(2 * x + 2, wide - 1));
  m[half_at(f.half, y, x)] = pair(halved2(outer + 3 * inner, 3));
  var picture: vec4i;
  for (var i = 0; i < 4; i++) { picture[i] = squeezed(fine_at(2 * y + i / 2, 2 * x + i % 2).iso.x); }
  m[half_at(f.signal + 2 * f.h * f.w, y, x)] = quad(picture);
  var blur = vec2i(0);
  for (var i = 0; i < 9; i++) { blur += chroma(y + i / 3 - 1, x + i % 3 - 1) * (2 - abs(i / 3 - 1)) * (2 - abs(i % 3 - 1)); }
  m[half_at(f.blur, y, x)] = pair(halved2(blur, 2));
}

// Bands of a coarse scale: (N, P), (Q, H), (V, D) of the picture, (N, P), (Q, and lower bands of the picture) of noise.
fn keep_bands(scale: i32, b: Bands, y: i32, x: i32) {
  let plane = f.h * f.w;
  let at = half_at(f.bands + 5 * scale * plane, y, x);
  m[at] = pair(vec2i(b.iso.x, b.p.x));
  m[at + plane] = pair(vec2i(b.q.x, b.h.x));
  m[at + 2 * plane] = pair(vec2i(b.v.x, b.d.x));
  m[at + 3 * plane] = pair(vec2i(b.iso.y, b.p.y));
  m[at + 4 * plane] = pair(vec2i(b.q.y, b.low.x));
}
fn band_at(scale: i32, part: i32, y: i32, x: i32) -> vec2i { return two(m[half_at(f.bands + (5 * scale + part) * f.h * f.w, y, x)]); }

@compute @workgroup_size(8, 8)
fn second(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  if (y >= f.h || x >= f.w) { return; }
  let b = bands_at(f.half, f.half_down, y, x, f.h, f.w, 1, false);
  keep_bands(0, b, y, x);
  m[half_at(f.low, y, x)] = pair(b.low);
}

@compute @workgroup_size(8, 8)
fn third(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  if (y >= f.h || x >= f.w) { return; }
  let b = bands_at(f.low, f.low_down, y, x, f.h, f.w, 2, false);
  keep_bands(1, b, y, x);
  let second_ = band_at(0, 2, y, x);
  let colour = tinge(y, x);
  m[half_at(f.signal, y, x)] = quad(vec4i(squeezed(band_at(0, 1, y, x).y), squeezed(second_.x), squeezed(second_.y), squeezed(b.h.x)));
  m[half_at(f.signal + f.h * f.w, y, x)] = quad(vec4i(squeezed(b.v.x), squeezed(b.d.x), squeezed(colour.x), squeezed(colour.y)));
}

// Statistics of a block, products of its gradients.
@compute @workgroup_size(8, 8)
fn measure(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  if (y >= f.h8 || x >= f.w8) { return; }
  var size: array<i32, 16>;
  var mismatch = 0;
  var inside = 0;
  var moved = vec2i(0);
  if (f.known != 0) { moved = vector_at(y / 2, x / 2); }
  for (var i = 0; i < 64; i++) {
    let py = 8 * y + i / 8;
    let px = 8 * x + i % 8;
    let b = fine_at(py, px);
    size[0] += abs(b.h.x);
    size[1] += abs(b.v.x);
    size[2] += abs(b.d.x);
    if (f.known != 0) {
      let from_ = vec2i(py, px) + moved;
      let before = pixels(f.before, from_.x, from_.y, 2 * f.h, 2 * f.w).x;
      mismatch += abs(two(m[f.now + py * 2 * f.w + px]).x - before);
      inside += select(0, 1, all(from_ >= vec2i(0)) && from_.x < 2 * f.h && from_.y < 2 * f.w);
    }
  }
  var slopes = vec3i(0);
  for (var i = 0; i < 16; i++) {
    let py = 4 * y + i / 4;
    let px = 4 * x + i % 4;
    for (var scale = 0; scale < 2; scale++) {
      let part = abs(band_at(scale, 2, py, px));
      size[3 + 3 * scale] += 4 * abs(band_at(scale, 1, py, px).y);
      size[4 + 3 * scale] += 4 * part.x;
      size[5 + 3 * scale] += 4 * part.y;
    }
    let colour = abs(tinge(py, px));
    size[9] += 4 * colour.x;
    size[10] += 4 * colour.y;
    let blur = two(m[half_at(f.blur, py, px)]);
    size[11] += band_at(1, 4, py, px).y;
    size[12] += blur.x;
    size[13] += blur.y;
    let gy = clamp((halves(f.half, py + 1, px).x - halves(f.half, py - 1, px).x) >> 1u, -511, 511);
    let gx = clamp((halves(f.half, py, px + 1).x - halves(f.half, py, px - 1).x) >> 1u, -511, 511);
    slopes += vec3i(gx * gx, gy * gy, gx * gy);
  }
  for (var i = 0; i < 11; i++) { size[i] = log8(size[i] + 103) - 52; }
  for (var i = 11; i < 14; i++) { size[i] >>= 9u; }
  size[14] = halved((log8(4 * mismatch + 103) - 52) * inside, 6);
  size[15] = halved(inside * 127, 6);
  for (var i = 0; i < 16; i += 4) {
    let levels = vec4i(size[i], size[i + 1], size[i + 2], size[i + 3]);
    m[block_at(f.statistics + i / 4 * f.h8 * f.w8, y, x)] = quad(min(levels, vec4i(127)));
  }
  m[block_at(f.mismatch, y, x)] = mismatch;
  m[block_at(f.inside, y, x)] = inside;
  for (var i = 0; i < 3; i++) { m[block_at(f.slopes + i * f.h8 * f.w8, y, x)] = slopes[i]; }
}

// Layers.

fn parts(o: i32, part: i32) -> vec4i { return weights[l.scale + 4 * o + part]; }
fn scaled(sum: vec4i, o: i32) -> vec4i { return halved4(clamp(sum, vec4i(-1048576), vec4i(1048576)) * parts(o, 1), parts(o, 2)); }
fn sums(y: i32, x: i32, o: i32) -> vec4i {
  var total = parts(o, 0);
  var at = l.weight + o * l.quads * l.side * l.side;
  for (var q = 0; q < l.quads; q++) {
    for (var dy = 0; dy < l.side; dy++) {
      let row = y * l.stride + dy - l.side / 2;
      for (var dx = 0; dx < l.side; dx++) {
        let column = x * l.stride + dx - l.side / 2;
        var a = u32(l.outside);
        if (row >= 0 && row < l.height && column >= 0 && column < l.width) { a = u32(m[l.source + (q * l.height + row) * l.width + column]); }
        let w = vec4u(weights[at]);
        total += vec4i(dot4(a, w.x), dot4(a, w.y), dot4(a, w.z), dot4(a, w.w));
        at++;
      }
    }
  }
  return total;
}

// Activations, in quads.
@compute @workgroup_size(8, 8)
fn levels(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  let o = i32(id.z);
  if (y >= l.rows || x >= l.columns) { return; }
  var v = clamp(scaled(sums(y, x, o), o), vec4i(-1023), vec4i(1023));
  v *= clamp(v + 128, vec4i(0), vec4i(256));
  m[l.goal + (o * l.rows + y) * l.columns + x] = quad(clamp(halved4(v, parts(o, 3)) + 8, vec4i(0), vec4i(127)));
}

// Scaled sums, in a plane for each.
@compute @workgroup_size(8, 8)
fn numbers(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  let o = i32(id.z);
  if (y >= l.rows || x >= l.columns) { return; }
  let v = scaled(sums(y, x, o), o);
  for (var i = 0; i < 4 && 4 * o + i < l.outputs; i++) {
    let at = l.goal + ((4 * o + i) * l.rows + y) * l.columns + x;
    m[at] = clamp(v[i] + select(0, m[at], l.added != 0), -l.limit, l.limit);
  }
}

@compute @workgroup_size(8, 8)
fn depthwise(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  let o = i32(id.z);
  if (y >= l.rows || x >= l.columns) { return; }
  let plane = l.rows * l.columns;
  var total = parts(o, 0);
  for (var i = 0; i < 25; i++) {
    let row = y + i / 5 - 2;
    let column = x + i % 5 - 2;
    if (row < 0 || row >= l.rows || column < 0 || column >= l.columns) { continue; }
    let at = l.source + 4 * o * plane + row * l.columns + column;
    total += weights[l.weight + 25 * o + i] * vec4i(m[at], m[at + plane], m[at + 2 * plane], m[at + 3 * plane]);
  }
  m[l.goal + o * plane + y * l.columns + x] = quad(clamp(scaled(total, o) + 64, vec4i(0), vec4i(127)));
}

// How style sees the trunk.
@compute @workgroup_size(8, 8)
fn view(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  let o = i32(id.z);
  if (y >= l.rows || x >= l.columns) { return; }
  let plane = l.rows * l.columns;
  let at = l.source + 4 * o * plane + y * l.columns + x;
  m[l.goal + o * plane + y * l.columns + x] = quad(clamp(scaled(vec4i(m[at], m[at + plane], m[at + 2 * plane], m[at + 3 * plane]), o) + 64, vec4i(0), vec4i(127)));
}

// Gains of 3 scales × (N, P, Q), amplitudes likewise, tint of two, keep.
@compute @workgroup_size(8, 8)
fn maps(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  if (y >= f.h8 || x >= f.w8) { return; }
  let plane = f.h8 * f.w8;
  var soft = vec3i(0);
  for (var i = 0; i < 9; i++) {
    let at = block_at(f.slopes, clamp(y + i / 3 - 1, 0, f.h8 - 1), clamp(x + i % 3 - 1, 0, f.w8 - 1));
    soft += vec3i(m[at], m[at + plane], m[at + 2 * plane]) * (2 - abs(i / 3 - 1)) * (2 - abs(i % 3 - 1));
  }
  let total = soft.x + soft.y + 4096;
  let k = u32(max(12 - countLeadingZeros(total), 0));
  let whole = total >> k;
  let way = ((((vec2i(soft.x - soft.y, 2 * soft.z) + total) >> vec2u(k)) * 64 + (whole >> 1u)) / whole) - 64;
  let head = block_at(f.heads, y, x);
  let to = block_at(f.maps, y, x);
  for (var kind = 0; kind < 2; kind++) {
    for (var i = 0; i < 3; i++) {
      let most = select(16383, 8191, kind == 1);
      let size = clamp(m[head + (6 * kind + i) * plane], -most, most);
      let ratio = clamp(m[head + (6 * kind + 3 + i) * plane], -128, 128);
      let at = to + (9 * kind + 3 * i) * plane;
      m[at] = size;
      m[at + plane] = halved(size * halved(ratio * way.x, 6), 8);
      m[at + 2 * plane] = halved(size * halved(ratio * way.y, 6), 8);
    }
  }
  for (var i = 0; i < 2; i++) { m[to + (18 + i) * plane] = clamp(m[head + (12 + i) * plane], -16383, 16383); }
  let mismatch = m[block_at(f.mismatch, y, x)];
  let inside = m[block_at(f.inside, y, x)];
  let u = max(128 - halved(mismatch * 1365, 16), 0);
  let trust = halved(((u * u * u * u) >> 20u) * inside, 6);
  let share = min((clamp(m[head + 14 * plane] + 128, 0, 256) * trust + 1) >> 1u, 32767);
  m[to + 20 * plane] = select(share, 32767, mismatch == 0 && inside == 64);
}

// Detail of the coarse bands.
@compute @workgroup_size(8, 8)
fn below(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  if (y >= f.h || x >= f.w) { return; }
  var total = 0;
  for (var scale = 0; scale < 2; scale++) {
    let picture = vec3i(band_at(scale, 0, y, x), band_at(scale, 1, y, x).x);
    let grain = vec3i(band_at(scale, 3, y, x), band_at(scale, 4, y, x).x);
    total += three_times(8 * picture, widened3(3 + 3 * scale, y, x)) + three_times(4 * grain, widened3(12 + 3 * scale, y, x));
  }
  m[half_at(f.below, y, x)] = clamp(total, -2047, 2047);
}

fn below_at(y: i32, x: i32) -> i32 { return m[half_at(f.below, clamp(y, 0, f.h - 1), clamp(x, 0, f.w - 1))]; }

// Two rows of two samples of luma.
@compute @workgroup_size(8, 8)
fn luma(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  if (y >= f.h || x >= f.w) { return; }
  let gain = widened3(0, y, x);
  let amplitude = widened3(9, y, x);
  let keep = widened(20, y, x);
  var moved = vec2i(0);
  if (f.known != 0) { moved = vector_at(y / 8, x / 8); }
  for (var py = 0; py < 2; py++) {
    var out = vec2i(0);
    for (var px = 0; px < 2; px++) {
      let row = 2 * y + py;
      let column = 2 * x + px;
      let yn = y + 2 * py - 1;
      let xn = x + 2 * px - 1;
      var detail = halved(3 * (3 * below_at(y, x) + below_at(yn, x)) + 3 * below_at(y, xn) + below_at(yn, xn), 4);
      let b = fine_at(row, column);
      detail += three_times(8 * vec3i(b.iso.x, b.p.x, b.q.x), gain) + three_times(4 * vec3i(b.iso.y, b.p.y, b.q.y), amplitude);
      detail = clamp(detail, -8191, 8191);
      if (f.known != 0) {
        let from_ = f.before_detail + clamp(row + moved.x, 0, 2 * f.h - 1) * 2 * f.w + clamp(column + moved.y, 0, 2 * f.w - 1);
        detail += times(m[from_] - detail, keep);
      }
      m[f.now_detail + row * 2 * f.w + column] = detail;
      out[px] = clamp(two(m[f.now + row * 2 * f.w + column]).x + halved(detail, 3), 0, 1023);
    }
    painted[(2 * y + py) * f.w + x] = pair(out);
  }
}

// Both samples of chroma.
@compute @workgroup_size(8, 8)
fn tint(@builtin(global_invocation_id) id: vec3u) {
  let y = i32(id.y);
  let x = i32(id.x);
  if (y >= f.h || x >= f.w) { return; }
  let colour = tinge(y, x);
  let keep = widened(20, y, x);
  var before = vec2i(0);
  if (f.known != 0) {
    let from_ = vec2i(y, x) + ((vector_at(y / 8, x / 8) + 1) >> vec2u(1));
    before = halves(f.before_tint, from_.x, from_.y);
  }
  var out: vec2i;
  for (var i = 0; i < 2; i++) {
    out[i] = clamp(times(8 * colour[i], widened(18 + i, y, x)), -8191, 8191);
  }
  if (f.known != 0) { out += vec2i(times(before.x - out.x, keep), times(before.y - out.y, keep)); }
  m[half_at(f.now_tint, y, x)] = pair(out);
  painted[(2 * f.h + y) * f.w + x] = pair(clamp(chroma(y, x) + halved2(out, 3), vec2i(0), vec2i(1023)));
}
`;
