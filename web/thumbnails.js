// Small pictures of keyframes, from a worker that is started with the first one asked for.

/** Cached pictures. */
const MOST_KEPT = 200;

export class Thumbnails {
  constructor(where) {
    this.where = where;
    this.kept = new Map();
  }

  /** The ImageData of a GOP's keyframe; undefined until it arrives, when `arrived` is called. Of several requests
   *  in the meantime only the last is answered. */
  get(gop, arrived) {
    if (this.kept.has(gop)) return this.kept.get(gop);
    if (this.closed) return undefined;
    this.arrived = arrived;
    if (!this.worker) this.start();
    if (this.asked !== gop) this.worker.postMessage({ gop: (this.asked = gop) });
    return undefined;
  }

  start() {
    this.worker = new Worker(new URL("thumbnailer.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data: { gop, image } }) => {
      this.shape = [image.width, image.height];
      this.kept.set(gop, image);
      if (this.kept.size > MOST_KEPT) this.kept.delete(this.kept.keys().next().value);
      this.arrived();
    };
    const { url, file, native } = this.where;
    this.worker.postMessage({ open: { url, file, native } });
  }

  close() {
    this.closed = true;
    this.worker?.terminate();
  }
}
