// AV1 by the browser's own decoder (WebCodecs), with the exact samples of its frames.

import { Damaged } from "./bytes.js";
import { samplesOf } from "./core.js";

/** Frames in the decoder, and how long nothing may come out of it. */
const MOST_INSIDE = 12, PATIENCE_MS = 20_000;
/** Levels 4.0, 5.0, 6.0 by luma samples, for the decoder's configuration. */
const LEVELS = [[2_228_224, "08"], [8_912_896, "12"], [35_651_584, "16"]];

/** Configuration of a decoder for a stream, or why there is none. */
export async function av1Support(header) {
  if (typeof VideoDecoder === "undefined") return { reason: "this browser has no WebCodecs (or the page is not from a safe place)" };
  const [width, height] = codedSize(header);
  const level = LEVELS.find(([most]) => width * height <= most)?.[1] ?? "16";
  const config = {
    codec: `av01.0.${level}M.${header.bitDepth === 10 ? "10" : "08"}`, codedWidth: width, codedHeight: height,
    hardwareAcceleration: "prefer-software", optimizeForLatency: false,
  };
  try {
    if ((await VideoDecoder.isConfigSupported(config)).supported) return { config };
  } catch (error) {
    return { reason: `this browser does not know AV1 (${error.message})` };
  }
  return { reason: `this browser does not decode AV1 with ${header.bitDepth} bits` };
}

/** As gvcodec/base/resample.py pads and scales. */
export function codedSize({ width, height, scale }) {
  const multiple = 2 * { 1: 1, 0.75: 4, 0.5: 2 }[scale];
  return [width, height].map((side) => (Math.ceil(Math.max(side, Math.floor(64 / scale)) / multiple) * multiple) * scale);
}

export class Av1Decoder {
  constructor(config, header) {
    this.config = config;
    this.header = header;
    this.size = codedSize(header);
    this.scratch = new Uint16Array(samplesOf(...this.size));
  }

  /** Planes of a keyframe, sooner than by `frames`. Throws `Damaged`. */
  async first(unit, room) {
    for await (const planes of this.frames([unit], room, true)) return planes;
    throw new Damaged("there is no frame");
  }

  /** Planes of the frames of a GOP in order, in buffers from `room`. Throws `Damaged`. */
  async *frames(units, room, soon = false) {
    const waiting = [];
    let failure = null, flushed = false, wake = () => {};
    const change = () => new Promise((resolve) => (wake = resolve));
    const fail = (error) => {
      failure ??= error;
      wake();
    };
    const decoder = new VideoDecoder({ output: (frame) => (waiting.push(frame), wake()), error: fail });
    decoder.addEventListener?.("dequeue", () => wake());
    let sent = 0, given = 0;
    try {
      decoder.configure({ ...this.config, optimizeForLatency: soon });
      for (;;) {
        for (; waiting.length && given < units.length; ++given) {
          if (waiting.length > MOST_INSIDE) throw new Damaged("there are more frames than packets");
          yield await this.planesOf(waiting.shift(), room());
        }
        if (given === units.length) return;
        for (; sent < units.length && sent - given < MOST_INSIDE && !failure; ++sent) {
          const type = units[sent].key ? "key" : "delta";
          decoder.decode(new EncodedVideoChunk({ type, timestamp: sent, data: units[sent].data }));
          if (sent === units.length - 1) decoder.flush().then(() => ((flushed = true), wake()), fail);
        }
        if (failure) throw failure;
        if (flushed && !waiting.length) throw new Error("frames are missing");
        if (!waiting.length && !(await inTime(change()))) throw new Error("the decoder does not answer");
      }
    } catch (error) {
      if (error instanceof Damaged) throw error;
      throw new Damaged(`AV1 cannot be decoded (${error.message})`);
    } finally {
      waiting.forEach((frame) => frame.close());
      if (decoder.state !== "closed") decoder.close();
    }
  }

  async planesOf(frame, out) {
    const { width, height } = this.header;
    try {
      const { codedWidth, codedHeight } = frame;
      const [w, h] = this.size;
      const { x, y } = frame.visibleRect ?? { x: 0, y: 0 };
      // Old streams of 8-bit sources have 10 bits.
      const bytes = { I420: 1, I420P10: 2 }[frame.format];
      if (!bytes) throw new Error(`the browser gives ${frame.format ?? "no"} samples instead of 8 or 10 bits`);
      if (codedWidth < w || codedHeight < h || x || y) throw new Damaged("the picture has another size than the header says");
      const half = w / 2, chroma = half * (h / 2);
      const layout = [
        { offset: 0, stride: bytes * w },
        { offset: bytes * w * h, stride: bytes * half },
        { offset: bytes * (w * h + chroma), stride: bytes * half },
      ];
      const samples = bytes === 1 ? new Uint8Array(this.scratch.length) : this.scratch;
      await frame.copyTo(samples, { rect: { x: 0, y: 0, width: w, height: h }, layout });
      if (bytes === 1) for (let i = 0; i < samples.length; ++i) this.scratch[i] = samples[i] << 2;
    } finally {
      frame.close();
    }
    crop(this.scratch, this.size, out, [width, height]);
    return out;
  }
}

/** Planes of one size to the upper left of them. */
function crop(from, [w, h], to, [width, height]) {
  if (w === width && h === height) return to.set(from);
  let source = 0, target = 0;
  for (const half of [1, 2, 2]) {
    const columns = Math.ceil(width / half), rows = Math.ceil(height / half);
    for (let y = 0; y < rows; ++y) {
      to.set(from.subarray(source + (y * w) / half, source + (y * w) / half + columns), target);
      target += columns;
    }
    source += (w / half) * (h / half);
  }
}

async function inTime(change) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, PATIENCE_MS, false)));
  try {
    return await Promise.race([change.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
