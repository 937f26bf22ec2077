// Decoding of mask messages (wire/SPEC.md) and of the frames of /live.

const VERSION = 4;
const STATES = ['tracking', 'uncertain', 'lost'];
const REASONS = ['foundAgain', 'notConfirmed', 'leftFrame', 'imageChanged', 'areaJump', 'severalParts',
  'atBorder', 'outsideBox'];

class Reader {
  constructor(buffer, offset) {
    this.view = new DataView(buffer, offset);
    this.at = 0;
  }
  u8() { return this.view.getUint8(this.at++); }
  f32() { this.at += 4; return this.view.getFloat32(this.at - 4, true); }
  varint() {
    // Numbers: frame ids and microseconds stay below 2^53.
    for (let value = 0, unit = 1; ; unit *= 128) {
      const byte = this.u8();
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  }
  option(read) { return this.u8() === 1 ? read() : null; }
  array(read) { return Array.from({ length: this.varint() }, read); }
  place() { return [this.f32(), this.f32()]; }
}

/** Decodes a mask of /live; `bits` holds 1 for each cell inside. */
export function decodeMask(buffer) {
  const revision = Number(new DataView(buffer).getBigUint64(1, true));
  const r = new Reader(buffer, 9);
  const version = r.u8();
  if (version !== VERSION) throw new Error(`format version ${version}, expected ${VERSION}`);
  const mask = {
    revision, frameId: r.varint(), capturedUs: r.varint(), ageUs: r.varint(), object: r.u8(),
    state: STATES[r.varint()], reason: r.option(() => REASONS[r.varint()]), segmented: r.u8() === 1,
    score: r.f32(), agreement: r.option(() => r.f32()),
    frameWidth: r.varint(), frameHeight: r.varint(),
    measured: r.option(() => ({
      parts: r.varint(), areaPx: r.varint(), centroid: r.place(),
      longestPx: r.f32(), shortestPx: r.f32(),
      physical: r.option(() => ({ areaMm2: r.f32(), longestMm: r.f32(), shortestMm: r.f32() })),
      contour: r.array(() => r.place()),
    })),
    width: r.varint(), height: r.varint(),
  };
  const coding = r.varint();
  const end = r.varint() + r.at;
  mask.bits = new Uint8Array(mask.width * mask.height);
  if (coding === 0) {
    for (let cell = 0, inside = 0; r.at < end; inside = 1 - inside) {
      const run = r.varint();
      mask.bits.fill(inside, cell, cell + run);
      cell += run;
    }
  } else {
    for (let cell = 0; cell < mask.bits.length; cell++) {
      mask.bits[cell] = (r.view.getUint8(r.at + (cell >> 3)) >> (7 - (cell & 7))) & 1;
    }
  }
  return mask;
}

/** Decodes the header of a frame and the JPEG after it. */
export function decodeFrame(buffer) {
  const view = new DataView(buffer);
  const millimetres = (at) => {
    const [down, along] = [at, at + 4].map((byte) => view.getFloat32(byte, true));
    return down > 0 && along > 0 ? { x: along, y: down } : null;
  };
  const regions = Array.from({ length: view.getUint8(33) }, (_, index) => {
    const at = 34 + 16 * index;
    const [x0, y0, x1, y1] = [0, 2, 4, 6].map((byte) => view.getUint16(at + byte, true));
    return { x0, y0, x1, y1, pixelMm: millimetres(at + 8) };
  });
  return {
    id: Number(view.getBigUint64(1, true)), capturedUs: Number(view.getBigUint64(9, true)),
    ageUs: view.getUint32(17, true), width: view.getUint16(21, true), height: view.getUint16(23, true),
    /** Size of a pixel in mm, null if it is not known or differs by place. */
    pixelMm: millimetres(25),
    /** Parts with scales of their own, the topmost first. */
    regions,
    jpeg: new Blob([new Uint8Array(buffer, 34 + 16 * regions.length)], { type: 'image/jpeg' }),
  };
}
