// A worker that opens a stream and decodes it: messages in, messages with frames out.
//
// In:   { open: { url | file, native, gpu } }, { play: number, token, painted, credits }, { credit: count }, { back: buffer }, { eases: speed of playing, 0: detail is painted anew }, { look: 0…100 | null },
//       { tokens: gop }
// Out:  { awake }, { opened }, { sound: { gop, payloads, from, to } }, { painter }, { gop: number, sizes, times }, { steered: true }, { tokens: gop, steering | problem }, { frame: number, token, time, end, base, painted, ms, moved },
//       { ended: token }, { note }, { verified: { base, painted } }, { failed }
//
// The base plays before there is a painter: of a stream that is decoded here the first frame is sent at once, as token 0.
// `painter`: name of the painter, null for none.
//
// Frames have the samples of all planes (uint16) in one buffer. One is sent for each credit: the page has a ring of so many frames, whose buffers come back.
// If the ring runs low during playback, every other frame reuses the previous frame's detail, moved; if it is nearly empty, three of four.

import { Av1Decoder, av1Support } from "./av1.js";
import { Damaged } from "./bytes.js";
import { loadCore, samplesOf, THREADS } from "./core.js";
import { fetchModel } from "./source.js";
import { openStream } from "./streams.js";

/** The largest pictures that a page decodes: 4096×2304. */
const MOST_PIXELS = 4096 * 2304;
/** Frames that may wait to be hashed; a machine that is slower does not check the hash. */
const MOST_HASHED = 24;
/** Bytes that are read for sizes and timestamps alone. */
const MOST_FOR_FACTS = 4 << 20;
/** Frames that are painted at once. */
const MOST_LATE = 2;
/** The format that files without tokens of the painter need. */
const WITHOUT_TOKENS = "1.0";

/** Frames in a row whose detail is moved, by the least share of the ring that is empty. */
const EASE = [[0.75, 3], [0.5, 1]];
/** The share of a frame's display time that painting may take; weight of previous painting times in their mean. */
const SPARE = 0.9, INERTIA = 0.7;

let stream, decoder, numbers, painter, sparePainter, native, current = 0, credits = 0, ring = 1, eases = 0, cost = 0, granted = () => {}, spare = [];
let hashing = null;
/** GOPs that are read, around the one that plays; those whose sound the page has; whether there is none. */
const read = new Map(), reported = new Set();
let silent = null;
/** Whether the stream has painter tokens. */
let steered = false;
/** Called with the first credit. */
let began = () => {};
/** The current playback: the next one waits for its end, since there is one painter. */
let running = Promise.resolve();

self.onmessage = ({ data }) => {
  if (data.open) open(data.open).catch(fail);
  else if (data.credit) (credits += data.credit), granted(), began();
  else if (data.back) keep(data.back);
  else if (data.eases !== undefined) eases = data.eases;
  else if (data.look !== undefined) numbers.look = data.look;
  else if (data.tokens !== undefined) sendTokens(data.tokens);
  else if (data.play !== undefined) {
    current = data.token;
    ring = credits = data.credits;
    granted();
    began();
    const { play: from, token, painted } = data;
    if (!decoder || (painted && !painter)) playNative(from, token, painted).catch(fail);
    else running = running.then(() => token === current && play(from, token, painted)).catch(fail);
  }
};

function fail(error) {
  self.postMessage({ failed: error.message });
}

const note = (text) => self.postMessage({ note: text });

async function open({ url, file, native: offered, gpu }) {
  self.postMessage({ awake: true });
  stream = await openStream(file ?? url);
  native = offered?.decodes;
  const { header, gops, frames, problem } = stream;
  let reason = "";
  if (header.width * header.height > MOST_PIXELS) {
    throw new Error(`pictures of ${header.width}×${header.height} are too large for a page`);
  }
  if (header.base === "av1" && header.scale === 1) {
    const { config, reason: why } = await av1Support(header);
    if (config) decoder = new Av1Decoder(config, header);
    else reason = why;
  } else if (header.base === "av1") reason = "this page does not scale pictures up yet";
  else reason = `browsers do not decode ${{ vvc: "H.266", gvc1d: "GVC1D" }[header.base]}`;
  if (!decoder && !native) throw new Error(`${reason}; \`gvcodec play FILE\` decodes it on your machine and shows it`);
  if (problem) note(problem);
  self.postMessage({
    opened: {
      header, frames, reason, byPage: Boolean(decoder), whole: stream.baseHash,
      gops: gops.map(({ first, frames: count, size }) => ({ first, count, size })),
    },
  });
  if (decoder) {
    running = begin().catch(fail);
    // Work that the first picture does not need waits for it.
    await new Promise((resolve) => (began = resolve));
  }
  learnFacts().catch(() => {}); // what cannot be read is reported when it is to play
  const paints = decoder && header.painterId && !header.gvc1dId && (!offered || offered.paints);
  if (!paints) return self.postMessage({ painter: null });
  await openPainter(header, gpu).catch(({ message }) => {
    note(`not painted by the page: ${message}`);
    self.postMessage({ painter: null });
  });
}

/** Token 0: the first picture, and with the first credit those behind it. */
async function begin() {
  try {
    const base = await decoder.first(await stream.firstUnit(), room);
    if (current !== 0) return;
    const { rate } = stream.header;
    self.postMessage({ frame: 0, token: 0, base, painted: null, ms: 0, time: 0, end: rate[1] / rate[0] }, [base.buffer]);
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
    credits = 1;
    return play(0, 0, false); // it reports the error
  }
  while (!credits && current === 0) await new Promise((resolve) => (granted = resolve));
  if (current === 0) await play(0, 0, false, 1);
}

let loading;
const core = () => (loading ??= loadCore({}, THREADS));

let fetching;
/** The painter's numbers. */
const modelOf = (header) =>
  (fetching ??= Promise.all([core(), fetchModel(header.painterId), import("./painter.js")]).then(([loaded, data, { Model }]) => new Model(loaded, data, header)));

/** Fetches the painter and tries WebGPU. `gpu`: "off", or "any" adapter. */
async function openPainter(header, gpu) {
  numbers = await modelOf(header);
  const loaded = await core(), { Painter } = await import("./painter.js");
  painter = new Painter(loaded, numbers, header);
  const name = `WebAssembly${loaded.threads > 1 ? `, ${loaded.threads} threads` : ""}`;
  self.postMessage({ painter: { name } });
  if (gpu === "off") return;
  const { openGpu } = await import("./gpu.js");
  const { painter: found, reason } = await openGpu(loaded, numbers, header, gpu === "any").catch(({ message }) => ({ reason: message }));
  if (found) [sparePainter, painter] = [painter, found];
  self.postMessage({ painter: found ? { name: "WebGPU" } : { name, reason } });
}

/** When the last frame ends, for a page that shows how long all lasts; of a small file the bits of all frames. */
async function learnFacts() {
  const { gops } = stream, small = gops.reduce((sum, { size }) => sum + size, 0) <= MOST_FOR_FACTS;
  for (let number = small ? 1 : gops.length - 1; number < gops.length; ++number) {
    if (number && gops[number].size <= MOST_FOR_FACTS) sendFacts(number, await stream.read(number));
  }
}

const gopOf = (frame) => stream.gops.findLastIndex((gop) => gop.first <= frame);

/** From frame `from` to the end; `sent` of the frames have been sent. */
async function play(from, token, painted, sent = 0) {
  if (from === 0 && stream.baseHash) startHash();
  else stopHash();
  let data = null, due = from + sent;
  for (let number = gopOf(from); number < stream.gops.length; ++number) {
    const gop = stream.gops[number], brush = painted ? painter : null;
    data = await readGop(number);
    if (token !== current) return;
    let at = gop.first, since = performance.now(), movedSoFar = 0;
    const late = [];
    /** Frames come in order, each when it is painted. */
    const shown = async (before, painting, frame, base, out, moved) => {
      await before;
      await painting;
      if (out && !moved) hashed("painted", out);
      const ms = performance.now() - since;
      if (out && !moved) cost = cost ? INERTIA * cost + (1 - INERTIA) * ms : ms;
      if (frame < due || token !== current) [base, out].forEach((samples) => samples && keep(samples.buffer));
      else await send({ frame, token, base, painted: out, ms, moved, ...when(data, gop, frame) });
      due = Math.max(due, frame + 1);
      since = performance.now();
    };
    try {
      if (!brush && due === gop.first && due === from) {
        // While seeking, a keyframe is sent alone, before the decoder takes further frames.
        const base = await decoder.first(data.units[0], room);
        if (token !== current) return keep(base.buffer);
        await send({ frame: from, token, base, painted: null, ms: performance.now() - since, ...when(data, gop, from) });
        ++due;
      }
      brush?.startGop((await stream.fitOf(number)).fit);
      for await (const base of decoder.frames(data.units, room)) {
        if (token !== current) return keep(base.buffer);
        hashed("base", base);
        const out = brush && room();
        const moves = Boolean(brush?.carry) && at > gop.first && movedSoFar < mostMoved();
        movedSoFar = moves ? movedSoFar + 1 : 0;
        if (moves) giveUpHash();
        const painting = moves ? brush.carry(base, out) : brush?.paint(base, data.units[at - gop.first].bytes, out);
        const last = shown(late.at(-1), painting, at, base, out, moves);
        last.catch(() => {}); // whoever waits for it gets the error
        if (late.push(last) >= (brush ? MOST_LATE : 1)) await late.shift();
        if (token !== current) return;
        ++at;
      }
      while (late.length) await late.shift();
    } catch (error) {
      if (brush && brush === painter && sparePainter) {
        note(`WebGPU: ${error.message}; painted by WebAssembly from here on`);
        painter = sparePainter;
        sparePainter = null;
        self.postMessage({ painter: { name: "WebAssembly" } });
        return play(due, token, painted);
      }
      if (!(error instanceof Damaged)) throw error;
      note(`frame ${at}: ${error.message}; going on at the next keyframe`);
      stopHash();
    } finally {
      await Promise.allSettled(late);
    }
  }
  if (painted && numbers?.look !== null) stopHash(); // no hash describes these pictures
  else endHash(painted && data?.paintedHash);
  self.postMessage({ ended: token });
}

/** How many frames in a row may have the detail of the one before. */
function mostMoved() {
  const [count, seconds] = stream.header.rate;
  if (!eases || cost < (SPARE * 1000 * seconds) / count / eases) return 0;
  const [, most] = EASE.find(([share]) => credits >= share * ring) ?? [1, 0];
  return most;
}

async function playNative(from, token, painted) {
  stopHash();
  const { nativeFrames } = await import("./native.js");
  let next = from, number = -1, data = null;
  while (next < stream.frames) {
    const first = next;
    for await (const { frame, base, painted: shown, ms } of nativeFrames(stream.header, next, painted, () => token === current)) {
      if (token !== current) return;
      if (frame !== next) throw new Error("the server sends another frame");
      if (number < 0 || frame >= stream.gops[number].first + stream.gops[number].frames) {
        number = gopOf(frame);
        data = await readGop(number);
      }
      await send({ frame, token, base, painted: shown, ms, ...when(data, stream.gops[number], frame) });
      ++next;
    }
    if (token !== current) return;
    // The server disconnects a page that is paused for long.
    if (next === first) throw new Error("the server sends no frames");
  }
  self.postMessage({ ended: token });
}

/** GOP `number`, which begins to play: those around it are read as well, for the next one's frames and for the sound. */
async function readGop(number) {
  const data = await gopAt(number);
  if (data.problem) note(data.problem);
  sendFacts(number, data);
  around(number).catch(() => {}); // what cannot be read is reported when it is to play
  return data;
}

function sendFacts(gop, { units, times }) {
  self.postMessage({ gop, sizes: units.map(({ size }) => size), times });
  findTokens(gop).catch(() => {}); // a damaged `fit` is reported when it is to paint
}

/** Reports once that the file has painter tokens, at the first GOP with tokens in force. */
async function findTokens(gop) {
  const { painterId, needs } = stream.header;
  if (steered || !painterId || needs === WITHOUT_TOKENS) return;
  const { hasTokens } = await stream.fitOf(gop);
  if (!steered && hasTokens) self.postMessage({ steered: (steered = true) });
}

/** The tokens in force in a GOP, `steering` null for none. */
async function sendTokens(gop) {
  try {
    const [{ fit }, model] = await Promise.all([stream.fitOf(gop), modelOf(stream.header)]);
    self.postMessage({ tokens: gop, steering: model.tokens(fit) });
  } catch ({ message }) {
    self.postMessage({ tokens: gop, problem: message });
  }
}

function gopAt(number) {
  if (!read.has(number)) {
    const reading = stream.read(number);
    read.set(number, reading);
    reading.catch(() => read.delete(number));
  }
  return read.get(number);
}

/** Sound is near its frames in the file, up to a GOP before or after. The first GOP describes it. */
async function around(number) {
  const from = Math.max(0, number - 1), to = Math.min(number + 1, stream.gops.length - 1);
  for (const each of read.keys()) if (each < from || each > to) read.delete(each);
  for (const each of reported) if (each < from || each > to) reported.delete(each);
  silent ??= await silence();
  for (let each = from; each <= to; ++each) {
    if (each === from && silent && number) continue;
    const { tracks } = await gopAt(each);
    if (silent || reported.has(each)) continue;
    reported.add(each);
    self.postMessage({ sound: { gop: each, payloads: owned(tracks), from, to } });
  }
}

/** Copies, since a message transfers the whole buffer of a part. */
const owned = (payloads) => payloads.map((payload) => payload.slice());

/** Whether there is no sound; the page gets the description in the first GOP. */
async function silence() {
  const { tracks } = await stream.read(0);
  if (!tracks.length) return true;
  self.postMessage({ sound: { gop: 0, payloads: owned(tracks), from: 0, to: 0 } });
  return false;
}

const when = (data, gop, frame) => ({ time: data.times[frame - gop.first], end: data.times[frame - gop.first + 1] });

async function send(message) {
  const { token } = message;
  while (credits <= 0 && token === current) await new Promise((resolve) => (granted = resolve));
  if (token !== current) return;
  --credits;
  self.postMessage(message, [message.base, message.painted].filter(Boolean).map((samples) => samples.buffer));
}

/** A buffer for a frame: one that came back, or a new one. */
function room() {
  const samples = samplesOf(stream.header.width, stream.header.height);
  return new Uint16Array(spare.pop() ?? new ArrayBuffer(2 * samples));
}

function keep(buffer) {
  if (spare.length < 8) spare.push(buffer);
}

function startHash() {
  stopHash();
  const worker = new Worker(new URL("hasher.js", import.meta.url), { type: "module" });
  hashing = { worker, waiting: 0 };
  worker.onmessage = ({ data: { right } }) => {
    --hashing.waiting;
    if (!right) return;
    self.postMessage({ verified: right });
    for (const [name, same] of Object.entries(right)) if (!same) note(`${name} frames differ from the encoder's (${name} hash)`);
    stopHash();
  };
}

function hashed(name, samples) {
  if (!hashing) return;
  if (hashing.waiting > MOST_HASHED) return giveUpHash();
  ++hashing.waiting;
  const copy = samples.slice();
  hashing.worker.postMessage({ name, samples: copy }, [copy.buffer]);
}

function giveUpHash() {
  if (!hashing) return;
  note("hashes are not checked: this machine is too slow for it while it plays");
  stopHash();
}

/** `painted`: that of a stream whose painted samples are the same everywhere, if they were painted. */
function endHash(painted) {
  const wanted = { base: stream.baseHash, ...(painted ? { painted } : {}) };
  hashing?.worker.postMessage({ wanted });
}

function stopHash() {
  hashing?.worker.terminate();
  hashing = null;
}
