// Folds the messages of speakrs.v1 into what is shown. The rules stand in clients/speakrs_clients/reducer.py; a test
// runs both on the same messages.

export class Reducer {
  seq = 0; // of the last durable message
  session = "";
  open = new Map(); // turns that may still change, by name
  final = new Map(); // turns that are settled, in the order in which they settled
  retracted = new Set();
  speakers = new Map(); // name -> {name, into}
  words = new Map(); // the recognizer's name for a word -> {speaker, final, text, start, end}
  batches = new Map(); // name -> names of its words that are not settled
  finalUntil = 0; // ms
  processedUntil = 0; // ms
  ended = false;

  /** Apply a message; whether it was news. Throws where a durable message is missing in front of it. */
  push(message) {
    const { type, seq } = message;
    if (seq !== undefined) {
      if (seq <= this.seq) return false;
      if (seq !== this.seq + 1) throw new Error(`message ${seq} follows message ${this.seq}`);
      this.seq = seq;
    }
    const apply = RULES[type];
    return apply === undefined ? seq !== undefined : (apply(this, message) ?? true);
  }

  /** The speaker that stands for another after all merges. */
  who(speaker) {
    for (let left = this.speakers.size; left > 0; left--) {
      const into = this.speakers.get(speaker)?.into;
      if (!into) break;
      speaker = into;
    }
    return speaker;
  }

  /** What to show: the name where there is one. */
  label(speaker) {
    const who = this.who(speaker);
    return this.speakers.get(who)?.name || who;
  }

  /** The state as the Python reducer writes it. */
  plain() {
    const turns = {};
    for (const [map, final] of [[this.open, false], [this.final, true]]) {
      for (const [name, t] of map) {
        turns[name] = { rev: t.rev, speaker: t.speaker, start_ms: t.start, end_ms: t.end, final };
      }
    }
    const speakers = {}, words = {};
    for (const [id, s] of this.speakers) speakers[id] = { name: s.name, merged_into: s.into };
    for (const [id, w] of this.words) words[id] = { speaker: w.speaker, final: w.final };
    return {
      seq: this.seq, session: this.session, turns, retracted: [...this.retracted].sort(), speakers, words,
      final_until_ms: this.finalUntil, processed_until_ms: this.processedUntil, ended: this.ended,
    };
  }
}

const turn = (m) => ({ turn: m.turn, rev: m.rev, speaker: m.speaker, start: m.start_ms, end: m.end_ms });

function show(state, m) {
  const known = state.open.get(m.turn);
  if (state.final.has(m.turn) || state.retracted.has(m.turn) || (known && m.rev <= known.rev)) return false;
  state.open.set(m.turn, turn(m));
}

function know(state, speaker, change = {}) {
  state.speakers.set(speaker, { name: null, into: null, ...state.speakers.get(speaker), ...change });
}

function mark(state, m) {
  state.finalUntil = Math.max(state.finalUntil, m.final_until_ms);
  state.processedUntil = Math.max(state.processedUntil, m.processed_until_ms);
}

function replace(state, m) {
  const kept = new Set(m.open_turns.map((t) => t.turn));
  for (const name of [...state.open.keys()]) if (!kept.has(name)) state.open.delete(name);
  for (const t of m.open_turns) show(state, t);
  for (const s of m.speakers) {
    if (!state.speakers.has(s.speaker) || m.as_of >= state.seq) {
      know(state, s.speaker, { name: s.name ?? null, into: s.merged_into ?? null });
    }
  }
  mark(state, m);
}

// Which words of a batch are not settled, after a message about it; those it took back vanish.
function batch(state, name, told, final) {
  const gone = [...(state.batches.get(name) ?? [])].filter((id) => !told.has(id));
  const left = final ? gone : [...told].filter((id) => !state.words.get(id).final);
  if (!final) for (const id of gone) if (!state.words.get(id)?.final) state.words.delete(id);
  if (left.length) state.batches.set(name, new Set(left));
  else state.batches.delete(name);
}

const RULES = {
  "turn.provisional": show,
  "turn.final": (state, m) => {
    state.open.delete(m.turn);
    state.final.set(m.turn, turn(m));
  },
  "turn.retracted": (state, m) => {
    state.open.delete(m.turn);
    state.retracted.add(m.turn);
  },
  "speaker.created": (state, m) => know(state, m.speaker),
  "speaker.merged": (state, m) => know(state, m.speaker, { into: m.into }),
  "speaker.named": (state, m) => know(state, m.speaker, { name: m.name }),
  "watermark": mark,
  "words.labelled": (state, m) => {
    const final = m.status === "final";
    for (const w of m.words) {
      if (final || !state.words.get(w.id)?.final) {
        state.words.set(w.id, { speaker: w.speaker, final, text: w.text, start: w.start_ms, end: w.end_ms });
      }
    }
    if (m.batch !== undefined) batch(state, m.batch, new Set(m.words.map((w) => w.id)), final);
  },
  "words.relabelled": (state, m) => {
    for (const w of m.words) state.words.set(w.id, { ...state.words.get(w.id), speaker: w.speaker, final: true });
  },
  "snapshot": replace,
  "session.started": (state, m) => { state.session = m.session; },
  "session.resumed": (state, m) => { state.session = m.session; },
  "session.final": (state) => {
    state.ended = true;
    for (const [id, word] of [...state.words]) if (!word.final) state.words.delete(id);
    state.batches.clear();
  },
};
