// Converts messages with the TypeScript module as `medsa_wire.py KIND` does. Prints `error: ...` for a
// line that the module refuses.
// usage: node convert.mjs COMPILED_MODULE.js KIND

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [path, kind] = process.argv.slice(2);
const wire = await import(pathToFileURL(path).href);

function convert(line) {
  if (/^[{"]/.test(line)) {
    return Buffer.from(wire.encodeCompact(kind, wire.decodeJson(kind, line))).toString("hex");
  }
  return wire.encodeJson(kind, wire.decodeCompact(kind, Buffer.from(line, "hex")));
}

for (const line of readFileSync(0, "utf8").trimEnd().split("\n")) {
  try {
    console.log(convert(line));
  } catch (error) {
    console.log(`error: ${error.message}`);
  }
}
