// One session over as many connections as it takes: speaking (Speaker) or only viewing (Viewer).

import { Reducer } from "./reducer.js";
import { Bucket, SUBPROTOCOL, backoff, mayReturn, pack } from "./wire.js";

const PING_S = 15; // a session without sound, as of a microphone that is away, stays open
const SILENCE_S = 25; // without any message a connection is taken for dead: heartbeats come more often
const BUFFERED_S = 1; // seconds of sound that may wait inside the socket

class Line {
  /** on: {message(m), state(name, detail)} — names: connecting, open, away, over, failed */
  constructor(on, token) {
    Object.assign(this, { on, token, reducer: new Reducer(), attempt: 0, done: false, attached: false, error: null, seconds: 0 });
    this.online = () => this.socket || this.connect();
  }

  start() {
    this.on.state("connecting");
    this.clock = setInterval(() => this.watch(), 1000);
    addEventListener("online", this.online);
    this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    const { protocol, host } = location;
    const socket = new WebSocket(`${protocol === "https:" ? "wss" : "ws"}://${host}${this.address()}`, SUBPROTOCOL);
    this.socket = socket;
    this.heardAt = Date.now();
    socket.onopen = () => this.say(this.hello());
    socket.onmessage = ({ data }) => socket === this.socket && this.heard(JSON.parse(data));
    socket.onclose = ({ code }) => socket === this.socket && this.closed(code);
  }

  say(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  heard(message) {
    this.heardAt = Date.now();
    if (message.type === "error" && message.fatal) this.error = message;
    try {
      this.reducer.push(message);
    } catch { // something is missing: come back and hear it again
      this.hangUp(1006);
      return;
    }
    this.take(message);
    if (this.reducer.ended) this.done = true;
    this.on.message(message);
  }

  enter() {
    Object.assign(this, { attempt: 0, attached: true, error: null });
    this.on.state("open");
  }

  closed(code) {
    const { error } = this;
    Object.assign(this, { socket: null, attached: false, error: null });
    if (this.done) return this.stop("over");
    if (!mayReturn(code)) return this.stop("failed", { code, error });
    const wait = Math.max(backoff(this.attempt++), error?.retry_after_ms ?? 0);
    this.on.state("away", { attempt: this.attempt, error });
    this.timer = setTimeout(() => this.connect(), wait);
  }

  /** Give a connection up without waiting for the other side. */
  hangUp(code) {
    const { socket } = this;
    if (!socket) return;
    socket.onclose = socket.onmessage = null;
    socket.close();
    this.closed(code);
  }

  watch() {
    if (this.attached && ++this.seconds % PING_S === 0) this.say({ type: "ping" });
    if (this.socket && Date.now() - this.heardAt > SILENCE_S * 1000) this.hangUp(1006);
  }

  /** No connection any more; with a name the reason is told. */
  stop(name, detail) {
    clearInterval(this.clock);
    clearTimeout(this.timer);
    removeEventListener("online", this.online);
    const { socket } = this;
    this.socket = null;
    if (socket) {
      socket.onclose = socket.onmessage = null;
      socket.close(1000);
    }
    if (name) this.on.state(name, detail);
  }
}

export class Speaker extends Line {
  /** store: where the sound is; saved: {session, resume} of a session to go on with, or null */
  constructor(on, { store, rate, mode = "live", options = {}, token, saved = null }) {
    super(on, token);
    Object.assign(this, { store, rate, mode, options, position: 0, number: 0, ending: false, limits: null });
    Object.assign(this, { session: saved?.session ?? "", resume: saved?.resume ?? "", pending: new Map() });
  }

  address() {
    return `/v1/stream${this.session ? `?resume=${this.session}` : ""}`;
  }

  hello() {
    if (this.session) {
      return { type: "session.resume", session: this.session, token: this.resume, last_seq: this.reducer.seq };
    }
    const { token, mode, options, rate } = this;
    const audio = { encoding: "pcm_s16le", sample_rate: rate, channels: 1, framing: "header16" };
    return { type: "session.start", ...(token && { token }), client: "speakrs-page/1", audio, mode, ...options };
  }

  take(m) {
    if (m.type === "session.started") this.limits = m.limits;
    const again = m.type === "session.started" && this.attached; // told once more after a reload: its token is old
    if ((m.type === "session.started" || m.type === "session.resumed") && !again) {
      this.session = m.session;
      this.resume = m.resume.token;
      this.position = m.next_sample ?? 0;
      this.store ??= this.on.storeFrom(this.position);
      const fastest = (this.limits?.max_rate ?? 2) * this.rate;
      this.bucket = new Bucket(0.9 * fastest, 5 * this.rate, Date.now() / 1000);
      this.told = this.flushed = false;
      this.enter();
      this.pump();
    } else if (m.type === "audio.ack") {
      this.durable = m.durable;
      this.store.trim(m.durable);
      this.pump();
    } else if (m.type === "session.finalizing") {
      this.finishing = true;
    } else if (m.type === "snapshot") { // all that was missed is told: what was asked and not done is asked again
      if (!this.ending) for (const command of this.pending.values()) this.say(command);
    } else if (m.type === "speaker.named" || m.type === "speaker.merged") {
      this.pending.delete(`${m.type} ${m.speaker}`);
    } else if (m.type === "error" && m.ref) {
      for (const [key, command] of this.pending) if (command.type === m.ref) this.pending.delete(key);
    }
  }

  rename(speaker, name) {
    this.ask(`speaker.named ${speaker}`, { type: "speaker.rename", speaker, name });
  }

  merge(speaker, into) {
    this.ask(`speaker.merged ${speaker}`, { type: "speaker.same", speaker, into });
  }

  ask(key, command) {
    if (this.ending) return;
    this.pending.set(key, command);
    if (this.attached) this.say(command);
  }

  /** Sound that the server does not have for sure, in seconds. */
  get waiting() {
    return this.store ? Math.max(this.store.end - Math.max(this.durable ?? 0, this.store.base), 0) / this.rate : 0;
  }

  end() {
    this.ending = true;
    this.pump();
  }

  /** Send what there is, no faster than socket, server and acknowledgements allow. */
  pump() {
    clearTimeout(this.later);
    if (!this.attached || this.finishing) return;
    const most = Math.round(this.rate / (this.mode === "file" ? 4 : 10));
    const window = this.mode === "file" ? (this.limits?.max_unacked_ms ?? 10_000) * this.rate / 1000 : Infinity;
    for (;;) {
      const piece = this.store.read(this.position, most);
      if (!piece) break;
      if (piece.at - Math.max(this.durable ?? 0, this.store.base) > window) return; // an acknowledgement calls again
      const full = this.socket.bufferedAmount > 2 * BUFFERED_S * this.rate;
      if (full || (this.mode === "live" && !this.bucket.take(piece.samples.length, Date.now() / 1000))) {
        this.later = setTimeout(() => this.pump(), 50);
        return;
      }
      this.socket.send(pack(piece.samples, piece.at, this.number++, piece.at > this.position));
      this.position = piece.at + piece.samples.length;
    }
    if (this.mode === "file" && !this.ending && !this.flushed) { // a recording is all there is: settle its last turns now
      this.flushed = true;
      this.say({ type: "flush" });
    }
    if (this.ending && !this.told) {
      this.told = true;
      this.say({ type: "session.end", last_sample: this.position });
    }
  }

  stop(name, detail) {
    clearTimeout(this.later);
    super.stop(name, detail);
  }
}

export class Viewer extends Line {
  constructor(on, session, token) {
    super(on, token);
    this.session = session;
  }

  address() {
    return `/v1/sessions/${this.session}/events?after=${this.reducer.seq}`;
  }

  hello() {
    return { type: "session.view", ...(this.token && { token: this.token }) };
  }

  take({ type }) {
    if (!this.attached && type !== "error") this.enter();
  }
}
