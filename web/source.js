// Bytes of a file from any place: a File, or a URL whose server answers range requests.

import { Damaged } from "./bytes.js";

/** A server without range requests sends the whole file, which has to fit into this. */
const MOST_WHOLE = 256 << 20;
const PATIENCE_MS = 30_000;
/** Bytes of the begin and of the end that are fetched at once: header, index. */
const FIRST = 1 << 16;

export async function openSource(where) {
  if (where instanceof Blob) return new Local(where);
  const stop = new AbortController();
  const end = request(where, { Range: `bytes=-${FIRST}` }, stop.signal).then(partOf).catch(() => null);
  const answer = await request(where, { Range: `bytes=0-${FIRST - 1}` });
  const begin = await partOf(answer);
  if (begin) return new Remote(where, begin.size, [begin, await end].filter((part) => part?.size === begin.size));
  stop.abort();
  if (Number(answer.headers.get("Content-Length")) > MOST_WHOLE) {
    throw new Error("the server has no range requests, and the file is too large to be fetched as a whole");
  }
  return new Local(new Blob([await whole(answer)]));
}

/** The body of an answer to a range request: { at, data } of a file of `size` bytes; null for other answers. */
async function partOf(answer) {
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers.get("Content-Range") ?? "");
  if (answer.status !== 206 || !range) return null;
  return { at: Number(range[1]), size: Number(range[2]), data: new Uint8Array(await answer.arrayBuffer()) };
}

class Local {
  constructor(blob) {
    this.blob = blob;
    this.size = blob.size;
  }

  async read(offset, size) {
    return new Uint8Array(await this.blob.slice(offset, offset + size).arrayBuffer());
  }
}

class Remote {
  /** `parts`: bytes received so far. */
  constructor(url, size, parts) {
    Object.assign(this, { url, size, parts });
  }

  /** Fewer bytes than asked for at the end of the file only. */
  async read(offset, size) {
    const end = Math.min(offset + size, this.size);
    if (offset >= end) return new Uint8Array();
    const part = this.parts.find(({ at, data }) => at <= offset && end <= at + data.length);
    if (part) return part.data.slice(offset - part.at, end - part.at);
    const answer = await request(this.url, { Range: `bytes=${offset}-${end - 1}` });
    const data = answer.status === 206 ? new Uint8Array(await answer.arrayBuffer()) : new Uint8Array();
    if (data.length !== end - offset) throw new Damaged("the server did not send the bytes asked for");
    return data;
  }
}

async function request(url, headers = {}, stop = null) {
  const late = AbortSignal.timeout(PATIENCE_MS);
  let answer;
  try {
    answer = await fetch(url, { headers, signal: stop ? AbortSignal.any([stop, late]) : late });
  } catch (error) {
    throw new Error(`${url}: cannot be fetched (${error.message})`);
  }
  if (!answer.ok) throw new Error(`${url}: the server answers ${answer.status} ${answer.statusText}`);
  return answer;
}

/** The body of an answer, aborted above its limit. */
async function whole(answer) {
  const parts = [];
  let size = 0;
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts);
    parts.push(value);
    size += value.length;
    if (size > MOST_WHOLE) {
      await reader.cancel();
      throw new Error("the file is too large to be fetched as a whole");
    }
  }
}

/** A model by its id of 16 hex digits, checked against it. */
export async function fetchModel(id) {
  const answer = await request(new URL(`models/${id}.safetensors`, import.meta.url));
  const data = await answer.arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data)).subarray(0, 8);
  if (id !== Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")) {
    throw new Error(`model ${id}: the server has another file under this name`);
  }
  return data;
}
