// The seek bar: the position, and above it time and thumbnail at the pointer.

import { clock } from "./words.js";

/** Half of the thumb in CSS pixels: the first and the last frame are so far from the ends. */
const INSET = 8;

export class SeekBar {
  /** `bar` holds an input, marks and a preview. */
  constructor(bar, seek) {
    this.bar = bar;
    this.input = bar.querySelector("input");
    this.preview = bar.querySelector("#preview");
    this.dragged = false;
    this.input.addEventListener("input", () => {
      this.dragged = true;
      seek(Number(this.input.value), true);
    });
    // An end at the value of the beginning has no change event.
    for (const name of ["change", "pointerup", "pointercancel"]) {
      this.input.addEventListener(name, () => {
        if (this.dragged) seek(Number(this.input.value), false);
        this.dragged = false;
      });
    }
    bar.addEventListener("pointermove", ({ clientX }) => this.point(clientX));
    for (const name of ["pointerleave", "pointercancel"]) bar.addEventListener(name, () => this.leave());
    bar.addEventListener("pointerup", ({ pointerType }) => pointerType === "touch" && this.leave());
  }

  /** Reset for another stream. `thumbnails`: null without any. */
  open({ timeline, moments, hits }, thumbnails) {
    Object.assign(this, { timeline, thumbnails });
    Object.assign(this.input, { max: timeline.frames - 1, disabled: false });
    this.bar.querySelector("#moments").replaceChildren(...moments.map((number) => {
      const mark = document.createElement("i");
      mark.style.setProperty("--at", this.share(number));
      mark.classList.toggle("hit", hits.length > 0);
      return mark;
    }));
    this.leave();
  }

  share(frame) {
    return frame / Math.max(1, this.timeline.frames - 1);
  }

  show(frame, time) {
    if (frame === this.shown) return;
    this.shown = frame;
    if (!this.dragged) this.input.value = frame;
    this.input.style.setProperty("--at", this.share(frame));
    this.input.setAttribute("aria-valuetext", clock(time));
  }

  point(x) {
    if (!this.timeline) return;
    const { left, width } = this.bar.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (x - left - INSET) / (width - 2 * INSET)));
    const frame = Math.round(share * (this.timeline.frames - 1));
    this.preview.hidden = false;
    this.preview.querySelector("span").textContent = clock(this.timeline.timeOf(frame));
    this.gop = this.timeline.gopOf(frame);
    this.picture();
    const half = this.preview.offsetWidth / 2;
    this.preview.style.left = `${Math.min(width - half, Math.max(half, x - left))}px`;
  }

  /** The keyframe from which the place pointed at is decoded; drawn when it is there. */
  picture() {
    const canvas = this.preview.querySelector("canvas"), gop = this.gop;
    const image = this.thumbnails?.get(gop, () => gop === this.gop && !this.preview.hidden && this.picture());
    canvas.hidden = !this.thumbnails?.shape;
    if (!image) return canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height); // not that of another place
    canvas.hidden = false;
    Object.assign(canvas, { width: image.width, height: image.height });
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  leave() {
    this.preview.hidden = true;
  }
}
