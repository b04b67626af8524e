// The graph below the picture: bits of each frame as bars, the bitrate as a line, keyframes as marks.

const MOST_COLUMNS = 4096, POINTS = 200;
/** CSS pixels left and right, by which it lies below the seek bar frame by frame: half of its thumb. */
const MARGIN = 8;

export class Graph {
  constructor(canvas, timeline) {
    this.canvas = canvas;
    this.timeline = timeline;
    this.drawn = "";
  }

  /** With a cursor at frame `at`. Redrawn after a change. */
  draw(at) {
    const { canvas, timeline } = this, style = getComputedStyle(canvas);
    const width = Math.min(MOST_COLUMNS, Math.round((canvas.clientWidth - 2 * MARGIN) * devicePixelRatio));
    const height = Math.round(canvas.clientHeight * devicePixelRatio);
    if (width <= 0 || height <= 0) return;
    const colours = ["--bar", "--line", "--mark", "--text"].map((name) => style.getPropertyValue(name));
    const state = [width, height, timeline.version, ...colours].join();
    if (state === this.drawn && at === this.at) return;
    if (state !== this.drawn) this.render(width, height, colours);
    Object.assign(this, { drawn: state, at });
    const margin = Math.round(MARGIN * devicePixelRatio);
    Object.assign(canvas, { width: width + 2 * margin, height });
    const context = canvas.getContext("2d");
    context.drawImage(this.picture, margin, 0);
    context.fillStyle = colours[3];
    context.fillRect(margin + (at / Math.max(1, timeline.frames - 1)) * width - devicePixelRatio, 0, 2 * devicePixelRatio, height);
  }

  render(width, height, [bar, line, mark]) {
    const { timeline } = this, { frames, gops } = timeline;
    const columns = new Float64Array(width), step = Math.max(1, Math.floor(frames / (8 * width)));
    for (let n = 0; n < frames; n += step) {
      const from = Math.floor((n * width) / frames), to = Math.max(from + 1, Math.floor(((n + 1) * width) / frames));
      const gap = to - from > 4 * devicePixelRatio ? Math.round(devicePixelRatio) : 0;
      for (let x = from; x < to - gap; ++x) columns[x] = Math.max(columns[x], timeline.bits(n));
    }
    const rates = Array.from({ length: POINTS }, (_, n) => timeline.rateAt((n * (frames - 1)) / (POINTS - 1)));
    const most = columns.reduce((a, b) => Math.max(a, b), 1), mostRate = Math.max(1, ...rates);
    this.picture = new OffscreenCanvas(width, height);
    const context = this.picture.getContext("2d");
    context.fillStyle = mark;
    for (const { first } of gops) context.fillRect(Math.floor((first * width) / frames), 0, devicePixelRatio, height);
    context.fillStyle = bar;
    columns.forEach((bits, x) => bits && context.fillRect(x, height, 1, -Math.max(1, Math.sqrt(bits / most) * (height - 2))));
    context.strokeStyle = line;
    context.lineWidth = 2 * devicePixelRatio;
    context.lineJoin = "round";
    context.beginPath();
    rates.forEach((rate, n) => context.lineTo((n * (width - 1)) / (POINTS - 1), height - 3 - (rate / mostRate) * (height - 8)));
    context.stroke();
  }
}
