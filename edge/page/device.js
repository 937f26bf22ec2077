// The connection to the device: receives frames, masks and state, sends prompts and commands.

import { decodeFrame, decodeMask } from './wire.js';

const RETRY_MS = 1000;
const WRONG_TOKEN = 4401;
const TOO_MANY_TOKENS = 4429;

export class Device {
  /** `on` has a handler for each event: frame, mask, status, prompts, lost, unauthorized, locked. */
  constructor(on) {
    this.on = on;
    this.token = sessionStorage.getItem('token') ?? '';
    /** Session of the user who is signed in. */
    this.session = null;
    this.last = Promise.resolve();
  }

  setToken(token) {
    this.token = token;
    sessionStorage.setItem('token', token);
    this.connect();
  }

  connect() {
    const socket = new WebSocket(`${location.protocol.replace('http', 'ws')}//${location.host}/live`);
    // The device accepts few connections.
    if (this.socket) {
      this.socket.onclose = null;
      this.socket.close();
    }
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => socket.send(this.token);
    // One after the other: decoding an image takes time, and later messages refer to it.
    let turn = Promise.resolve();
    socket.onmessage = ({ data }) => {
      turn = turn.then(() => this.take(data)).catch(console.error).then(() => {
        if (socket.readyState === WebSocket.OPEN) socket.send('');
      });
    };
    socket.onclose = ({ code }) => {
      this.on.lost();
      if (code === TOO_MANY_TOKENS) this.on.unauthorized('tooManyTokens');
      else if (code === WRONG_TOKEN) this.on.unauthorized(this.token ? 'wrongToken' : null);
      else setTimeout(() => this.connect(), RETRY_MS);
    };
  }

  async take(data) {
    if (typeof data === 'string') {
      const message = JSON.parse(data);
      this.on[message.kind](message);
    } else if (new Uint8Array(data)[0] === 1) {
      const frame = decodeFrame(data);
      frame.receivedAt = performance.now();
      frame.bitmap = await createImageBitmap(frame.jpeg);
      this.on.frame(frame);
    } else {
      this.on.mask(decodeMask(data));
    }
  }

  /** Sends requests one after the other, so that changes arrive in the order of the taps. */
  post(path, body) {
    const answer = this.last.then(() => this.postNow(path, body));
    this.last = answer.catch(() => {});
    return answer;
  }

  postNow(path, body) { return this.send('POST', path, body); }

  delete(path, body) { return this.send('DELETE', path, body); }

  send(method, path, body) {
    const headers = { 'Content-Type': 'application/json' };
    return this.get(path, { method, headers, body: JSON.stringify(body) });
  }

  /** Returns the response; throws if the request was refused. */
  async get(path, { headers = {}, ...request } = {}) {
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (this.session) headers['Medsa-Session'] = this.session;
    const answer = await fetch(path, { headers, ...request }).catch(() => null);
    if (!answer) throw Object.assign(new Error('no connection'), { code: 'unreachable' });
    if (answer.ok) return answer;
    const { code, error } = await answer.json();
    if (code === 'locked') this.on.locked();
    throw Object.assign(new Error(error), { code, retryS: answer.headers.get('Retry-After') });
  }
}
