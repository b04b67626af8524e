// The stream in a file, whatever holds it.

import { Stream } from "./container.js";
import { openSource } from "./source.js";

/** `where`: a File or a URL. Throws `Damaged`. */
export async function openStream(where) {
  return Stream.open(await openSource(where));
}
