// Frames that `gvcodec play` decodes and paints on the machine itself and sends to the page.
//
// The answer of native?from=N is a row of { u32 frame, u32 parts, parts × planes }: the base frame and, where parts is 2,
// the painted one. Planes are uint16, one after the other. That of keyframe?from=N is the base frame N alone.

import { samplesOf } from "./core.js";

export async function* nativeFrames(header, from, painted, wanted, path = "native") {
  const size = 2 * samplesOf(header.width, header.height);
  const stop = new AbortController();
  const answer = await fetch(new URL(`${path}?from=${from}&painted=${painted ? 1 : 0}`, import.meta.url), { signal: stop.signal });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `the server answers ${answer.status}`);
  const bytes = new Pieces(answer.body.getReader());
  try {
    for (;;) {
      const began = performance.now();
      const head = await bytes.take(8);
      if (!head || !wanted()) return;
      const view = new DataView(head.buffer);
      const frame = view.getUint32(0, true), parts = view.getUint32(4, true);
      if (parts === 0) throw new Error(new TextDecoder().decode(await bytes.take(frame)));
      if (parts > 2) throw new Error("the server sends something else");
      const base = await bytes.take(size);
      const shown = parts === 2 ? await bytes.take(size) : null;
      if (!base || (parts === 2 && !shown)) return;
      yield {
        frame, ms: performance.now() - began,
        base: new Uint16Array(base.buffer), painted: shown && new Uint16Array(shown.buffer),
      };
    }
  } finally {
    stop.abort();
  }
}

class Pieces {
  constructor(reader) {
    this.reader = reader;
    this.rest = new Uint8Array();
  }

  /** `size` bytes, or null at the end. */
  async take(size) {
    const out = new Uint8Array(size);
    for (let at = 0; at < size; ) {
      if (!this.rest.length) {
        const { done, value } = await this.reader.read();
        if (done) return null;
        this.rest = value;
        continue;
      }
      const part = this.rest.subarray(0, size - at);
      out.set(part, at);
      at += part.length;
      this.rest = this.rest.subarray(part.length);
    }
    return out;
  }
}
