// From lines and speakers to elements; only what changed is touched, so that nothing flickers or is read out twice.

import { airtime, clock, lines, number, span } from "./lines.js";

const COLOURS = 7; // as in every picture of a result: beyond seven speakers the colours return, striped
const LANE_MS = 300_000; // what a speaker's row shows at most; a minute at least
const SVG = "http://www.w3.org/2000/svg";
const MOST_BARS = 90;

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function drawing(className, path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  for (const name of path) {
    const shape = svg.appendChild(document.createElementNS(SVG, "path"));
    shape.setAttribute("class", name);
  }
  return svg;
}

function paint(element, id, name) {
  const at = number(id) - 1;
  element.dataset.colour = at < 0 ? "none" : at % COLOURS;
  element.dataset.lap = at < 0 ? 0 : Math.floor(at / COLOURS) % 3;
  const avatar = element.querySelector(".avatar");
  avatar.textContent = /^S\d+$/.test(name) ? name.slice(1) : at < 0 ? "?" : [...name.trim()][0].toLocaleUpperCase();
}

export const shownName = (name) => (name === "UU" ? "Somebody" : name.replace(/^S(?=\d+$)/, "Speaker "));

/** Make the children of a list those of `items`, in order; draw(element, item, before) fills one. */
function sync(list, items, create, draw) {
  const known = (list.known ??= new Map());
  const keys = new Set(items.map((item) => item.key));
  for (const [key, element] of known) {
    if (!keys.has(key)) {
      element.remove();
      known.delete(key);
    }
  }
  let next = list.firstElementChild, before = null;
  for (const item of items) {
    let element = known.get(item.key);
    if (!element) known.set(item.key, (element = create(item)));
    draw(element, item, before);
    if (element === next) next = next.nextElementSibling;
    else list.insertBefore(element, next);
    before = item;
  }
}

export class Transcript {
  /** log, now: lists of settled and of open lines; levels(): how loud it was, where that is known */
  constructor(log, now, levels) {
    Object.assign(this, { log, now, levels });
  }

  /** Whether there is anything to see, and more than is shown. */
  draw(state) {
    const { settled, open, more } = lines(state);
    const fill = (final) => (element, line, before) => this.fill(element, line, before, final, state);
    sync(this.log, settled, () => this.create(), fill(true));
    sync(this.now, open, () => this.create(), fill(false));
    return { any: settled.length + open.length > 0, more };
  }

  create() {
    const head = make("div", { className: "head" }, make("b", { dir: "auto" }), " ", make("time"));
    return make("li", { className: "line" }, make("span", { className: "avatar", ariaHidden: "true" }), head,
      make("p", { className: "said", dir: "auto" }));
  }

  fill(element, line, before, final, state) {
    const name = state.label(line.speaker);
    const same = before?.speaker === line.speaker && line.start - before.end < 20_000;
    const live = !final && line.end > state.processedUntil - 700;
    const mark = [line.speaker, name, line.start, line.end, line.words?.length, same, live].join();
    if (element.mark === mark) return;
    element.mark = mark;
    if (element.speaker && element.speaker !== line.speaker) {
      element.classList.remove("changed");
      requestAnimationFrame(() => element.classList.add("changed"));
    }
    element.speaker = line.speaker;
    element.classList.toggle("same", same);
    element.classList.toggle("live", live);
    element.classList.toggle("text", Boolean(line.words));
    paint(element, line.speaker, name);
    element.querySelector("b").textContent = shownName(name);
    element.querySelector("time").textContent = clock(line.start);
    const said = element.querySelector(".said");
    if (line.words) this.write(said, line.words);
    else this.sketch(said, line, final, live);
  }

  write(said, words) {
    const shown = said.shown ?? [];
    const grows = words.length >= shown.length && shown.every((word, at) => word === words[at]);
    if (!grows) said.replaceChildren();
    for (const word of words.slice(grows ? shown.length : 0)) said.append(make("span", { textContent: word }), " ");
    said.shown = words;
  }

  sketch(said, line, final, live) {
    if (!said.strip) {
      said.replaceChildren(make("span", { className: "hidden", textContent: "spoke for " }),
        (said.strip = drawing("strip", ["bars"])), (said.long = make("span", { className: "long" })));
    }
    const steps = Math.max(Math.round((line.end - line.start) / 100), 1), every = Math.ceil(steps / MOST_BARS);
    const levels = this.levels(), first = Math.round(line.start / 100);
    let path = "";
    const bars = Math.ceil(steps / every);
    for (let bar = 0; bar < bars; bar++) {
      let level = 0;
      for (let at = 0; at < every; at++) level = Math.max(level, levels?.at(first + bar * every + at) ?? 0);
      const half = 1 + level * 10;
      path += `M${bar * 5 + 2.5} ${(13 - half).toFixed(1)}v${(2 * half).toFixed(1)}`;
    }
    said.strip.setAttribute("viewBox", `0 0 ${bars * 5} 26`);
    said.strip.style.width = `${bars * 5}px`;
    said.strip.firstChild.setAttribute("d", path);
    said.long.textContent = live ? "speaking…" : span(line.end - line.start) + (final ? "" : " …");
  }
}

export class People {
  /** on: {rename(id, name), merge(person)} or null where nothing can be changed */
  constructor(list, on) {
    Object.assign(this, { list, on, editable: Boolean(on) });
  }

  draw(state) {
    const people = airtime(state).map((person) => ({ ...person, key: person.id }));
    const all = people.reduce((sum, person) => sum + person.ms, 0) || 1;
    const width = Math.min(Math.max(state.processedUntil, LANE_MS / 5), LANE_MS);
    const lanes = this.lanes(state, Math.max(state.processedUntil, width) - width);
    sync(this.list, people, (person) => this.create(person), (row, person) => {
      paint(row, person.id, person.name);
      row.classList.toggle("live", person.now);
      const name = shownName(person.name);
      if (!row.querySelector("input")) {
        row.who.textContent = name;
        row.who.disabled = !this.editable;
        row.who.ariaLabel = this.editable ? `Rename ${name}` : name;
      }
      row.merge.hidden = !this.editable || people.length < 2;
      row.merge.ariaLabel = `Merge ${name} with another speaker`;
      row.share.textContent = `${Math.round((100 * person.ms) / all)} %`;
      row.time.textContent = clock(person.ms);
      row.bar.style.setProperty("--share", person.ms / all);
      row.lane.setAttribute("viewBox", `0 0 ${width / 100} 10`);
      row.lane.children[0].setAttribute("d", lanes.get(person.id)?.final ?? "");
      row.lane.children[1].setAttribute("d", lanes.get(person.id)?.open ?? "");
    });
    return { people, minutes: Math.ceil(width / 60_000) };
  }

  create(person) {
    const row = make("li", { className: "person" }, make("span", { className: "avatar", ariaHidden: "true" }));
    row.who = make("button", { className: "who", dir: "auto", onclick: () => this.edit(row, person.id) });
    row.lane = drawing("lane", ["final", "open"]);
    row.lane.setAttribute("preserveAspectRatio", "none");
    row.bar = make("span", { className: "bar", ariaHidden: "true" });
    row.share = make("span", { className: "share" });
    row.time = make("span", { className: "time" });
    row.merge = make("button", { className: "quiet merge", textContent: "Merge", onclick: () => this.on.merge(person.id) });
    row.append(row.who, row.lane, row.bar, row.share, row.time, row.merge);
    return row;
  }

  edit(row, id) {
    const input = make("input", { value: shownName(row.who.textContent), maxLength: 60, dir: "auto", spellcheck: false });
    input.ariaLabel = `New name of ${row.who.textContent}`;
    const done = (keep) => {
      if (!input.isConnected) return;
      const name = input.value.trim();
      const changed = keep && name && name !== row.who.textContent;
      if (changed) row.who.textContent = name;
      input.onblur = null;
      input.replaceWith(row.who);
      if (changed) this.on.rename(id, name);
      return row.who;
    };
    input.onkeydown = (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault(); // or the button that comes back would be pressed
      done(event.key === "Enter")?.focus();
    };
    input.onblur = () => done(true);
    row.who.replaceWith(input);
    input.select();
  }

  /** For every speaker the shapes of its turns in the last five minutes. */
  lanes(state, from) {
    const found = new Map();
    const put = (turn, kind) => {
      if (turn.end <= from) return;
      const who = state.who(turn.speaker), x = Math.max(turn.start - from, 0) / 100;
      if (!found.has(who)) found.set(who, { final: "", open: "" });
      found.get(who)[kind] += `M${x.toFixed(1)} 0h${Math.max((turn.end - from) / 100 - x, 3).toFixed(1)}v10H${x.toFixed(1)}z`;
    };
    for (const turn of state.final.values()) put(turn, "final");
    for (const turn of state.open.values()) put(turn, "open");
    return found;
  }
}
