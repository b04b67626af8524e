// Answers of the page's modules: node page.js FOLDER, which holds web/, models/, inputs.json.

import { createHash } from "node:crypto";
import fs from "node:fs";

const folder = process.argv[2];
const load = (name) => import(`${folder}/web/${name}.js`);
const [{ Cursor, Damaged, NEWER, hex, joined, leb128 }, { Reader, loadReader }, { streamIn }] = await Promise.all(["bytes", "stream", "streams"].map(load));
const [{ Model, Painter }, { openTracks, packetsOf }, { loadCore }] = await Promise.all(["painter", "tracks", "core"].map(load));
const calls = new Reader(await loadReader({ wasmBinary: fs.readFileSync(`${folder}/web/built/reader.wasm`) }));
const core = await loadCore({ wasmBinary: fs.readFileSync(`${folder}/web/built/core.wasm`) }, 1, false);

const digest = (data) => createHash("sha256").update(data).digest("hex").slice(0, 16);
const models = new Map(fs.readdirSync(`${folder}/models`).map((name) => {
  const data = fs.readFileSync(`${folder}/models/${name}`);
  return [digest(data), data];
}));
const gcd = (a, b) => (b ? gcd(b, a % b) : a);
const reduced = ([a, b]) => [a / gcd(a, b), b / gcd(a, b)];
const FORMAT = { width: 40, height: 24, rate: [25, 1], tick: [1, 1000], startPts: 7, q: 35, base: "av1", scale: 1 };

function parts(payloads) {
  const whole = createHash("sha256");
  for (const payload of payloads) {
    whole.update(Uint8Array.of(...[0, 8, 16, 24].map((bit) => ((payload ? payload.length : 0xffffffff) >>> bit) & 255)));
    if (payload) whole.update(payload);
  }
  return whole.digest("hex").slice(0, 16);
}

function headerText(h) {
  const { primaries, transfer, matrix, full, location } = h.colour;
  const scale = { 1: "1", 0.75: "3/4", 0.5: "1/2" }[h.scale];
  const ids = [h.baseModelId, h.painterId, h.gvc1dId].map((id) => id || "-");
  return [
    h.width, h.height, ...reduced(h.rate), ...reduced(h.tick), h.startPts, h.bitDepth, primaries, transfer, matrix, Number(full), location,
    ...reduced(h.sar), h.base, scale, h.q, Number(h.bundled), ...ids,
  ].join(" ");
}

class Memory {
  constructor(data) {
    this.data = data;
    this.size = data.length;
  }

  async read(offset, size) {
    return this.data.slice(Math.max(0, offset), Math.max(0, offset + size));
  }
}

async function stream(data) {
  const opened = await streamIn(new Memory(data));
  if (opened.problem) throw new Damaged(opened.problem);
  const { header } = opened, times = [], payloads = [], fits = [];
  const id = header.painterId, file = id ? models.get(id) : null;
  const painter = file && new Painter(core, new Model(core, file, header), header);
  for (let number = 0; number < opened.gops.length; ++number) {
    const { units, problem, ticks } = await opened.read(number);
    if (problem) throw new Damaged(problem);
    if (times.length) times.pop();
    times.push(...(ticks ?? []));
    payloads.push(...units.map((unit) => payloadOf(unit, header.base)));
    const { fit } = await opened.fitOf(number);
    fits.push(fit);
    painter?.startGop(fit, false);
  }
  painter?.close();
  const said = { verdict: "accepted", header: digest(headerText(header)), payloads: parts(payloads), fits: parts(fits), frames: opened.frames };
  if (times.length) said.times = digest(times.join(" "));
  return said;
}

/** The payload that a temporal unit comes from: without the delimiter, the last OBU without its size. */
function payloadOf({ data, bytes }, base) {
  if (base !== "av1") return data;
  const DELIMITER = 2, EXTENDED = 4, SIZED = 2, parts = [];
  for (let at = DELIMITER; at < data.length; ) {
    const begin = at, head = data[at], inner = at + (head & EXTENDED ? 2 : 1), size = new Cursor(data.subarray(inner), "OBU");
    const length = size.var(), body = inner + size.at;
    at = body + length;
    if (at < data.length) parts.push(data.subarray(begin, at));
    else parts.push(Uint8Array.of(head & ~SIZED), data.subarray(begin + 1, inner), data.subarray(body, at));
  }
  const payload = joined(parts);
  if (payload.length !== bytes) throw new Error(`a payload of ${payload.length} bytes, not ${bytes}`);
  return payload;
}

const littleEndian = (value, bytes) => Uint8Array.from({ length: bytes }, (_, n) => (value >>> (8 * n)) & 255);

function crc16(data) {
  let value = 0xffff;
  for (const byte of data) {
    value ^= byte << 8;
    for (let bit = 0; bit < 8; ++bit) value = value & 0x8000 ? ((value << 1) ^ 0x1021) & 0xffff : value << 1;
  }
  return value;
}

function crc32(data) {
  let value = ~0;
  for (const byte of data) {
    value ^= byte;
    for (let bit = 0; bit < 8; ++bit) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return ~value >>> 0;
}

/** A header with these fields. */
function sealed(fields) {
  const head = joined([Uint8Array.of(0x89, 0x47, 0x56, 0x43, 1, 1), leb128(fields.length), fields]);
  return joined([head, littleEndian(crc32(head), 4)]);
}

const KEY = 1, INTER = 0, OTHER = 3, TIMING = 3, AV1 = 1, VVC = 3;

function packet(kind, payload, ...type) {
  const head = joined([leb128(4 * payload.length + kind), Uint8Array.from(type), payload]);
  return joined([head, littleEndian(crc16(head), 2)]);
}

/** What the page reads of a GOP of these packets, in a file of FORMAT that ends in it. */
async function gopOf(base, packets) {
  const { width, height, rate, tick, startPts, q } = FORMAT;
  const numbers = [0, 0, width, height, ...rate, ...tick, 2 * startPts].map((number) => [...leb128(number)]).flat();
  const fields = Uint8Array.of(1, 0, 0, 0, ...numbers, 2, 2, 2, 0, 1, 1, base, 0, q);
  const { problem, ...gop } = await (await streamIn(new Memory(joined([sealed(fields), ...packets])))).read(0);
  if (problem) throw new Damaged(problem);
  return gop;
}

function header(data) {
  let text;
  calls.with(sealed(data), (at, size) => {
    text = headerText(calls.header(calls.opened(calls.core._header_open(at, size))));
    return 0;
  });
  return text;
}

function pieces(data) {
  const found = [];
  for (let at = 0; at < data.length; at += 1 + data[at]) found.push(data.slice(at + 1, at + 1 + data[at]));
  return found;
}

async function timing(data) {
  const frames = Array.from({ length: 11 }, (_, n) => packet(n ? INTER : KEY, Uint8Array.of(n)));
  const { ticks } = await gopOf(VVC, [...pieces(data).map((payload) => packet(OTHER, payload, TIMING)), ...frames]);
  return Array.from(ticks).join(" ");
}

function tracks(data) {
  const size = (data[0] ?? 0) + 256 * (data[1] ?? 0), opened = openTracks(data.slice(2, 2 + size));
  const packets = [...opened.packets, ...pieces(data.slice(2 + size)).flatMap((payload) => packetsOf(payload, opened.tracks.length))];
  return packets.map(({ track, pts, duration, hidden, key }) => [track, pts, duration, ...hidden, Number(key)].join(" ")).join(";");
}

function fitted(data) {
  const model = new Model(core, fs.readFileSync(`${folder}/small.safetensors`), FORMAT), painter = new Painter(core, model, FORMAT);
  let text;
  try {
    painter.startGop(data, false);
    model.calls.with(data, (at, size) => (text = core.UTF8ToString(core._vector_fit(model.handle, at, size))) && 0);
  } finally {
    painter.close();
  }
  const tokens = text === "identity" ? null : model.tokens(data);
  return tokens ? `${text};${tokens.levels.join(" ")}` : text;
}

async function standard(data) {
  if (data.length < 2) return "";
  return data[0] % 2 ? null : (await gopOf(AV1, [packet(KEY, data.slice(2))])).units[0].data;
}

function varint(data) {
  const cursor = new Cursor(data, "fuzz");
  let text = "";
  while (cursor.left) {
    const kind = cursor.uint(1) % 4;
    text += kind === 2 ? hex(cursor.take(cursor.var())) : kind === 3 ? cursor.uint(4) : kind ? cursor.svar() : cursor.var();
    text += " ";
  }
  return text;
}

const PARSERS = { header, timing, tracks, fitted, standard, varint };
const answers = [];
for (const [parser, name] of JSON.parse(fs.readFileSync(`${folder}/inputs.json`))) {
  const data = new Uint8Array(fs.readFileSync(`${folder}/${name}`));
  try {
    if (parser === "stream") {
      answers.push(await stream(data));
      continue;
    }
    const text = await PARSERS[parser](data);
    answers.push(text === null ? null : { verdict: "accepted", digest: digest(text) });
  } catch (error) {
    if (!(error instanceof Damaged)) {
      answers.push({ verdict: `${error.name}: ${error.message}` });
    } else {
      answers.push({ verdict: error.code === NEWER || /release 0\.7/.test(error.message) ? "newer" : "damaged" });
    }
  }
}
console.log(JSON.stringify(answers));
