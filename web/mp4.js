// Samples of the tracks of an MP4 file: their offsets and display times.

import { Damaged } from "./bytes.js";

const MOST_MOOV = 1 << 26, MOST_SAMPLES = 1 << 20, MOST_BOXES = 1 << 12, MOST_TRACKS = 64;
const BROKEN = "the .mp4 file is damaged";

/** Of each track { kind: "vide" | "soun" | …, codec, samples: [{ offset, size, seconds, duration, key }] }. Throws `Damaged`. */
export async function readTracks(source) {
  const traks = find(await readMoov(source), "trak").slice(0, MOST_TRACKS);
  return traks.map(trackOf);
}

/** The box that lists all samples, before or after them. */
async function readMoov(source) {
  for (let at = 0, count = 0; at < source.size && count < MOST_BOXES; ++count) {
    const head = viewOf(await source.read(at, 16));
    if (head.byteLength < 8) break;
    const { type, size, begin } = headOf(head, 0, source.size - at);
    if (type === "moof") throw new Damaged("this page does not read fragmented .mp4 files; `gvcodec play FILE` does");
    if (type === "moov") {
      if (size > MOST_MOOV) throw new Damaged("the .mp4 file is too long for a page");
      return viewOf(await source.read(at + begin, size - begin));
    }
    at += size;
  }
  throw new Damaged(BROKEN);
}

const viewOf = (data) => new DataView(data.buffer, data.byteOffset, data.length);

/** { type, size, begin }: `begin` bytes are the head. */
function headOf(view, at, left) {
  const type = String.fromCharCode(...[4, 5, 6, 7].map((n) => view.getUint8(at + n)));
  let size = view.getUint32(at), begin = 8;
  if (size === 1 && view.byteLength >= at + 16) [size, begin] = [Number(view.getBigUint64(at + 8)), 16];
  if (size === 0) size = left;
  if (size < begin || size > left) throw new Damaged(BROKEN);
  return { type, size, begin };
}

/** Views of the boxes along a path of types, "a/b": all `b` in all `a`. */
function find(view, path) {
  const [wanted, ...rest] = path.split("/"), found = [];
  for (let at = 0; at + 8 <= view.byteLength; ) {
    const { type, size, begin } = headOf(view, at, view.byteLength - at);
    if (type === wanted) found.push(new DataView(view.buffer, view.byteOffset + at + begin, size - begin));
    at += size;
  }
  return rest.length ? found.flatMap((each) => find(each, rest.join("/"))) : found;
}

function one(view, path) {
  const [found] = find(view, path);
  if (!found) throw new Damaged(BROKEN);
  return found;
}

/** Rows of `width` 32-bit numbers of a full box, whose count is at `at`. */
function rows(view, width, at = 4) {
  if (!view) return [];
  const count = view.getUint32(at);
  if (count * width * 4 > view.byteLength - at - 4 || count > MOST_SAMPLES) throw new Damaged(BROKEN);
  return Array.from({ length: count }, (_, n) => Array.from({ length: width }, (__, m) => view.getUint32(at + 4 + 4 * (n * width + m))));
}

function trackOf(trak) {
  try {
    const kind = one(trak, "mdia/hdlr"), stbl = one(trak, "mdia/minf/stbl"), stsd = one(stbl, "stsd");
    const name = (view, at) => String.fromCharCode(...[0, 1, 2, 3].map((n) => view.getUint8(at + n)));
    const samples = samplesOf(stbl, clockOf(trak));
    return { kind: name(kind, 8), codec: name(stsd, 12), samples };
  } catch (error) {
    if (error instanceof RangeError) throw new Damaged(BROKEN);
    throw error;
  }
}

/** Ticks a second, and the tick that is shown at 0: edit lists leave out the beginning. */
function clockOf(trak) {
  const mdhd = one(trak, "mdia/mdhd"), timescale = mdhd.getUint32(mdhd.getUint8(0) ? 20 : 12);
  if (!timescale) throw new Damaged(BROKEN);
  const [elst] = find(trak, "edts/elst");
  // An entry has a duration, the tick that it begins with (-1: nothing is shown), a rate.
  const wide = elst && elst.getUint8(0) === 1, edits = elst ? rows(elst, wide ? 5 : 3) : [];
  const starts = edits.map((edit) => (wide ? edit[2] * 2 ** 32 + edit[3] : edit[1])).filter((start) => start < 2 ** 31);
  return { timescale, start: starts[0] ?? 0 };
}

function samplesOf(stbl, { timescale, start }) {
  const stsz = one(stbl, "stsz"), same = stsz.getUint32(4), count = stsz.getUint32(8);
  if (count > MOST_SAMPLES) throw new Damaged("the .mp4 file is too long for a page");
  const sizes = same ? null : rows(stsz, 1, 8);
  const durations = spread(rows(one(stbl, "stts"), 2), count), shifts = spread(rows(find(stbl, "ctts")[0], 2), count);
  const [stss] = find(stbl, "stss"), keys = stss && new Set(rows(stss, 1).flat());
  const offsets = offsetsOf(stbl, (n) => (sizes ? sizes[n][0] : same), count);
  let ticks = -start;
  return Array.from({ length: count }, (_, n) => {
    const duration = (durations[n] ?? 0) / timescale, seconds = (ticks + ((shifts[n] ?? 0) | 0)) / timescale;
    ticks += durations[n] ?? 0;
    return { offset: offsets[n], size: sizes ? sizes[n][0] : same, seconds, duration, key: !keys || keys.has(n + 1) };
  });
}

/** Values of run lengths, [count, value]. */
function spread(runs, most) {
  const values = [];
  for (const [count, value] of runs) for (let n = 0; n < count && values.length < most; ++n) values.push(value);
  return values;
}

/** Offsets of samples; `stsc` has how many each chunk holds. */
function offsetsOf(stbl, sizeOf, count) {
  const runs = rows(one(stbl, "stsc"), 3), [wide] = find(stbl, "co64");
  const chunks = wide ? rows(wide, 2) : rows(one(stbl, "stco"), 1);
  const offsets = [];
  for (let chunk = 0, run = -1; chunk < chunks.length && offsets.length < count; ++chunk) {
    while (runs[run + 1]?.[0] <= chunk + 1) ++run;
    const [high, low] = wide ? chunks[chunk] : [0, chunks[chunk][0]];
    let at = high * 2 ** 32 + low;
    for (let n = 0; n < (runs[run]?.[1] ?? 0) && offsets.length < count; ++n) {
      const size = sizeOf(offsets.length);
      offsets.push(at);
      at += size;
    }
  }
  if (offsets.length < count) throw new Damaged(BROKEN);
  return offsets;
}
