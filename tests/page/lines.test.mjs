import assert from "node:assert/strict";
import { test } from "node:test";
import { airtime, clock, lines, span } from "./page/lines.js";
import { Reducer } from "./page/reducer.js";

let seq = 0;
const told = (messages) => {
  seq = 0;
  const state = new Reducer();
  for (const message of messages()) state.push(message);
  return state;
};
const created = (speaker) => ({ type: "speaker.created", seq: ++seq, speaker, at_ms: 0 });
const merged = (speaker, into) => ({ type: "speaker.merged", seq: ++seq, speaker, into });
const final = (turn, speaker, start_ms, end_ms) => ({ type: "turn.final", seq: ++seq, turn, rev: 2, speaker, start_ms, end_ms });
const shown = (turn, speaker, start_ms, end_ms) => ({ type: "turn.provisional", turn, rev: 1, speaker, start_ms, end_ms });
const word = (id, speaker, start_ms, end_ms, text = id) => ({ id, speaker, start_ms, end_ms, text });
const labelled = (status, ...words) => ({ type: "words.labelled", status, words, ...(status === "final" && { seq: ++seq }) });

test("without words the turns are the lines, in order of time", () => {
  const state = told(() => [created("S1"), created("S2"), final("b", "S2", 5000, 9000), final("a", "S1", 0, 4000),
    shown("d", "S1", 9500, 12_000), shown("c", "S2", 9000, 9100), merged("S2", "S1")]);
  const { text, settled, open, more } = lines(state);
  assert.deepEqual([text, more], [false, false]);
  assert.deepEqual(settled.map((l) => [l.key, l.speaker, l.words]), [["a", "S1", null], ["b", "S1", null]]);
  assert.deepEqual(open.map((l) => l.key), ["d"]);
});

test("words become lines: one speaker, no long pause", () => {
  const state = told(() => [created("S1"), created("S2"), labelled("final", word("Good", "S1", 0, 300),
    word("morning.", "S1", 400, 900), word("Hello", "S2", 1000, 1400), word("there.", "S2", 3100, 3500)),
    labelled("provisional", word("How", "S1", 4000, 4200)), shown("x", "S2", 4100, 4300), shown("y", "S2", 5200, 6000)]);
  const { text, settled, open } = lines(state);
  assert.ok(text);
  assert.deepEqual(settled.map((l) => [l.speaker, l.words.join(" ")]), [["S1", "Good morning."], ["S2", "Hello"], ["S2", "there."]]);
  assert.deepEqual(open.map((l) => [l.speaker, l.words?.join(" ") ?? "speaking"]), [["S1", "How"], ["S2", "speaking"]]);
  state.push({ type: "words.relabelled", seq: ++seq, words: [{ id: "Hello", speaker: "S1" }], cause: 1 });
  assert.deepEqual(lines(state).settled.map((l) => l.words.join(" ")), ["Good morning. Hello", "there."]);
});

test("only the newest are shown, and that there are more is told", () => {
  const state = told(() => [created("S1"), ...Array.from({ length: 900 }, (_, n) => final(`t${n}`, "S1", n * 1000, n * 1000 + 900))]);
  const { settled, more } = lines(state);
  assert.deepEqual([settled.length, settled.at(-1).key, more], [800, "t899", true]);
});

test("airtime follows merges and knows who speaks now", () => {
  const state = told(() => [created("S1"), created("S2"), created("S10"), { type: "speaker.named", seq: ++seq, speaker: "S1", name: "Ann" },
    final("a", "S1", 0, 4000), final("b", "S2", 4000, 5000), shown("c", "S10", 5000, 8000),
    { type: "watermark", seq: ++seq, final_until_ms: 5000, processed_until_ms: 8200 }, merged("S2", "S1")]);
  assert.deepEqual(airtime(state).map(({ id, name, ms, now }) => [id, name, ms, now]), [["S1", "Ann", 5000, false], ["S10", "S10", 3000, true]]);
});

test("times", () => {
  assert.deepEqual([0, 75_400, 3_675_000].map(clock), ["0:00", "1:15", "1:01:15"]);
  assert.deepEqual([4321, 125_000].map(span), ["4.3 s", "2 min 5 s"]);
});
