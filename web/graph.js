// Bits a frame over the whole video, as bars with the bitrate as a line: what the seek bar lies on.

/** Frames over which the bitrate is averaged: a second. */
const MOST_COLUMNS = 4096;

export class Graph {
  constructor(canvas, { frames, gops, header }) {
    this.canvas = canvas;
    this.frames = frames;
    this.gops = gops;
    this.rate = header.rate[0] / header.rate[1];
    this.sizes = new Map();
    this.averages = gops.map(({ size, count }) => size / count);
  }

  learn(gop, sizes) {
    this.sizes.set(gop, sizes);
    this.dirty = true;
  }

  bits(frame) {
    const gop = this.gops.findLastIndex(({ first }) => first <= frame);
    return 8 * (this.sizes.get(gop)?.[frame - this.gops[gop].first] ?? this.averages[gop]);
  }

  /** Bits a second around a frame. */
  rateAt(frame) {
    const first = Math.max(0, Math.floor(frame - this.rate / 2)), last = Math.min(this.frames, Math.ceil(first + this.rate));
    let sum = 0;
    for (let n = first; n < last; ++n) sum += this.bits(n);
    return (sum * this.rate) / Math.max(1, last - first);
  }

  draw(at) {
    const { canvas } = this;
    const width = Math.min(MOST_COLUMNS, Math.round(canvas.clientWidth * devicePixelRatio)), height = Math.round(canvas.clientHeight * devicePixelRatio);
    if (!width || !height) return;
    if (this.dirty || this.picture?.width !== width || this.picture?.height !== height) this.render(width, height);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    context.drawImage(this.picture, 0, 0);
    context.fillStyle = "#fff";
    context.fillRect(Math.round((at / Math.max(1, this.frames - 1)) * (width - 2)), 0, 2, height);
  }

  render(width, height) {
    const columns = Array.from({ length: width }, () => [0, 0]);
    const step = Math.max(1, Math.floor(this.frames / (8 * width)));
    for (let n = 0; n < this.frames; n += step) {
      const from = Math.floor((n * width) / this.frames), to = Math.max(from + 1, Math.floor(((n + 1) * width) / this.frames));
      const bits = this.bits(n);
      for (let x = from; x < to; ++x) columns[x] = [Math.max(columns[x][0], bits), 0];
    }
    const points = 200, rates = Array.from({ length: points }, (_, n) => this.rateAt((n * (this.frames - 1)) / (points - 1)));
    const most = Math.max(1, ...columns.map(([bits]) => bits)), mostRate = Math.max(1, ...rates);
    this.picture = new OffscreenCanvas(width, height);
    const context = this.picture.getContext("2d");
    context.fillStyle = "#3a6ea5";
    columns.forEach(([bits], x) => context.fillRect(x, height, 1, -Math.max(1, Math.sqrt(bits / most) * (height - 2))));
    context.fillStyle = "#ffffff55";
    for (const { first } of this.gops) context.fillRect(Math.floor((first * width) / this.frames), 0, 1, height);
    context.strokeStyle = "#ffb347";
    context.lineWidth = 1.5;
    context.beginPath();
    rates.forEach((rate, n) => context.lineTo((n * (width - 1)) / (points - 1), height - 2 - (rate / mostRate) * (height - 6)));
    context.stroke();
    this.dirty = false;
  }
}
