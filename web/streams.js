// The stream in a file, whatever holds it: .gvc, or an .mp4 that plays everywhere.

import { Damaged } from "./bytes.js";
import { openSource } from "./source.js";
import { Stream, loadReader } from "./stream.js";

const FTYP = "ftyp", EBML = 0x1a45dfa3;

/** `where`: a File or a URL. Throws `Damaged`. */
export async function openStream(where) {
  const [source] = await Promise.all([openSource(where), loadReader()]);
  return streamIn(source);
}

/** `source`: { size, read(offset, size) }. */
export async function streamIn(source) {
  const head = await source.read(0, 8);
  if (String.fromCharCode(...head.subarray(4)) === FTYP) return (await import("./one_file.js")).OneFile.open(source);
  if (head.length === 8 && new DataView(head.buffer, head.byteOffset).getUint32(0) === EBML) {
    throw new Damaged("this page does not read .mkv and .webm files; `gvcodec play FILE` does");
  }
  return Stream.open(source);
}
