// Calls of the core with bytes and with JSON: codes of csrc/include/gvc.h below 0 become errors.

import { failure } from "./bytes.js";
import { bytesIn } from "./core.js";

const NO_MEMORY = -7, BROKEN = -10;

export class Calls {
  constructor(core) {
    this.core = core;
  }

  /** The result of `call` with the address of bytes in the core's memory and their size; throws below 0. */
  with(data, call) {
    const { core } = this, at = core._malloc(data.length || 1);
    if (!at) throw new Error("out of memory");
    try {
      bytesIn(core, at, data.length).set(data);
      return this.checked(call(at, data.length));
    } finally {
      core._free(at);
    }
  }

  /** A code. Below 0 it throws `Damaged`, or an `Error` where nothing of the file is at fault. */
  checked(code) {
    if (code >= 0) return code;
    const text = this.core.UTF8ToString(this.core._last_text());
    throw code === NO_MEMORY || code === BROKEN ? new Error(text) : failure(code, text);
  }

  /** A handle; 0 throws. */
  opened(handle) {
    if (!handle) this.checked(this.core._last_code());
    return handle;
  }

  /** Of a JSON text at this place. */
  facts(at) {
    return JSON.parse(this.core.UTF8ToString(at));
  }

  /** A copy of bytes at [place, size]. */
  copy([at, size]) {
    return bytesIn(this.core, at, size).slice();
  }
}
