// Converts messages with the TypeScript module as `medsa_wire.py KIND` does.
// usage: node convert.mjs COMPILED_MODULE.js KIND

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [path, kind] = process.argv.slice(2);
const wire = await import(pathToFileURL(path).href);
for (const line of readFileSync(0, "utf8").trimEnd().split("\n")) {
  const isJson = /^[{"]/.test(line);
  const converted = isJson
    ? Buffer.from(wire.encodeCompact(kind, wire.decodeJson(kind, line))).toString("hex")
    : wire.encodeJson(kind, wire.decodeCompact(kind, Buffer.from(line, "hex")));
  console.log(converted);
}
