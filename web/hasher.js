// A worker that hashes loop frames beside their decoding: { samples } … { end: true } gives { digest }.

import { hex } from "./bytes.js";
import { Hash, loadCore } from "./core.js";

const core = loadCore();
let hash = null;

self.onmessage = async ({ data }) => {
  const loaded = await core;
  hash ??= new Hash(loaded);
  if (data.samples) hash.take(data.samples);
  self.postMessage(data.end ? { digest: hex(hash.digest().subarray(0, 8)) } : { taken: true });
};
