// A worker that makes thumbnails of keyframes: { open: { url | file, native } }, { gop } …; it answers { gop, image } for the last request.
// It decodes them in parallel to the engine, or the server does (H.266). GOPs that cannot be decoded have no picture.

import { Av1Decoder, av1Support } from "./av1.js";
import { toRgb } from "./colour.js";
import { samplesOf } from "./core.js";
import { nativeFrames } from "./native.js";
import { openStream } from "./streams.js";

/** CSS pixels of the longer side, twice for sharp screens. */
const LONGEST = 320;

let opening, wanted = null, busy = false;

self.onmessage = ({ data }) => {
  if (data.open) opening = open(data.open);
  else wanted = data.gop;
  if (!busy && wanted !== null) work();
};

/** The header, and a function for the planes of a GOP's keyframe. */
async function open({ url, file, native }) {
  const stream = await openStream(file ?? url), { header } = stream;
  const { config } = header.base === "av1" && header.scale === 1 ? await av1Support(header) : {};
  if (!config && !native?.decodes) throw new Error("nothing decodes it");
  if (!config) return { header, planesOf: (gop) => sent(header, stream.gops[gop].first) };
  const decoder = new Av1Decoder(config, header), samples = new Uint16Array(samplesOf(header.width, header.height));
  return { header, planesOf: async (gop) => decoder.first(await stream.firstUnit(gop), () => samples) };
}

async function sent(header, frame) {
  for await (const { base } of nativeFrames(header, frame, false, () => true, "keyframe")) return base;
  throw new Error("the server sends no keyframe");
}

async function work() {
  busy = true;
  while (wanted !== null) {
    const gop = wanted;
    wanted = null;
    try {
      const { header, planesOf } = await opening;
      self.postMessage({ gop, image: small(await planesOf(gop), header) });
    } catch (error) {
      console.debug(`no thumbnail: ${error.message}`);
    }
  }
  busy = false;
}

/** An ImageData of the means of the samples that each of its pixels covers. */
function small(planes, header) {
  const { width, height, sar } = header;
  const shape = (width * sar[0]) / (height * sar[1]), scale = Math.min(1, LONGEST / Math.max(width, height));
  const tall = Math.max(1, Math.round(height * scale)), wide = Math.max(1, Math.round(tall * shape));
  const halfWidth = Math.ceil(width / 2), halfHeight = Math.ceil(height / 2), luma = width * height;
  const parts = [
    shrunk(planes, 0, width, height, wide, tall),
    shrunk(planes, luma, halfWidth, halfHeight, wide, tall),
    shrunk(planes, luma + halfWidth * halfHeight, halfWidth, halfHeight, wide, tall),
  ];
  const { offset, gain, matrix } = toRgb(header);
  const image = new ImageData(wide, tall);
  for (let n = 0; n < wide * tall; ++n) {
    const [y, u, v] = parts.map((part, c) => (part[n] - offset[c]) * gain[c]);
    for (let c = 0; c < 3; ++c) image.data[4 * n + c] = 255 * (matrix[c] * y + matrix[3 + c] * u + matrix[6 + c] * v);
    image.data[4 * n + 3] = 255;
  }
  return image;
}

/** A plane at `begin` of `planes`, made small by means. */
function shrunk(planes, begin, width, height, wide, tall) {
  const out = new Float32Array(wide * tall);
  const from = (n, most, count) => Math.floor((n * most) / count);
  for (let row = 0; row < tall; ++row) {
    const top = from(row, height, tall), bottom = Math.max(top + 1, from(row + 1, height, tall));
    for (let column = 0; column < wide; ++column) {
      const left = from(column, width, wide), right = Math.max(left + 1, from(column + 1, width, wide));
      let sum = 0;
      for (let y = top; y < bottom; ++y) for (let x = left; x < right; ++x) sum += planes[begin + y * width + x];
      out[row * wide + column] = sum / ((bottom - top) * (right - left));
    }
  }
  return out;
}
