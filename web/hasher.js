// A worker that hashes frames in parallel to their decoding: { name, samples } …; { wanted: { name: hash } } asks whether all are these.

import { hex } from "./bytes.js";
import { Hash, loadCore } from "./core.js";

const core = loadCore();
const hashes = new Map();

self.onmessage = async ({ data: { name, samples, wanted } }) => {
  const loaded = await core;
  if (wanted) {
    const right = Object.entries(wanted).map(([each, hash]) => [each, hash === hex(hashes.get(each).digest().subarray(0, 8))]);
    return self.postMessage({ right: Object.fromEntries(right) });
  }
  if (!hashes.has(name)) hashes.set(name, new Hash(loaded));
  hashes.get(name).take(samples);
  self.postMessage({ taken: true });
};
