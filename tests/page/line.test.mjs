import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Speaker, Viewer } from "./page/line.js";
import { Store } from "./page/wire.js";

let sockets, states, heard, told;

class Socket {
  static OPEN = 1;

  constructor(address, protocol) {
    Object.assign(this, { address, protocol, readyState: 0, bufferedAmount: 0, sent: [] });
    sockets.push(this);
  }

  send(data) {
    this.sent.push(typeof data === "string" ? JSON.parse(data) : Buffer.from(data));
  }

  close() {
    this.readyState = 3;
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  tell(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }

  lose(code = 1006) {
    this.readyState = 3;
    this.onclose({ code });
  }

  get frames() {
    return this.sent.filter(Buffer.isBuffer).map((data) => [Number(data.readBigUInt64BE(8)), (data.length - 16) / 2, data[1]]);
  }

  get texts() {
    return this.sent.filter((message) => !Buffer.isBuffer(message));
  }
}

beforeEach(() => {
  sockets = [], states = [], heard = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1000 });
  globalThis.WebSocket = Socket;
  globalThis.location = { protocol: "http:", host: "here:1" };
  globalThis.addEventListener = globalThis.removeEventListener = () => {};
});

const handlers = () => ({ state: (name, detail) => states.push([name, detail]), message: (m) => heard.push(m.type), storeFrom: (at) => new Store(at) });
const limits = { max_rate: 2, max_unacked_ms: 1000 };
const started = { type: "session.started", seq: 1, session: "SES", resume: { token: "r1", window_s: 300 }, limits };
const resumed = (next_sample, token = "r2") => ({ type: "session.resumed", session: "SES", next_sample, replay_from: 2, resume: { token, window_s: 300 } });
const snapshot = (as_of) => ({ type: "snapshot", as_of, open_turns: [], speakers: [], final_until_ms: 0, processed_until_ms: 0 });
const ack = (durable) => ({ type: "audio.ack", received: durable, durable, processed: durable });

function speaker(more = {}) {
  const line = new Speaker(handlers(), { store: new Store(), rate: 1000, token: "secret", ...more });
  line.start();
  return line;
}

const say = (line, samples) => {
  line.store.push(new Int16Array(samples));
  line.pump();
};

test("sound is sent once the session is open, in frames of a tenth of a second", () => {
  const line = speaker({ options: { max_delay_ms: 4000 } });
  say(line, 250);
  sockets[0].open();
  assert.equal(sockets[0].address, "ws://here:1/v1/stream");
  assert.deepEqual(sockets[0].texts, [{ type: "session.start", token: "secret", client: "speakrs-page/1",
    audio: { encoding: "pcm_s16le", sample_rate: 1000, channels: 1, framing: "header16" }, mode: "live", max_delay_ms: 4000 }]);
  assert.deepEqual(sockets[0].frames, []);
  sockets[0].tell(started);
  assert.deepEqual(sockets[0].frames, [[0, 100, 0], [100, 100, 0], [200, 50, 0]]);
  assert.deepEqual(states.map(([name]) => name), ["connecting", "open"]);
});

test("a lost connection is resumed where the server is, with the newest token and nothing secret in the address", () => {
  const line = speaker();
  sockets[0].open();
  sockets[0].tell(started);
  say(line, 300);
  sockets[0].tell(ack(100));
  sockets[0].lose();
  say(line, 100); // kept
  assert.equal(states.at(-1)[0], "away");
  assert.equal(line.waiting, 0.3);
  mock.timers.tick(301);
  sockets[1].open();
  assert.equal(sockets[1].address, "ws://here:1/v1/stream?resume=SES");
  assert.deepEqual(sockets[1].texts, [{ type: "session.resume", session: "SES", token: "r1", last_seq: 1 }]);
  sockets[1].tell(resumed(200));
  assert.deepEqual(sockets[1].frames, [[200, 100, 0], [300, 100, 0]]);
  sockets[1].lose(1012);
  mock.timers.tick(301);
  sockets[2].open();
  assert.equal(sockets[2].texts[0].token, "r2");
});

test("what is lost is said: a gap is flagged", () => {
  const line = speaker({ store: new Store(0, 200) });
  for (let n = 0; n < 4; n++) say(line, 100);
  sockets[0].open();
  sockets[0].tell(started);
  assert.equal(line.store.lost, 200);
  assert.deepEqual(sockets[0].frames, [[200, 100, 1], [300, 100, 0]]);
});

test("waits grow, heed the server, and end after 44xx", () => {
  speaker();
  for (const most of [300, 600, 1200]) {
    sockets.at(-1).lose();
    const before = sockets.length;
    mock.timers.tick(most + 1);
    assert.equal(sockets.length, before + 1);
  }
  sockets.at(-1).open();
  sockets.at(-1).tell({ type: "error", code: "draining", message: "", fatal: true, retryable: true, retry_after_ms: 9000 });
  sockets.at(-1).lose(1012);
  const before = sockets.length;
  mock.timers.tick(8999);
  assert.equal(sockets.length, before);
  mock.timers.tick(2);
  assert.equal(sockets.length, before + 1);
  sockets.at(-1).open();
  sockets.at(-1).tell({ type: "error", code: "superseded", message: "elsewhere", fatal: true, retryable: false });
  sockets.at(-1).lose(4409);
  assert.equal(states.at(-1)[0], "failed");
  assert.equal(states.at(-1)[1].error.code, "superseded");
  mock.timers.tick(100_000);
  assert.equal(sockets.length, before + 1);
});

test("a live session is not sent faster than allowed after it was away", () => {
  const line = speaker();
  for (let n = 0; n < 100; n++) say(line, 100); // ten seconds
  sockets[0].open();
  sockets[0].tell(started);
  assert.equal(line.position, 5000); // the burst
  mock.timers.tick(1000);
  assert.ok(line.position >= 6600 && line.position <= 6800, String(line.position)); // 1.8 times real time
});

test("a file is sent as fast as it is acknowledged", () => {
  const line = speaker({ mode: "file" });
  say(line, 5000);
  sockets[0].open();
  sockets[0].tell(started);
  assert.equal(line.position, 1250); // a quarter second more than what may be unconfirmed
  sockets[0].tell(ack(1000));
  assert.equal(line.position, 2250);
});

test("the last turns of a file are settled once all of it is sent, again after a resume, and never of a microphone", () => {
  const flushes = (socket) => socket.texts.filter(({ type }) => type === "flush").length;
  const line = speaker({ mode: "file" });
  say(line, 2000);
  sockets[0].open();
  sockets[0].tell(started);
  assert.deepEqual([line.position, flushes(sockets[0])], [1250, 0]);
  sockets[0].tell(ack(1000));
  assert.deepEqual(sockets[0].sent.at(-1), { type: "flush" });
  sockets[0].tell(ack(2000));
  assert.deepEqual([line.position, flushes(sockets[0])], [2000, 1]);
  sockets[0].lose();
  mock.timers.tick(301);
  sockets[1].open();
  sockets[1].tell(resumed(2000)); // nobody knows whether it arrived
  assert.equal(flushes(sockets[1]), 1);
  line.end();
  assert.deepEqual([flushes(sockets[1]), sockets[1].texts.at(-1).type], [1, "session.end"]);
  speaker();
  sockets[2].open();
  sockets[2].tell(started);
  assert.equal(flushes(sockets[2]), 0);
});

test("the end follows all sound, and is said again after a resume", () => {
  const line = speaker();
  sockets[0].open();
  sockets[0].tell(started);
  say(line, 100);
  line.end();
  assert.deepEqual(sockets[0].texts.at(-1), { type: "session.end", last_sample: 100 });
  sockets[0].lose();
  mock.timers.tick(301);
  sockets[1].open();
  sockets[1].tell(resumed(50));
  assert.deepEqual(sockets[1].frames, [[50, 50, 0]]);
  assert.deepEqual(sockets[1].texts.at(-1), { type: "session.end", last_sample: 100 });
  sockets[1].tell({ type: "session.final", seq: 2, samples: 100 });
  sockets[1].lose(1000);
  assert.equal(states.at(-1)[0], "over");
});

test("what was asked and not done is asked again", () => {
  const line = speaker();
  sockets[0].open();
  sockets[0].tell(started);
  line.rename("S1", "Ann");
  line.merge("S2", "S1");
  sockets[0].tell({ type: "speaker.named", seq: 2, speaker: "S1", name: "Ann" });
  sockets[0].lose();
  line.rename("S3", "Bob"); // while it is away
  mock.timers.tick(301);
  sockets[1].open();
  sockets[1].tell(resumed(0));
  assert.equal(sockets[1].texts.length, 1);
  sockets[1].tell(snapshot(2));
  assert.deepEqual(sockets[1].texts.slice(1), [{ type: "speaker.same", speaker: "S2", into: "S1" }, { type: "speaker.rename", speaker: "S3", name: "Bob" }]);
  sockets[1].tell({ type: "error", code: "bad_message", message: "no such speaker", fatal: false, ref: "speaker.rename" });
  assert.deepEqual([...line.pending.keys()], ["speaker.merged S2"]);
});

test("a connection without a sign of life, or with a message missing, is given up", () => {
  speaker();
  sockets[0].open();
  sockets[0].tell(started);
  mock.timers.tick(20_000);
  assert.equal(sockets.length, 1);
  assert.ok(sockets[0].texts.some(({ type }) => type === "ping"));
  mock.timers.tick(8000);
  assert.equal(states.at(-1)[0], "away");
  mock.timers.tick(1000);
  assert.ok(sockets.length > 1);
  const last = sockets.at(-1);
  last.open();
  last.tell(resumed(0));
  last.tell({ type: "watermark", seq: 3, final_until_ms: 0, processed_until_ms: 0 });
  assert.equal(states.at(-1)[0], "away");
});

test("after a reload the sound goes on where the server is", () => {
  const line = speaker({ store: null, saved: { session: "SES", resume: "r7" } });
  sockets[0].open();
  assert.deepEqual(sockets[0].texts, [{ type: "session.resume", session: "SES", token: "r7", last_seq: 0 }]);
  sockets[0].tell(resumed(4000, "r8"));
  sockets[0].tell(started); // all that was told comes again
  say(line, 100);
  assert.deepEqual(sockets[0].frames, [[4000, 100, 0]]);
  assert.deepEqual([line.resume, line.limits.max_rate], ["r8", 2]);
});

test("a viewer says who it is in its first message and goes on from the last number", () => {
  const line = new Viewer(handlers(), "SES", "v1.secret");
  line.start();
  sockets[0].open();
  assert.deepEqual(sockets[0].texts, [{ type: "session.view", token: "v1.secret" }]);
  sockets[0].tell(started);
  sockets[0].lose();
  mock.timers.tick(301);
  assert.equal(sockets[1].address, "ws://here:1/v1/sessions/SES/events?after=1");
});
