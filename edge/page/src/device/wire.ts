// Decoding of mask messages (wire/SPEC.md) and of the frames of /live. The decoder for clients,
// wire/decoders/typescript, names the field in every error and takes eight times as long for a mask;
// a page decodes up to eight masks for each frame.

const VERSION = 4;
const STATES = ['tracking', 'uncertain', 'lost'] as const;
const REASONS = ['foundAgain', 'notConfirmed', 'leftFrame', 'imageChanged', 'areaJump', 'severalParts',
  'atBorder', 'outsideBox'] as const;

/** Size of a pixel in mm. */
export interface PixelSize { x: number; y: number }

/** Measurements of a mask; the contour is a polygon in pixels of the frame. */
export interface Measured extends Sizes { contour: [number, number][] }

export interface Sizes {
  parts: number;
  areaPx: number;
  longestPx: number;
  shortestPx: number;
  physical: { areaMm2: number; longestMm: number; shortestMm: number } | null;
}

/** Cells of a mask, which cover the frame; `bits` holds 1 for each cell inside. */
export interface Cells { width: number; height: number; bits: Uint8Array }

export interface Mask extends Cells {
  revision: number;
  capturedUs: number;
  object: number;
  state: typeof STATES[number];
  reason: typeof REASONS[number] | null;
  score: number;
  measured: Measured | null;
}

/** Part of a frame with a scale of its own. */
export interface Region { x0: number; y0: number; x1: number; y1: number; pixelMm: PixelSize | null }

/** Scale of a frame. */
export interface Scale {
  /** Size of a pixel, null if it is not known or differs by place. */
  pixelMm: PixelSize | null;
  /** Parts with scales of their own, the topmost first. */
  regions: Region[];
}

export interface FrameMessage extends Scale {
  id: number;
  capturedUs: number;
  ageUs: number;
  width: number;
  height: number;
  jpeg: Blob;
}

class Reader {
  readonly view: DataView;
  at = 0;

  constructor(buffer: ArrayBuffer, offset: number) { this.view = new DataView(buffer, offset); }

  u8(): number { return this.view.getUint8(this.at++); }

  f32(): number {
    this.at += 4;
    return this.view.getFloat32(this.at - 4, true);
  }

  varint(): number {
    // Numbers: frame ids and microseconds stay below 2^53.
    for (let value = 0, unit = 1; ; unit *= 128) {
      const byte = this.u8();
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  }

  option<T>(read: () => T): T | null { return this.u8() === 1 ? read() : null; }

  array<T>(read: () => T): T[] { return Array.from({ length: this.varint() }, read); }

  place(): [number, number] { return [this.f32(), this.f32()]; }

  /** One of several names, in the order of their numbers. */
  name<T extends string>(names: readonly T[]): T {
    const number = this.varint();
    const name = names[number];
    if (name === undefined) throw new Error(`unknown variant ${number}, expected below ${names.length}`);
    return name;
  }
}

/** Decodes a mask of /live. */
export function decodeMask(buffer: ArrayBuffer): Mask {
  const revision = Number(new DataView(buffer).getBigUint64(1, true));
  const r = new Reader(buffer, 9);
  const version = r.u8();
  if (version !== VERSION) throw new Error(`format version ${version}, expected ${VERSION}`);
  r.varint(); // number of the frame
  const capturedUs = r.varint();
  r.varint(); // age
  const object = r.u8();
  const state = r.name(STATES);
  const reason = r.option(() => r.name(REASONS));
  r.u8(); // segmented, or followed
  const score = r.f32();
  r.option(() => r.f32()); // agreement
  r.varint(); // width and height of the frame
  r.varint();
  const measured = r.option((): Measured => {
    const [parts, areaPx] = [r.varint(), r.varint()];
    r.place(); // centroid
    const [longestPx, shortestPx] = [r.f32(), r.f32()];
    const physical = r.option(() => ({ areaMm2: r.f32(), longestMm: r.f32(), shortestMm: r.f32() }));
    return { parts, areaPx, longestPx, shortestPx, physical, contour: r.array(() => r.place()) };
  });
  const [width, height] = [r.varint(), r.varint()];
  const bits = cells(r, width * height);
  return { revision, capturedUs, object, state, reason, score, measured, width, height, bits };
}

/** Cells as runs of background and object in turn, or as one bit each. */
function cells(r: Reader, count: number): Uint8Array {
  const coding = r.varint();
  const end = r.varint() + r.at;
  const bits = new Uint8Array(count);
  if (coding === 0) {
    for (let cell = 0, inside = 0; r.at < end; inside = 1 - inside) {
      const run = r.varint();
      bits.fill(inside, cell, cell + run);
      cell += run;
    }
  } else {
    for (let cell = 0; cell < count; cell++) {
      bits[cell] = (r.view.getUint8(r.at + (cell >> 3)) >> (7 - (cell & 7))) & 1;
    }
  }
  return bits;
}

/** Decodes the header of a frame and the JPEG after it. */
export function decodeFrame(buffer: ArrayBuffer): FrameMessage {
  const view = new DataView(buffer);
  const millimetres = (at: number): PixelSize | null => {
    const [down, along] = [view.getFloat32(at, true), view.getFloat32(at + 4, true)];
    return down > 0 && along > 0 ? { x: along, y: down } : null;
  };
  const regions = Array.from({ length: view.getUint8(33) }, (_, index) => {
    const at = 34 + 16 * index;
    const side = (byte: number) => view.getUint16(at + byte, true);
    return { x0: side(0), y0: side(2), x1: side(4), y1: side(6), pixelMm: millimetres(at + 8) };
  });
  return {
    id: Number(view.getBigUint64(1, true)), capturedUs: Number(view.getBigUint64(9, true)),
    ageUs: view.getUint32(17, true), width: view.getUint16(21, true), height: view.getUint16(23, true),
    pixelMm: millimetres(25), regions,
    jpeg: new Blob([new Uint8Array(buffer, 34 + 16 * regions.length)], { type: 'image/jpeg' }),
  };
}
