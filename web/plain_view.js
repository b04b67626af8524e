// Shows frames without a GPU: the core converts them to pictures for a 2D canvas. WebGL would run in software, several times as slow.

import { toRgb } from "./colour.js";
import { floatsOf, loadCore, pictureOf, samplesIn, samplesOf, wordsOf } from "./core.js";
import { PLACES } from "./view.js";

/** The core works on whole vectors. */
const BEYOND = 4;

export class PlainView {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.loading = loadCore();
  }

  /** Frames of this stream come. */
  open(header) {
    const { canvas } = this;
    const { width, height, colour } = header;
    this.size = [canvas.width, canvas.height] = [width, height];
    const [along, down] = PLACES[colour.location] ?? PLACES[0];
    this.halves = [2 * down, 2 * along];
    this.numbers = rowsOf(toRgb(header));
    this.loading.then((core) => this.begin(core));
  }

  /** Memory of the core: samples, picture, numbers. */
  begin(core) {
    const [width, height] = this.size;
    this.samples = core._malloc(2 * (samplesOf(width, height) + BEYOND));
    this.picture = core._malloc(4 * (width * height + BEYOND));
    this.constants = core._malloc(4 * (this.numbers.length + this.halves.length));
    floatsOf(core).set(this.numbers, this.constants / 4);
    wordsOf(core).set(this.halves, this.constants / 4 + this.numbers.length);
    this.core = core;
    if (this.split !== undefined) this.draw(this.split);
  }

  /** The samples of a frame, which `draw` shows; `painted` may be null. */
  take(base, painted) {
    this.frame = { base, painted };
    this.images = {};
  }

  /** `split`: share of the width that shows the base, 0…1; without painted planes all of it does. */
  draw(split) {
    this.split = split;
    if (!this.core || !this.frame) return;
    const [width, height] = this.size;
    // Of a pixel its middle counts, as in WebGL.
    const border = this.frame.painted ? Math.ceil(split * width - 0.5) : width;
    if (border > 0) this.context.putImageData(this.imageOf("base"), 0, 0, 0, 0, border, height);
    if (border < width) this.context.putImageData(this.imageOf("painted"), 0, 0, border, 0, width - border, height);
  }

  imageOf(name) {
    return (this.images[name] ??= this.convert(this.frame[name]));
  }

  convert(samples) {
    const { core, constants, numbers, picture } = this;
    const [width, height] = this.size;
    samplesIn(core, this.samples, samples.length).set(samples);
    core._picture_rgba(this.samples, width, height, constants, constants + 4 * numbers.length, picture);
    return new ImageData(pictureOf(core, picture, 4 * width * height).slice(), width, height);
  }
}

/** From (Y, 16·Cb, 16·Cr) to red, green, blue of 0…255: three factors and an offset for each. */
function rowsOf({ offset, gain, matrix }) {
  const sixteenths = [1, 16, 16];
  return [0, 1, 2].flatMap((row) => {
    const factors = [0, 1, 2].map((c) => (255 * matrix[3 * c + row] * gain[c]) / sixteenths[c]);
    const added = -factors.reduce((sum, factor, c) => sum + factor * sixteenths[c] * offset[c], 0);
    return [...factors, added];
  });
}
