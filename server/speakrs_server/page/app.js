// The page: one session at a time, what its buttons do, and what is shown when.

import { Levels, Microphone, decode, microphones, reason } from "./capture.js";
import { askMerge, askToken, fetchResult, offerDownloads, offerLink } from "./dialogs.js";
import { Speaker, Viewer } from "./line.js";
import { clock } from "./lines.js";
import { $, Follower, dropping, kept, looks } from "./look.js";
import { AGAIN, AWAY, ENDS, IDLE, LISTENING, RELOADED, SOUND, TOKEN } from "./texts.js";
import { People, Transcript, make } from "./view.js";
import { Store } from "./wire.js";

const KEPT_S = 600; // seconds of sound kept while the server is away
const BUSY = ["connecting", "live", "away", "finishing"];
const query = new URLSearchParams(location.search);
const viewing = location.pathname === "/v" ? (query.get("session") ?? "") : null;

let token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
let line = null; // the session
let microphone = null;
let levels = null; // how loud it was
let shared = null; // {token} that lets others view this session
let file = ""; // name of the recording that is sent
let dirty = true;
let processed = 0, delays = []; // samples worked on; how long turns took to settle, in ms
let quiet = 0, loud = 0; // tenths of a second

const transcript = new Transcript($("log"), $("now"), () => levels);
const people = new People($("tracks"), {
  rename: (id, name) => line.rename(id, name),
  merge: (id) => askMerge(line.reducer, id, (one, into) => line.merge(one, into)),
});
const follower = new Follower();

// -- states --------------------------------------------------------------------------------------------------------

const state = () => document.body.dataset.state;

function enter(name, text) {
  document.body.dataset.state = name;
  people.editable = viewing === null && ["live", "away"].includes(name) && !line?.ending;
  if (name === "over") $("now").after($("card"));
  else $("captions").prepend($("card"));
  $("hint").textContent = "";
  say(text);
  dirty = true;
}

function say(text) {
  if ($("state").textContent !== text) $("state").textContent = text;
}

function notice(text) {
  $("hint").textContent = text;
  quiet = -100; // leave it there for a while
}

/** What stands in the middle: [title, text or texts] and buttons [label, what they do]. */
function card([title, texts], ...actions) {
  const buttons = actions.map(([textContent, onclick], at) => make("button", { textContent, onclick, className: at ? "quiet big" : "strong big" }));
  const art = state() === "idle" ? [make("img", { src: "/page/talk.svg", alt: "", width: 300, height: 96 })] : [];
  $("card").replaceChildren(...art, make("h2", { textContent: title }), ...[texts].flat().map((textContent) => make("p", { textContent })),
    make("div", { className: "row" }, ...buttons));
}

const START = ["Start the microphone", () => begin()];
const OPEN = ["Open a recording…", () => $("file").click()];

function idle() {
  enter("idle", "Ready");
  card(IDLE, START, OPEN);
}

function noSound(error) {
  const text = SOUND[error.name === "insecure" ? "insecure" : reason(error)];
  enter("failed", text[0]);
  card(text, ["Try again", START[1]], OPEN);
}

// -- what the session tells ----------------------------------------------------------------------------------------

const CHANGES = {
  connecting: () => enter("connecting", "Connecting…"),
  open: () => {
    kept.put(sessionStorage, "session", viewing === null ? JSON.stringify({ session: line.session, resume: line.resume, rate: line.rate }) : null);
    const back = state() === "away";
    if (line.ending) return enter("finishing", "Finishing…");
    enter("live", liveText());
    if (back) notice(line.store?.lost ? "The connection is back." : "The connection is back. Nothing was lost.");
  },
  away: ({ error }) => {
    const text = AGAIN[error?.code] ?? "No connection, trying again…";
    if (state() === "away") say(text);
    else {
      enter("away", text);
      if (microphone) notice(AWAY[1]);
    }
    why();
  },
  over: () => {
    const told = viewing !== null ? "" : `All ${clock((1000 * line.position) / line.rate)} of sound arrived. `;
    quit();
    kept.put(sessionStorage, "session", null);
    enter("over", "Finished");
    card(["Finished", `${told}The result is kept by the server for a time: download it.`],
      ["Download…", () => $("save").click()], ...(viewing === null ? [["New session", restart]] : []));
  },
  failed: ({ code, error }) => {
    const lost = line.waiting ?? 0;
    quit();
    if (error?.code === "unauthorized") return needToken(token ? "That token is not accepted." : "");
    if (viewing !== null && error?.code === "unknown_session") return past();
    const [title, text] = ENDS[error?.code] ?? ["The session cannot go on", `The server says: ${error?.message ?? `closed with ${code}`}.`];
    const missing = lost >= 0.5 ? [`${Math.round(lost)} s of sound had not reached the server for sure.`] : [];
    enter("failed", title);
    card([title, [text, ...missing]], ...(viewing === null ? [["Start anew", restart]] : [["Try again", view]]));
  },
};

const MESSAGES = {
  "snapshot": () => shared || viewing !== null || line.say({ type: "session.share" }),
  "session.started": () => viewing !== null || line.say({ type: "session.share" }),
  "session.shared": (m) => { shared = { token: m.token ?? "" }; },
  "audio.ack": (m) => { processed = m.processed; },
  "turn.final": (m) => { if (m.latency_ms !== undefined) delays = [...delays.slice(-19), m.latency_ms]; },
  "session.finalizing": () => enter("finishing", "Finishing…"),
  "flow": (m) => say(m.state === "slow" && !file ? `The server is ${Math.round(m.lag_ms / 1000)} s behind` : liveText()),
  "warning": (m) => {
    if (m.code === "audio_gap") notice(`Missing sound: ${m.message}.`);
    else if (m.code.startsWith("captions")) notice(`${m.message}.`);
  },
  "error": (m) => m.fatal || notice(m.message),
};

const handlers = {
  state: (name, detail) => CHANGES[name](detail),
  message: (message) => {
    dirty = true;
    MESSAGES[message.type]?.(message);
  },
  storeFrom: (position) => new Store(position, KEPT_S * line.rate), // after a reload: what was heard before is there
};

const liveText = () => (file ? `Working on ${file}` : microphone?.muted ? "Live, muted" : "Live");

/** A refused connection does not say why; the server may. */
async function why() {
  try {
    const { ok } = await fetch("/readyz", { cache: "no-store" });
    if (!ok && state() === "away" && !line.session) say("The server is full or starting, trying again…");
  } catch { /* it is not there */ }
}

// -- one session ---------------------------------------------------------------------------------------------------

async function begin(saved = null) {
  enter("asking", "Waiting for the microphone…");
  card(SOUND.asking);
  microphone = new Microphone({ sound: heard, lost: lostMicrophone });
  try {
    const rate = await microphone.open($("device").value, processing());
    const same = saved?.rate === rate;
    document.body.classList.add("speaking");
    listDevices();
    navigator.wakeLock?.request("screen").catch(() => {});
    connect({ rate, saved: same ? saved : null, store: same ? null : new Store(0, KEPT_S * rate) });
  } catch (error) {
    quit();
    noSound(error);
  }
}

async function open(chosen) {
  if (BUSY.includes(state())) return notice("Finish this session first.");
  restart();
  enter("asking", `Reading ${chosen.name}…`);
  card([chosen.name, "The browser reads the recording; only its sound is sent."]);
  try {
    const { rate, samples } = await decode(chosen);
    const store = new Store(0);
    for (let at = 0; at < samples.length; at += rate) store.push(samples.subarray(at, at + rate));
    file = chosen.name;
    connect({ rate, store, mode: "file" });
    levels.put(0, samples);
  } catch (error) {
    noSound(error);
  }
}

function connect({ rate, store, saved = null, mode = "live" }) {
  levels = new Levels(rate);
  processed = 0;
  delays = [];
  const settle = Number($("settle").value), most = Number($("most").value);
  const options = { ...(settle && { max_delay_ms: settle }), ...(most && { speakers: { max: most } }) };
  line = new Speaker(handlers, { store, rate, mode, options, token, saved });
  line.start();
}

function heard(samples, peak) {
  meter(peak);
  if (!line?.store || line.ending) return;
  levels.put(line.store.end, samples);
  line.store.push(samples);
  if (line.store.lost) notice(`The server is away for too long: ${Math.round(line.store.lost / line.rate)} s of sound are lost.`);
  line.pump();
}

async function finish() {
  enter("finishing", "Finishing…");
  await microphone?.close();
  line.end();
}

function quit() {
  line?.stop();
  microphone?.close();
  microphone = null;
  document.body.classList.remove("speaking");
}

function restart() {
  quit();
  kept.put(sessionStorage, "session", null);
  line = levels = shared = null;
  file = "";
  for (const list of [$("log"), $("now"), $("tracks")]) {
    list.replaceChildren();
    list.known?.clear();
  }
  $("people").hidden = true;
  $("card").hidden = false;
  idle();
}

function view() {
  line = new Viewer(handlers, viewing, token);
  line.start();
}

/** A session that is over: its result, if it is kept. */
async function past() {
  try {
    const result = await (await fetchResult(viewing, "json", "final", token)).json();
    const { reducer } = line;
    const ids = new Map(result.speakers.map(({ label }, at) => [label, `S${at + 1}`]));
    for (const { label, name } of result.speakers) reducer.speakers.set(ids.get(label), { name, into: null });
    result.turns.forEach(({ start, end, speaker }, at) => reducer.final.set(at, { turn: `t${at}`, speaker: ids.get(speaker), start: 1000 * start, end: 1000 * end }));
    reducer.processedUntil = 1000 * result.duration;
    CHANGES.over();
  } catch {
    enter("failed", ENDS.unknown_session[0]);
    card(ENDS.unknown_session, ["Try again", view]);
  }
}

function needToken(problem) {
  const { store, rate, mode } = line;
  const ask = () => askToken(problem, (given) => {
    token = given;
    if (viewing !== null) view();
    else if (mode === "file") connect({ rate, store, mode });
    else begin();
  });
  enter("failed", TOKEN[0]);
  card(TOKEN, ["Enter the token", ask]);
  ask();
}

function comeBack() {
  const saved = JSON.parse(kept.get(sessionStorage, "session") ?? "null");
  if (!saved) return idle();
  enter("idle", RELOADED[0]);
  const over = () => {
    connect({ rate: saved.rate, saved, store: null });
    line.end();
  };
  card(RELOADED, ["Go on", () => begin(saved)], ["Finish it", over], ["Forget it", restart]);
}

// -- the microphone ------------------------------------------------------------------------------------------------

const processing = () => Object.fromEntries(["echoCancellation", "noiseSuppression", "autoGainControl"].map((name) => [name, $(name).checked]));

function meter(peak) {
  const level = Math.min(Math.sqrt(peak), 1);
  $("level").ariaValueNow = Math.round(100 * level);
  $("level").firstChild.style.setProperty("--level", level);
  loud = peak > 0.985 ? 20 : Math.max(loud - 1, 0);
  quiet = peak > 0.0005 || microphone?.muted ? Math.min(quiet + 1, 0) : quiet + 1;
  $("level").classList.toggle("clip", loud > 0);
  if (quiet >= 0 && !line?.ending) $("hint").textContent = loud ? "Too loud: turn the microphone down." : quiet > 80 ? "Nothing is heard. Is it the right microphone?" : "";
}

async function listDevices() {
  const chosen = $("device").value || kept.get(localStorage, "device") || "";
  const found = (await microphones()).filter((device) => device.deviceId !== "default");
  $("device").replaceChildren(make("option", { value: "", textContent: "Default" }),
    ...found.map(({ deviceId, label }, at) => make("option", { value: deviceId, textContent: label || `Microphone ${at + 1}` })));
  $("device").value = found.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
}

async function changeMicrophone(told = true) {
  if (!microphone) return;
  try {
    const away = await microphone.change($("device").value, processing());
    if (away > 0.3) line.store?.skip(Math.round(away * line.rate)); // the server hears of the gap
    say(liveText());
    listDevices();
  } catch (error) {
    if (told) notice(SOUND[reason(error)][0]);
  }
}

async function lostMicrophone() {
  notice("The microphone is gone. Plug it in again, or choose another one.");
  say("No microphone");
  for (let wait = 1000; microphone?.since; wait = Math.min(2 * wait, 8000)) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (microphone?.since) await changeMicrophone(false);
  }
}

function mute() {
  microphone?.mute(!microphone.muted);
  const muted = Boolean(microphone?.muted);
  $("mute").ariaPressed = String(muted);
  if (state() === "live") say(liveText());
}

// -- drawing -------------------------------------------------------------------------------------------------------

function draw() {
  const now = line?.reducer;
  if (!now) return;
  if (dirty) {
    dirty = false;
    const { any, more } = transcript.draw(now);
    $("earlier").hidden = !more;
    const { people: found, minutes } = people.draw(now);
    $("people").hidden = !found.length;
    $("people-title").lastChild.textContent = minutes > 1 ? `last ${minutes} minutes` : "last minute";
    $("card").hidden = any && BUSY.includes(state());
    if (!any && state() === "live") card(LISTENING[viewing === null ? "speaking" : "viewing"]);
    if (!any && state() === "away" && microphone) card(AWAY);
    follower.scroll();
  }
  facts(now);
}

function facts(now) {
  const { store, rate } = line;
  const heardMs = store ? (1000 * store.end) / rate : now.processedUntil;
  $("clock").textContent = file ? `${clock(now.processedUntil)} of ${clock(heardMs)}` : clock(heardMs);
  const settled = [...delays].sort((a, b) => a - b)[delays.length >> 1];
  const parts = [];
  if (state() === "away" && line.waiting) parts.push(`${Math.round(line.waiting)} s kept`);
  else if (store && !file && processed && state() === "live") parts.push(`${((store.end - processed) / rate).toFixed(1)} s`);
  if (settled !== undefined && !file) parts.push(`settled ${(settled / 1000).toFixed(1)} s`);
  if (file && state() === "live" && processed > store.end - 1.5 * rate) say("All of it is heard. Name the speakers, then finish");
  $("delay").textContent = parts.join(" · ") || "–";
  $("save").hidden = !line.session;
  $("share").hidden = !line.session || viewing !== null || !shared || state() === "over";
}

// -- everything together -------------------------------------------------------------------------------------------

const click = (id, run) => $(id).addEventListener("click", run);
click("stop", finish);
click("mute", mute);
click("share", () => offerLink(line.session, shared.token));
click("save", () => offerDownloads({ session: line.session, token: shared?.token || token, over: state() === "over" }));
$("device").onchange = () => {
  kept.put(localStorage, "device", $("device").value);
  changeMicrophone();
};
$("file").onchange = () => {
  const [chosen] = $("file").files;
  $("file").value = "";
  if (chosen) open(chosen);
};
navigator.mediaDevices?.addEventListener("devicechange", listDevices);
addEventListener("beforeunload", (event) => viewing === null && BUSY.includes(state()) && event.preventDefault());
looks(() => { dirty = true; });
listDevices();
if (viewing === null) {
  dropping(open);
  comeBack();
} else {
  document.body.classList.add("viewer");
  view();
}
setInterval(draw, 100);
