// The map of tokens, a canvas over the picture: which windows have which kinds of tokens in the GOP that is shown, and how strongly
// each region is steered by their sum (docs/spec/fit.md). A legend is next to the controls.

import { short } from "./words.js";

/** Luma samples of the sides of windows and regions. */
const WINDOW = 256, REGION = 64;
/** Length of a region's levels where the scale ends. Of the regions of files by `--tokens on` and `search`, 0 to 4 % go beyond. */
export const STRONGEST = 64;
/** Colours from weak to strong offsets: red, green, blue. The last ones are light, so that strong regions are visible on dark and light pictures. */
const SCALE = [[65, 30, 140], [190, 50, 130], [245, 125, 70], [255, 225, 80]];
/** How opaque they are, so that the picture stays visible. */
const OPACITY = [0.4, 0.65];
/** GOPs with cached tokens. */
const MOST_KEPT = 200;
const element = (id) => document.getElementById(id);

/** Euclidean length of each region's levels, in rows: how strongly tokens move the painter there. */
export function strengthsOf({ dimensions, rows, columns, levels }) {
  const regions = rows * columns;
  return Float32Array.from({ length: regions }, (_, region) => {
    let sum = 0;
    for (let d = 0; d < dimensions; ++d) sum += levels[d * regions + region] ** 2;
    return Math.sqrt(sum);
  });
}

/** The CSS colour of a strength; none for 0. */
export function colourOf(strength) {
  if (!strength) return "transparent";
  const share = Math.min(1, strength / STRONGEST), place = share * (SCALE.length - 1), low = Math.min(Math.floor(place), SCALE.length - 2);
  const [red, green, blue] = SCALE[low].map((value, c) => Math.round(value + (place - low) * (SCALE[low + 1][c] - value)));
  return `rgb(${red} ${green} ${blue} / ${OPACITY[0] + share * (OPACITY[1] - OPACITY[0])})`;
}

export class TokenMap {
  constructor() {
    this.canvas = element("token-map");
    this.legend = element("token-legend");
    const stops = Array.from({ length: 9 }, (_, n) => colourOf(((n || 0.01) * STRONGEST) / 8));
    this.legend.querySelector(".key-strength").style.backgroundImage = `linear-gradient(to right, ${stops.join()})`;
    element("most-strength").textContent = `${STRONGEST} and more`;
  }

  /** Another stream's tokens. */
  open(player) {
    Object.assign(this, { player, byGop: new Map(), drawn: "" });
    this.show(false);
  }

  show(on) {
    this.on = on;
    this.canvas.hidden = this.legend.hidden = !on;
  }

  /** An answer of the engine: { tokens: gop, steering | problem }. */
  take({ tokens: gop, steering, problem }) {
    this.byGop.set(gop, problem === undefined ? { steering, strengths: steering && strengthsOf(steering) } : { problem });
    this.drawn = "";
  }

  /** Called at every refresh of the screen: redraws for another GOP or size of the picture. */
  update() {
    const { player, canvas, byGop } = this;
    if (!this.on || !player.shown) return;
    const gop = player.timeline.gopOf(player.shown.frame);
    // The next one is there before its first frame is shown.
    for (const each of [gop, gop + 1]) if (each < player.gops.length && !byGop.has(each)) this.ask(each);
    const sides = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * devicePixelRatio));
    const state = [...sides, gop].join();
    if (state === this.drawn) return;
    this.drawn = state;
    [canvas.width, canvas.height] = sides; // which clears it
    const found = byGop.get(gop);
    element("token-facts").textContent = found ? this.describe(gop, found) : "…";
    if (found?.steering) this.draw(found);
  }

  ask(gop) {
    if (this.byGop.size >= MOST_KEPT) this.byGop.delete(this.byGop.keys().next().value);
    this.byGop.set(gop, null);
    this.player.askTokens(gop);
  }

  describe(gop, { steering, problem }) {
    const { gops } = this.player, place = `GOP ${gop + 1} of ${gops.length} (${short(gops[gop].size, "B")})`;
    if (problem) return `${place}: tokens cannot be read: ${problem}`;
    if (!steering?.count) return `${place}: no tokens`;
    return `${place}: ${steering.count} token${steering.count > 1 ? "s" : ""} in ${steering.bytes} bytes`;
  }

  /** Tints of regions, then outlines of windows. */
  draw({ steering: { rows, columns, kinds }, strengths }) {
    const { canvas, player: { header } } = this, context = canvas.getContext("2d");
    // Position of a sample of the picture on the canvas, cut to the picture.
    const along = (x) => Math.round((Math.min(x, header.width) * canvas.width) / header.width);
    const down = (y) => Math.round((Math.min(y, header.height) * canvas.height) / header.height);
    strengths.forEach((strength, region) => {
      const x = REGION * (region % columns), y = REGION * Math.floor(region / columns);
      context.fillStyle = colourOf(strength);
      context.fillRect(along(x), down(y), along(x + REGION) - along(x), down(y + REGION) - down(y));
    });
    const across = Math.ceil((columns * REGION) / WINDOW);
    kinds.forEach((kind, window) => outline(context, kind, WINDOW * (window % across), WINDOW * Math.floor(window / across), along, down));
  }
}

/** A window's frame, dashed without tokens, and the borders of quadrants and regions with tokens. */
function outline(context, kind, x, y, along, down) {
  const unit = devicePixelRatio, inset = 2 * unit; // lines cover whole pixels
  const left = along(x) + inset, top = down(y) + inset, right = along(x + WINDOW) - inset, bottom = down(y + WINDOW) - inset;
  const frame = new Path2D(), inside = new Path2D();
  frame.rect(left, top, right - left, bottom - top);
  const step = WINDOW >> (kind - 1);
  for (let at = step; kind > 1 && at < WINDOW; at += step) {
    const column = along(x + at) + unit / 2, row = down(y + at) + unit / 2;
    if (column < right) inside.moveTo(column, top), inside.lineTo(column, bottom);
    if (row < bottom) inside.moveTo(left, row), inside.lineTo(right, row);
  }
  context.setLineDash(kind ? [] : [5 * unit, 5 * unit]);
  // Light lines on dark ones are seen on every picture.
  for (const [path, width, opacity] of [[inside, 1, 0.65], [frame, 2, kind ? 0.9 : 0.65]]) {
    for (const [more, shade] of [[2, `0 0 0 / ${opacity / 2}`], [0, `255 255 255 / ${opacity}`]]) {
      context.strokeStyle = `rgb(${shade})`;
      context.lineWidth = (width + more) * unit;
      context.stroke(path);
    }
  }
}
