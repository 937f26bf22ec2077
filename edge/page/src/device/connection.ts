// The connection to the device: receives frames, masks and state, sends prompts and commands.

import type { PromptsMessage, Message, Status } from './messages';
import { decodeFrame, decodeMask, type FrameMessage, type Mask } from './wire';

const RETRY_MS = 1000;
const WRONG_TOKEN = 4401;
const TOO_MANY_TOKENS = 4429;

/** A decoded frame, with the time of its arrival in ms of `performance.now()`. */
export interface Frame extends FrameMessage { bitmap: ImageBitmap; receivedAt: number }

/** Events of the connection. */
export interface Events {
  frame(frame: Frame): void;
  mask(mask: Mask): void;
  status(message: Status): void;
  prompts(message: PromptsMessage): void;
  /** The connection is lost; the page tries again. */
  lost(): void;
  /** The device wants the access token; why the last one was refused, null for none. */
  unauthorized(reason: 'wrongToken' | 'tooManyTokens' | null): void;
  /** The device refused a request because the screen is locked. */
  locked(): void;
}

/** A request that was refused, or that did not reach the device. */
export class RequestError extends Error {
  /** `code`: kind of the error, for programs; `retryS`: seconds to wait, if the device names them. */
  constructor(message: string, readonly code: string, readonly retryS = '') { super(message); }
}

/** Kind of the error of a request; undefined for other errors. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof RequestError ? error.code : undefined;
}

export class Device {
  /** Session of the user who is signed in. */
  session: string | null = null;
  private token = sessionStorage.getItem('token') ?? '';
  private socket: WebSocket | null = null;
  private last: Promise<unknown> = Promise.resolve();

  private on: Events | null = null;

  /** Connects, and reports events from now on. */
  start(on: Events): void {
    this.on = on;
    this.connect();
  }

  setToken(token: string): void {
    this.token = token;
    sessionStorage.setItem('token', token);
    this.connect();
  }

  private connect(): void {
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
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      turn = turn.then(() => this.take(data)).catch(console.error).then(() => {
        if (socket.readyState === WebSocket.OPEN) socket.send('');
      });
    };
    socket.onclose = ({ code }) => {
      this.on?.lost();
      if (code === TOO_MANY_TOKENS) this.on?.unauthorized('tooManyTokens');
      else if (code === WRONG_TOKEN) this.on?.unauthorized(this.token ? 'wrongToken' : null);
      else setTimeout(() => this.connect(), RETRY_MS);
    };
  }

  private async take(data: string | ArrayBuffer): Promise<void> {
    if (typeof data === 'string') {
      const message = JSON.parse(data) as Message;
      if (message.kind === 'status') this.on?.status(message);
      else this.on?.prompts(message);
    } else if (new Uint8Array(data)[0] === 1) {
      const receivedAt = performance.now();
      const frame = decodeFrame(data);
      this.on?.frame({ ...frame, receivedAt, bitmap: await createImageBitmap(frame.jpeg) });
    } else {
      this.on?.mask(decodeMask(data));
    }
  }

  /** Sends requests one after the other, so that changes arrive in the order of the taps. */
  post(path: string, body: unknown): Promise<Response> {
    const answer = this.last.then(() => this.postNow(path, body));
    this.last = answer.catch(() => {});
    return answer;
  }

  postNow(path: string, body: unknown): Promise<Response> { return this.send('POST', path, body); }

  delete(path: string, body: unknown): Promise<Response> { return this.send('DELETE', path, body); }

  send(method: string, path: string, body: unknown): Promise<Response> {
    return this.get(path, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  }

  /** Returns JSON of the device. */
  async json<T>(path: string): Promise<T> { return (await this.get(path)).json() as Promise<T>; }

  /** Returns an image. It is not part of the page, so that no cache keeps it. */
  async image(path: string): Promise<ImageBitmap> {
    return createImageBitmap(await (await this.get(path)).blob());
  }

  /** Returns the response; throws a `RequestError` if the request was refused. */
  async get(path: string, request: { method?: string; headers?: Record<string, string>; body?: string } = {}): Promise<Response> {
    const headers = { ...request.headers };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (this.session) headers['Medsa-Session'] = this.session;
    const answer = await fetch(path, { ...request, headers }).catch(() => null);
    if (!answer) throw new RequestError('no connection', 'unreachable');
    if (answer.ok) return answer;
    const { code, error } = await answer.json() as { code: string; error: string };
    if (code === 'locked') this.on?.locked();
    throw new RequestError(error, code, answer.headers.get('Retry-After') ?? '');
  }
}
