// From the state to what stands on the page: lines of text where there are words, else turns. Pure.

const PAUSE_MS = 1500; // words further apart start a new line
const LONGEST = 60; // words of one line
const TURNS = 800, WORDS = 3000; // so many of the newest are shown

const long = (turn) => turn.end - turn.start >= 200; // nobody can read shorter ones; results have them
const byStart = (a, b) => a.start - b.start || a.end - b.end;

/** The last items of a map that keeps its order. */
function newest(map, most) {
  const values = [...map.values()];
  return { items: values.slice(-most), more: values.length > most };
}

/** {text, settled, open, more}: lines in order of time. A line: key, speaker (after merges), start, end, words or null. */
export function lines(state) {
  const { items: words, more } = newest(state.words, WORDS);
  const spoken = words.filter((word) => word.text);
  const open = [...state.open.values()].filter(long).sort(byStart).map((turn) => lineOf(state, turn));
  if (!spoken.length) {
    const { items, more } = newest(state.final, TURNS);
    return { text: false, settled: items.filter(long).sort(byStart).map((turn) => lineOf(state, turn)), open, more };
  }
  const settled = grouped(state, spoken.filter((word) => word.final).sort(byStart), "w");
  const unsettled = grouped(state, spoken.filter((word) => !word.final).sort(byStart), "p");
  const heard = Math.max(...spoken.slice(-200).map((word) => word.end));
  const waiting = open.filter((line) => line.end > heard + PAUSE_MS / 2);
  return { text: true, settled, open: [...unsettled, ...waiting], more };
}

function lineOf(state, { turn, speaker, start, end }) {
  return { key: turn, speaker: state.who(speaker), start, end, words: null };
}

function grouped(state, words, kind) {
  const found = [];
  for (const word of words) {
    const speaker = state.who(word.speaker), last = found.at(-1);
    const fits = last && last.speaker === speaker && word.start - last.end < PAUSE_MS && last.words.length < LONGEST;
    if (fits) {
      last.words.push(word.text);
      last.end = Math.max(last.end, word.end);
    } else {
      found.push({ key: `${kind}${word.start}`, speaker, start: word.start, end: word.end, words: [word.text] });
    }
  }
  return found;
}

/** Speakers that are there, oldest first, with what they said: [{id, name, ms, turns, now}] */
export function airtime(state) {
  const found = new Map();
  for (const id of state.speakers.keys()) {
    const who = state.who(id);
    if (!found.has(who)) found.set(who, { id: who, name: state.label(who), ms: 0, turns: 0, now: false });
  }
  const count = (turn, final) => {
    const who = found.get(state.who(turn.speaker));
    if (!who) return;
    who.ms += turn.end - turn.start;
    who.turns += 1;
    who.now ||= !final && turn.end > state.processedUntil - 700;
  };
  for (const turn of state.final.values()) count(turn, true);
  for (const turn of state.open.values()) count(turn, false);
  return [...found.values()].filter((who) => who.ms > 0).sort((a, b) => number(a.id) - number(b.id));
}

export const number = (id) => Number(id.slice(1)) || 0;

/** 75.4 s -> 1:15; 3675 s -> 1:01:15 */
export function clock(ms) {
  const s = Math.max(Math.floor(ms / 1000), 0), two = (value) => String(value).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

/** How long in words of a listener: 4.3 s, 2 min 5 s */
export function span(ms) {
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}
