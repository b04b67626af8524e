// Answers of the page's modules: node page.js FOLDER, which holds web/, models/, inputs.json.

import { createHash } from "node:crypto";
import fs from "node:fs";

const folder = process.argv[2];
const load = (name) => import(`${folder}/web/${name}.js`);
const [{ Cursor, Damaged, crc32, hex, joined, leb128 }, { Stream, parseHeader }, { OneFile }] = await Promise.all(["bytes", "container", "one_file"].map(load));
const [{ timesOf }, { Model }, { temporalUnit }, { openTracks, packetsOf }] = await Promise.all(["timing", "painter", "av1", "tracks"].map(load));

const digest = (data) => createHash("sha256").update(data).digest("hex").slice(0, 16);
const models = new Map(fs.readdirSync(`${folder}/models`).map((name) => {
  const data = fs.readFileSync(`${folder}/models/${name}`);
  return [digest(data), data];
}));
const bufferOf = (data) => new Uint8Array(data).buffer;
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
  const isStream = hex(data.subarray(0, 4)) === "89475643" || data.length < 8;
  const isMp4 = !isStream && String.fromCharCode(...data.subarray(4, 8)) === "ftyp";
  const opened = await (isMp4 ? OneFile : Stream).open(new Memory(data));
  if (opened.problem) throw new Damaged(opened.problem);
  const { header } = opened, times = [], payloads = [], fits = [];
  const id = header.painterId, file = id ? models.get(id) : null;
  if (!isMp4) {
    opened.timesOf = (gop, timing) => {
      if (times.length) times.pop();
      times.push(...timesOf(header, gop.first, gop.frames, timing));
      return [];
    };
  }
  for (let number = 0; number < opened.gops.length; ++number) {
    const { units, problem } = await opened.read(number);
    if (problem) throw new Damaged(problem);
    payloads.push(...units.map(({ payload }) => payload));
    fits.push(await opened.fitOf(number));
    if (file) new Model(bufferOf(file), header).unpack(fits.at(-1));
    if (header.base === "av1") units.forEach(({ payload }) => temporalUnit(payload));
  }
  const said = { verdict: "accepted", header: digest(headerText(header)), payloads: parts(payloads), fits: parts(fits), frames: opened.frames };
  if (!isMp4) said.times = digest(times.join(" "));
  return said;
}

function header(data) {
  const head = joined([Uint8Array.of(0x89, 0x47, 0x56, 0x43, 1, 1), leb128(data.length), data]);
  const crc = crc32(head);
  return headerText(parseHeader(joined([head, Uint8Array.of(...[0, 8, 16, 24].map((bit) => (crc >>> bit) & 255))])));
}

function pieces(data) {
  const found = [];
  for (let at = 0; at < data.length; at += 1 + data[at]) found.push(data.slice(at + 1, at + 1 + data[at]));
  return found;
}

const timing = (data) => Array.from(timesOf(FORMAT, 0, 11, pieces(data))).join(" ");

function tracks(data) {
  const size = (data[0] ?? 0) + 256 * (data[1] ?? 0), opened = openTracks(data.slice(2, 2 + size));
  const packets = [...opened.packets, ...pieces(data.slice(2 + size)).flatMap((payload) => packetsOf(payload, opened.tracks.length))];
  return packets.map(({ track, pts, duration, hidden, key }) => [track, pts, duration, ...hidden, Number(key)].join(" ")).join(";");
}

function fitted(data) {
  const changes = new Model(bufferOf(fs.readFileSync(`${folder}/small.safetensors`)), FORMAT).unpack(data);
  if (!changes) return "identity";
  const { noise = 64, keep = 0, factors = [0, 0, 0, 0, 0, 0] } = changes.strength ?? {};
  let text = [noise, keep, ...factors].join(" ");
  for (const [name, { values, step }] of changes) text += `;${name} ${step} ${values.join(" ")}`;
  return text + (changes.steering ? `;${changes.steering.levels.join(" ")}` : "");
}

function standard(data) {
  if (data.length < 2) return "";
  return data[0] % 2 ? null : temporalUnit(data.slice(2));
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
    const text = PARSERS[parser](data);
    answers.push(text === null ? null : { verdict: "accepted", digest: digest(text) });
  } catch (error) {
    if (!(error instanceof Damaged)) {
      answers.push({ verdict: `${error.name}: ${error.message}` });
    } else {
      answers.push({ verdict: /this player reads|earlier release|release 0\.7/.test(error.message) ? "newer" : "damaged" });
    }
  }
}
console.log(JSON.stringify(answers));
