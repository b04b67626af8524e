// Whether painting keeps up with playing, by the share of the time in which the next frame is late.

/** Milliseconds of playing that are judged at once; the share of them that may be lost; how often in a row it may be more; the longest step that counts. */
const WINDOW = 2500, MOST_LOST = 0.3, MOST_SLOW = 1, MOST_STEP = 1000;

export class Pace {
  constructor() {
    this.begin();
  }

  begin() {
    Object.assign(this, { played: 0, lost: 0, slow: 0, at: null });
  }

  /** Called at every refresh of the screen while painted frames play; true: too slow. */
  step(now, late) {
    const step = Math.min(MOST_STEP, now - (this.at ?? now));
    this.at = now;
    this.played += step;
    if (late) this.lost += step;
    if (this.played < WINDOW) return false;
    this.slow = this.lost > MOST_LOST * this.played ? this.slow + 1 : 0;
    Object.assign(this, { played: 0, lost: 0 });
    return this.slow > MOST_SLOW;
  }
}
