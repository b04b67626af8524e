// Timestamps of the frames of one GOP, as gvcodec/bitstream/timing.py has them.

import { Cursor, Damaged } from "./bytes.js";

const MOST_FRAME = 2 ** 40;
const MOST_ENTRIES = 1 << 19;

/** Ticks of `frames` frames from number `first` on and, last, of the end, from the `timing` payloads of their GOP. */
export function timesOf(header, first, frames, payloads) {
  const late = new Map();
  const exact = new Map();
  const clock = { frame: 0, pts: header.startPts };
  let named = 0;
  for (const payload of payloads) {
    const cursor = new Cursor(payload, "timing");
    while (cursor.left) {
      let frame = named + cursor.var(MOST_FRAME);
      const by = cursor.svar();
      if (by === 0) {
        frame = cursor.var(MOST_FRAME);
        const pts = header.startPts + cursor.svar();
        if (frame < first) Object.assign(clock, { frame, pts });
        else exact.set(frame, pts);
      } else if (frame < first) {
        throw new Damaged("timing comes after the frame it names");
      } else {
        late.set(frame, by);
      }
      if (late.size + exact.size > MOST_ENTRIES) throw new Damaged("timing names frames that are not there");
      named = frame + 1;
    }
  }
  return Float64Array.from({ length: frames + 1 }, (_, number) => {
    const frame = first + number;
    const by = late.get(frame) ?? 0;
    const pts = exact.get(frame) ?? predicted(header, clock, frame) + by;
    if (!Number.isSafeInteger(pts)) throw new Damaged("timing: a timestamp is out of range");
    if (by) Object.assign(clock, { frame, pts });
    return pts;
  });
}

function predicted(header, clock, frame) {
  const up = BigInt(header.rate[1]) * BigInt(header.tick[1]);
  const down = BigInt(header.rate[0]) * BigInt(header.tick[0]);
  return clock.pts + Number((2n * BigInt(frame - clock.frame) * up + down) / (2n * down));
}
