// Before `npm pack`: puts the painters that browsers paint with under their ids into models/, and the license next to package.json.

import { createHash } from "node:crypto";
import fs from "node:fs";

const root = new URL("../", import.meta.url), here = new URL("./", import.meta.url);
fs.mkdirSync(new URL("models/", here), { recursive: true });
for (const name of ["painter.safetensors", "painter-tokens.safetensors"]) {
  const data = fs.readFileSync(new URL(`checkpoints/${name}`, root));
  const id = createHash("sha256").update(data).digest("hex").slice(0, 16);
  fs.writeFileSync(new URL(`models/${id}.safetensors`, here), data);
}
for (const name of ["LICENSE", "NOTICE"]) fs.copyFileSync(new URL(name, root), new URL(name, here));
