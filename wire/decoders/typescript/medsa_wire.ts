/**
 * Messages of a Med-SA device over MQTT: decoder and encoder of the compact and of the JSON form.
 *
 * Copy this file into your project; it has no dependencies. The compact form is specified in
 * wire/SPEC.md, the JSON form by the schemas in docs/src/reference/schemas.
 *
 *     const message = decode(topic, payload); // of either form, by the topic
 *     client.publish("medsa/bedside-1/prompt/json", encodeJson("prompt", {
 *       object: 0, change: { Set: { points: [{ x: 182, y: 115, positive: true }], bbox: null } },
 *     }), { qos: 1 });
 *
 * Messages have the names of the JSON form. Numbers of 64 bits (`frame_id`, times, counters) are
 * `bigint`. Errors name the field and the limit.
 */

export const FORMAT_VERSION = 4;

export type Availability = "Offline" | "Online";

export interface Info {
  build_name: string;
  build_version: string;
  /** 64 hexadecimal digits. */
  build_sha256: string;
  board: string;
  edge_version: string;
  input_size_px: number;
}

export interface Position {
  x: number;
  y: number;
}

export interface Measurements {
  parts: number;
  area_px: number;
  centroid_px: Position;
  longest_px: number;
  shortest_px: number;
  physical: { area_mm2: number; longest_mm: number; shortest_mm: number } | null;
  /** Outer outline, clockwise; the first point is not repeated. */
  contour_px: Position[];
}

export interface Mask {
  width: number;
  height: number;
  /** Lengths of runs in row order: background first, then object, and so on in turn. */
  runs: number[];
}

export type State = "Tracking" | "Uncertain" | "Lost";

export type Reason =
  | "FoundAgain"
  | "NotConfirmed"
  | "LeftFrame"
  | "ImageChanged"
  | "AreaJump"
  | "SeveralParts"
  | "AtBorder"
  | "OutsideBox";

export interface MaskMessage {
  frame_id: bigint;
  /** Microseconds since 1970-01-01 00:00 UTC. */
  captured_us: bigint;
  age_us: number;
  object: number;
  state: State;
  reason: Reason | null;
  segmented: boolean;
  score: number;
  agreement: number | null;
  frame_width_px: number;
  frame_height_px: number;
  measured: Measurements | null;
  mask: Mask;
}

export interface RecordMessage {
  id: string;
  captured_us: bigint;
  frame_id: bigint;
  frame_width_px: number;
  frame_height_px: number;
  objects: { object: number; score: number; area_px: number }[];
  /** 64 hexadecimal digits. */
  record_sha256: string;
}

export interface RecordDeleted {
  id: string;
  deleted_us: bigint;
  reason: "WrongStructure" | "WrongPatient" | "PoorImage" | "Test" | "Other";
}

export type Stage =
  | "Source"
  | "Preprocess"
  | "Encoder"
  | "Decoder"
  | "Postprocess"
  | "Total"
  | "Follow"
  | "PromptToMask";

export interface Stats {
  uptime_ms: bigint;
  frames_in: bigint;
  frames_segmented: bigint;
  frames_failed: bigint;
  frames_dropped: { source: bigint; follow: bigint; encoder: bigint; decoder: bigint; paused: bigint };
  masks_out: bigint;
  refused_messages: bigint;
  masks_dropped: bigint;
  masks_unpublished: bigint;
  outbox_messages: bigint | null;
  latency: { stage: Stage; p50_us: number; p95_us: number }[];
}

export interface Status {
  source: "Starting" | "Playing" | "Refused" | "Unreachable" | "Stalled" | "Broken" | "Ended";
  activity: "Running" | "Frozen" | "Paused";
  degradation: { level: number; cause: "Heat" | "Throttling" | "Slowness" } | null;
  build: "Idle" | "Loading" | "Updating" | { Failed: { reason: string } };
}

export interface Point {
  x: number;
  y: number;
  positive: boolean;
}

export interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export interface Prompt {
  object: number;
  change: "Clear" | "Undo" | "Redo" | { Set: { points: Point[]; bbox: Box | null } } | { Add: Point };
}

export type Command =
  | "Pause"
  | "Resume"
  | "Freeze"
  | "Unfreeze"
  | "Capture"
  | "Reload"
  | "Update"
  | "SwitchBuild";

/** Message types by the topic without device and object. */
export interface Messages {
  availability: Availability;
  info: Info;
  mask: MaskMessage;
  record: RecordMessage;
  "record/deleted": RecordDeleted;
  stats: Stats;
  status: Status;
  prompt: Prompt;
  command: Command;
}

export type Kind = keyof Messages;

/** A message with its kind, so that `switch (message.kind)` knows its type. */
export type Decoded = { [K in Kind]: { kind: K; message: Messages[K] } }[Kind];

/** Decodes a message by its topic: `medsa/<device>/<channel>`, with `/json` behind it or not. */
export function decode(topic: string, payload: Uint8Array): Decoded {
  const [root, device, ...rest] = topic.split("/");
  if (root !== "medsa" || device === undefined) {
    throw new Error(`topic ${topic} does not begin with medsa/<device>/`);
  }
  const isJson = rest.at(-1) === "json";
  const channel = isJson ? rest.slice(0, -1) : rest;
  const kind = channel[0] === "mask" ? "mask" : channel.join("/");
  if (!isKind(kind)) {
    throw new Error(`topic ${topic} has no known channel`);
  }
  const message = isJson ? decodeJson(kind, UTF8.decode(payload)) : decodeCompact(kind, payload);
  return { kind, message } as Decoded;
}

/** Decodes the bytes of a message. */
export function decodeCompact<K extends Kind>(kind: K, payload: Uint8Array): Messages[K] {
  const reader = new Reader(payload);
  const version = reader.byte();
  if (version !== FORMAT_VERSION) {
    throw new Error(`format version ${version}, expected ${FORMAT_VERSION}`);
  }
  const message = CODECS[kind].read(reader, kind);
  if (reader.at !== payload.length) {
    throw new Error(`${payload.length - reader.at} bytes left over`);
  }
  return message;
}

/** Checks a message and returns its bytes. */
export function encodeCompact<K extends Kind>(kind: K, message: Messages[K]): Uint8Array {
  const out = [FORMAT_VERSION];
  CODECS[kind].write(out, message, kind);
  return Uint8Array.from(out);
}

/** Decodes the JSON form of a message and checks it like the compact form. */
export function decodeJson<K extends Kind>(kind: K, text: string): Messages[K] {
  const message = CODECS[kind].convert(JSON.parse(quoteLongIntegers(text)), kind);
  encodeCompact(kind, message);
  return message;
}

/** Checks a message and returns its JSON form. */
export function encodeJson<K extends Kind>(kind: K, message: Messages[K]): string {
  encodeCompact(kind, message);
  return stringify(message);
}

/** True if `text` names a kind of message. */
export function isKind(text: string): text is Kind {
  return Object.hasOwn(CODECS, text);
}

/** Cells of a mask, row by row: 1 for the object and 0 for background. */
export function maskCells(mask: Mask): Uint8Array {
  const cells = new Uint8Array(mask.width * mask.height);
  let at = 0;
  mask.runs.forEach((run, index) => {
    cells.fill(index % 2, at, at + run);
    at += run;
  });
  return cells;
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads bytes from the front of a payload. */
class Reader {
  at = 0;
  readonly #data: Uint8Array;

  constructor(data: Uint8Array) {
    this.#data = data;
  }

  take(count: number): Uint8Array {
    const part = this.#data.subarray(this.at, this.at + count);
    if (part.length < count) {
      throw new Error(`ends early: ${count} bytes wanted at ${this.at}, ${part.length} left`);
    }
    this.at += count;
    return part;
  }

  byte(): number {
    return this.take(1)[0] as number;
  }
}

/** Type of a field. `at` names the field in errors. */
interface Codec<T> {
  /** Decodes a value. */
  read(reader: Reader, at: string): T;
  /** Checks and encodes a value. */
  write(out: number[], value: T, at: string): void;
  /** Converts a value from parsed JSON. `write` checks it further. */
  convert(json: unknown, at: string): T;
}

/** Integer of at most 64 bits, from `low` to `high`: seven bits in each byte. */
function long(bits: number, low = 0n, high = (1n << BigInt(bits)) - 1n): Codec<bigint> {
  const length = Math.ceil(bits / 7);
  return {
    read(reader, at) {
      let value = 0n;
      for (let index = 0; index < length; index += 1) {
        const byte = reader.byte();
        value |= BigInt(byte & 0x7f) << BigInt(7 * index);
        if (byte < 0x80) {
          return inRange(value, low, high, at);
        }
      }
      throw new Error(`${at} has more than ${length} bytes`);
    },
    write(out, value, at) {
      let rest = inRange(value, low, high, at);
      while (rest > 0x7fn) {
        out.push(Number(rest & 0x7fn) | 0x80);
        rest >>= 7n;
      }
      out.push(Number(rest));
    },
    convert(json, at) {
      const isInteger = typeof json === "number" ? Number.isSafeInteger(json) : typeof json === "string";
      return isInteger ? BigInt(json as number | string) : fail(json, at, "an integer");
    },
  };
}

/** Integer of at most 32 bits, from `low` to `high`. */
function int(bits: number, low = 0, high = 2 ** bits - 1): Codec<number> {
  const inner = long(bits, BigInt(low), BigInt(high));
  return {
    read: (reader, at) => Number(inner.read(reader, at)),
    write: (out, value, at) =>
      inner.write(out, BigInt(Number.isInteger(value) ? value : fail(value, at, "an integer")), at),
    convert: number,
  };
}

/** Integer in one byte, from `low` to `high`. */
function byte(low: number, high: number): Codec<number> {
  return {
    read: (reader, at) => inRange(reader.byte(), low, high, at),
    write: (out, value, at) => {
      out.push(Number.isInteger(value) ? inRange(value, low, high, at) : fail(value, at, "an integer"));
    },
    convert: number,
  };
}

const bool: Codec<boolean> = {
  read: (reader, at) => inRange(reader.byte(), 0, 1, at) === 1,
  write: (out, value) => {
    out.push(value ? 1 : 0);
  },
  convert: (json, at) => (typeof json === "boolean" ? json : fail(json, at, "true or false")),
};

/** Finite number of single precision. */
const float: Codec<number> = {
  read(reader, at) {
    const bytes = reader.take(4);
    return finite(new DataView(bytes.buffer, bytes.byteOffset, 4).getFloat32(0, true), at);
  },
  write(out, value, at) {
    const view = new DataView(new ArrayBuffer(4));
    view.setFloat32(0, finite(Math.fround(value), at), true);
    out.push(...new Uint8Array(view.buffer));
  },
  convert: number,
};

/** UTF-8 text of `low` to `high` bytes. */
function text(high: number, low = 0): Codec<string> {
  const length = int(32, low, high);
  return {
    read: (reader, at) => UTF8.decode(reader.take(length.read(reader, `length of ${at}`))),
    write(out, value, at) {
      const bytes = new TextEncoder().encode(value);
      length.write(out, bytes.length, `length of ${at}`);
      out.push(...bytes);
    },
    convert: (json, at) => (typeof json === "string" ? json : fail(json, at, "a text")),
  };
}

/** Hash of 32 bytes, as 64 hexadecimal digits. */
const sha256: Codec<string> = {
  read: (reader) => Array.from(reader.take(32), (byte) => byte.toString(16).padStart(2, "0")).join(""),
  write(out, value, at) {
    const digits = /^([0-9a-f]{2}){32}$/i.test(value) ? value : fail(value, at, "64 hexadecimal digits");
    for (let index = 0; index < 64; index += 2) {
      out.push(Number.parseInt(digits.slice(index, index + 2), 16));
    }
  },
  convert: (json, at) => (typeof json === "string" ? json : fail(json, at, "a text")),
};

/** A value or null. */
function option<T>(of: Codec<T>): Codec<T | null> {
  return {
    read: (reader, at) => (bool.read(reader, `option of ${at}`) ? of.read(reader, at) : null),
    write(out, value, at) {
      out.push(value === null ? 0 : 1);
      if (value !== null) {
        of.write(out, value, at);
      }
    },
    convert: (json, at) => (json === null || json === undefined ? null : of.convert(json, at)),
  };
}

/** At most `high` values. */
function array<T>(of: Codec<T>, high: number): Codec<T[]> {
  const length = int(32, 0, high);
  return {
    read: (reader, at) =>
      Array.from({ length: length.read(reader, `length of ${at}`) }, (_, i) => of.read(reader, `${at}[${i}]`)),
    write(out, value, at) {
      length.write(out, value.length, `length of ${at}`);
      value.forEach((item, i) => {
        of.write(out, item, `${at}[${i}]`);
      });
    },
    convert: (json, at) =>
      Array.isArray(json) ? json.map((item, i) => of.convert(item, `${at}[${i}]`)) : fail(json, at, "an array"),
  };
}

/** Fields by name; `check` tests rules that involve several fields. */
function struct<T extends object>(
  fields: { [F in keyof T]: Codec<T[F]> },
  check: (value: T, at: string) => void = () => {},
): Codec<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  const build = (field: (name: keyof T & string) => unknown) =>
    Object.fromEntries(names.map((name) => [name, field(name)])) as T;
  return {
    read(reader, at) {
      const value = build((name) => fields[name].read(reader, `${at}.${name}`));
      check(value, at);
      return value;
    },
    write(out, value, at) {
      for (const name of names) {
        fields[name].write(out, value[name], `${at}.${name}`);
      }
      check(value, at);
    },
    convert(json, at) {
      const object = record(json, at);
      const unknown = Object.keys(object).find((name) => !Object.hasOwn(fields, name));
      if (unknown !== undefined) {
        throw new Error(`${at} has the unknown key ${unknown}`);
      }
      return build((name) => fields[name].convert(object[name], `${at}.${name}`));
    },
  };
}

/** One of several variants in the order of their numbers; `fields` has the types of those with fields. */
function variant<T>(names: string[], fields: Record<string, Codec<unknown>> = {}): Codec<T> {
  const number = int(32, 0, names.length - 1);
  const codec = (name: string): Codec<unknown> | undefined => fields[name];
  const split = (value: unknown, at: string): [string, unknown] => {
    const entries = typeof value === "string" ? [[value, undefined]] : Object.entries(record(value, at));
    const [name, inner] = entries[0] ?? [];
    const known = typeof name === "string" && names.includes(name) && entries.length === 1;
    return known && (codec(name) !== undefined) === (typeof value !== "string")
      ? [name, inner]
      : fail(value, at, `one of ${names.join(", ")}`);
  };
  return {
    read(reader, at) {
      const name = names[number.read(reader, at)] as string;
      const of = codec(name);
      return (of ? { [name]: of.read(reader, `${at}.${name}`) } : name) as T;
    },
    write(out, value, at) {
      const [name, inner] = split(value, at);
      number.write(out, names.indexOf(name), at);
      codec(name)?.write(out, inner, `${at}.${name}`);
    },
    convert(json, at) {
      const [name, inner] = split(json, at);
      const of = codec(name);
      return (of ? { [name]: of.convert(inner, `${at}.${name}`) } : name) as T;
    },
  };
}

const side = int(16, 1, 256);
const payloadLength = int(32, 0, 8192);
const coding = variant<"RunLength" | "Packed">(["RunLength", "Packed"]);
const run = int(17, 0, 65536);
const maskFields = struct<Mask>({ width: side, height: side, runs: array(run, 65537) });

/** Cells of a mask: in bytes as runs or one bit per cell, in a message as runs. */
const mask: Codec<Mask> = {
  read(reader, at) {
    const width = side.read(reader, `${at}.width`);
    const height = side.read(reader, `${at}.height`);
    const isPacked = coding.read(reader, `${at}.coding`) === "Packed";
    const payload = reader.take(payloadLength.read(reader, `length of ${at}.payload`));
    const runs = isPacked ? packedRuns(payload, width * height, at) : listedRuns(payload, at);
    return checkedMask({ width, height, runs }, at);
  },
  write(out, value, at) {
    side.write(out, value.width, `${at}.width`);
    side.write(out, value.height, `${at}.height`);
    const listed: number[] = [];
    for (const length of checkedMask(value, at).runs) {
      run.write(listed, length, `${at}.runs`);
    }
    const packed = new Array<number>(Math.ceil((value.width * value.height) / 8)).fill(0);
    maskCells(value).forEach((bit, index) => {
      packed[index >> 3] = (packed[index >> 3] as number) | (bit << (7 - (index % 8)));
    });
    const isPacked = packed.length < listed.length;
    const payload = isPacked ? packed : listed;
    coding.write(out, isPacked ? "Packed" : "RunLength", `${at}.coding`);
    payloadLength.write(out, payload.length, `length of ${at}.payload`);
    out.push(...payload);
  },
  convert: maskFields.convert,
};

function listedRuns(payload: Uint8Array, at: string): number[] {
  const reader = new Reader(payload);
  const runs: number[] = [];
  while (reader.at < payload.length) {
    runs.push(run.read(reader, `${at}.runs`));
  }
  return runs;
}

function packedRuns(payload: Uint8Array, count: number, at: string): number[] {
  const bit = (index: number) => ((payload[index >> 3] as number) >> (7 - (index % 8))) & 1;
  let isValid = payload.length === Math.ceil(count / 8);
  for (let index = count; isValid && index < payload.length * 8; index += 1) {
    isValid = bit(index) === 0;
  }
  if (!isValid) {
    throw new Error(`${at}.payload is not ${count} bits with zeros behind them`);
  }
  const runs: number[] = [];
  let length = 0;
  for (let index = 0; index < count; index += 1) {
    if (bit(index) !== runs.length % 2) {
      runs.push(length);
      length = 0;
    }
    length += 1;
  }
  runs.push(length);
  return runs;
}

function checkedMask(mask: Mask, at: string): Mask {
  if (mask.runs.indexOf(0, 1) !== -1) {
    throw new Error(`${at}.runs has a 0 after the first run`);
  }
  const count = mask.width * mask.height;
  const sum = mask.runs.reduce((sum, run) => sum + run, 0);
  inRange(sum, count, count, `sum of ${at}.runs`);
  return mask;
}

function inRange<N extends number | bigint>(value: N, low: N, high: N, at: string): N {
  return value >= low && value <= high ? value : fail(value, at, `${low} to ${high}`);
}

function finite(value: number, at: string): number {
  return Number.isFinite(value) ? value : fail(value, at, "a finite number of single precision");
}

function number(json: unknown, at: string): number {
  return typeof json === "number" ? json : fail(json, at, "a number");
}

function record(json: unknown, at: string): Record<string, unknown> {
  return typeof json === "object" && json !== null && !Array.isArray(json)
    ? (json as Record<string, unknown>)
    : fail(json, at, "an object");
}

function fail(value: unknown, at: string, expected: string): never {
  throw new Error(`${at} is ${stringify(value)}, expected ${expected}`);
}

/** JSON text, with integers of any length. */
function stringify(value: unknown): string {
  if (typeof value === "bigint") {
    return value.toString();
  }
  if (Object.is(value, -0)) {
    return "-0";
  }
  if (Array.isArray(value)) {
    return `[${value.map(stringify).join(",")}]`;
  }
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).map(([name, inner]) => `${JSON.stringify(name)}:${stringify(inner)}`);
    return `{${fields.join(",")}}`;
  }
  return JSON.stringify(value) ?? String(value);
}

/** Makes texts of integers above 15 digits, which `JSON.parse` would round. */
function quoteLongIntegers(json: string): string {
  const token = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
  return json.replace(token, (token) => (/^\d{16,}$/.test(token) ? `"${token}"` : token));
}

function checkMeasured(message: MaskMessage, at: string): void {
  if (message.measured !== null) {
    const area = message.frame_width_px * message.frame_height_px;
    inRange(message.measured.area_px, 1, area, `${at}.measured.area_px`);
    inRange(message.measured.parts, 1, area, `${at}.measured.parts`);
  }
}

function checkObjects(message: RecordMessage, at: string): void {
  let lowest = 0;
  for (const { object, area_px } of message.objects) {
    lowest = inRange(object, lowest, 7, `${at}.objects.object`) + 1;
    inRange(area_px, 0, message.frame_width_px * message.frame_height_px, `${at}.objects.area_px`);
  }
}

function checkBox(box: Box, at: string): void {
  // In single precision, in which the device compares.
  const { x0, y0, x1, y1 } = box;
  if (Math.fround(x0) >= Math.fround(x1) || Math.fround(y0) >= Math.fround(y1)) {
    fail(box, at, "x0 < x1 and y0 < y1");
  }
}

const u32 = int(32);
const u64 = long(64);
const object = byte(0, 7);
const sidePx = int(16, 1);
const position = struct<Position>({ x: float, y: float });
const point = struct<Point>({ x: float, y: float, positive: bool });

const CODECS: { [K in Kind]: Codec<Messages[K]> } = {
  availability: variant(["Offline", "Online"]),
  info: struct({
    build_name: text(64),
    build_version: text(32),
    build_sha256: sha256,
    board: text(32),
    edge_version: text(32),
    input_size_px: sidePx,
  }),
  mask: struct(
    {
      frame_id: u64,
      captured_us: u64,
      age_us: u32,
      object,
      state: variant(["Tracking", "Uncertain", "Lost"]),
      reason: option(
        variant([
          "FoundAgain",
          "NotConfirmed",
          "LeftFrame",
          "ImageChanged",
          "AreaJump",
          "SeveralParts",
          "AtBorder",
          "OutsideBox",
        ]),
      ),
      segmented: bool,
      score: float,
      agreement: option(float),
      frame_width_px: sidePx,
      frame_height_px: sidePx,
      measured: option(
        struct<Measurements>({
          parts: int(32, 1),
          area_px: int(32, 1),
          centroid_px: position,
          longest_px: float,
          shortest_px: float,
          physical: option(struct({ area_mm2: float, longest_mm: float, shortest_mm: float })),
          contour_px: array(position, 256),
        }),
      ),
      mask,
    },
    checkMeasured,
  ),
  record: struct(
    {
      id: text(48, 1),
      captured_us: u64,
      frame_id: u64,
      frame_width_px: sidePx,
      frame_height_px: sidePx,
      objects: array(struct({ object, score: float, area_px: u32 }), 8),
      record_sha256: sha256,
    },
    checkObjects,
  ),
  "record/deleted": struct({
    id: text(48, 1),
    deleted_us: u64,
    reason: variant(["WrongStructure", "WrongPatient", "PoorImage", "Test", "Other"]),
  }),
  stats: struct({
    uptime_ms: u64,
    frames_in: u64,
    frames_segmented: u64,
    frames_failed: u64,
    frames_dropped: struct({ source: u64, follow: u64, encoder: u64, decoder: u64, paused: u64 }),
    masks_out: u64,
    refused_messages: u64,
    masks_dropped: u64,
    masks_unpublished: u64,
    outbox_messages: option(u64),
    latency: array(
      struct({
        stage: variant<Stage>([
          "Source",
          "Preprocess",
          "Encoder",
          "Decoder",
          "Postprocess",
          "Total",
          "Follow",
          "PromptToMask",
        ]),
        p50_us: u32,
        p95_us: u32,
      }),
      8,
    ),
  }),
  status: struct({
    source: variant(["Starting", "Playing", "Refused", "Unreachable", "Stalled", "Broken", "Ended"]),
    activity: variant(["Running", "Frozen", "Paused"]),
    degradation: option(
      struct({ level: byte(1, 3), cause: variant<"Heat" | "Throttling" | "Slowness">(["Heat", "Throttling", "Slowness"]) }),
    ),
    build: variant(["Idle", "Loading", "Failed", "Updating"], { Failed: struct({ reason: text(120) }) }),
  }),
  prompt: struct({
    object,
    change: variant(["Set", "Clear", "Add", "Undo", "Redo"], {
      Set: struct<{ points: Point[]; bbox: Box | null }>(
        {
          points: array(point, 16),
          bbox: option(struct<Box>({ x0: float, y0: float, x1: float, y1: float }, checkBox)),
        },
        (set, at) => {
          if (set.points.length === 0 && set.bbox === null) {
            throw new Error(`${at} has neither points nor a box`);
          }
        },
      ),
      Add: point,
    }),
  }),
  command: variant(["Pause", "Resume", "Freeze", "Unfreeze", "Capture", "Reload", "Update", "SwitchBuild"]),
};
