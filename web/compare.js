// The handle on the picture between the base layer, left of it, and the painted picture: by mouse, touch and keyboard.

const STEP = 0.02, LEAP = 0.1;

export class Compare {
  /** `moved(place)` is called with shares of the width, 0…1. */
  constructor(handle, moved) {
    this.handle = handle;
    this.moved = moved;
    handle.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      handle.focus();
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (handle.hasPointerCapture(event.pointerId)) this.follow(event.clientX);
    });
    handle.addEventListener("keydown", (event) => {
      const place = this.placeBy(event.key, event.shiftKey ? LEAP : STEP);
      if (place === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      this.set(place);
    });
  }

  placeBy(key, step) {
    return { ArrowLeft: this.place - step, ArrowRight: this.place + step, Home: 0, End: 1 }[key];
  }

  follow(x) {
    const { left, width } = this.handle.parentElement.getBoundingClientRect();
    this.set((x - left) / width);
  }

  set(place) {
    this.place = Math.min(1, Math.max(0, place));
    this.handle.parentElement.style.setProperty("--place", this.place);
    const percent = Math.round(100 * this.place);
    this.handle.setAttribute("aria-valuenow", percent);
    this.moved(this.place);
  }
}
