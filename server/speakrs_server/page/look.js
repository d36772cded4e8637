// How the page looks: theme, text size, and whether the captions follow the newest.

export const $ = (id) => document.getElementById(id);

/** What stays in this browser; a browser that keeps nothing is no fault. */
export const kept = {
  get(store, name) {
    try { return store.getItem(`speakrs ${name}`); } catch { return null; }
  },
  put(store, name, value) {
    try {
      if (value === null) store.removeItem(`speakrs ${name}`);
      else store.setItem(`speakrs ${name}`, value);
    } catch { /* not kept */ }
  },
};

export function looks(changed) {
  const root = document.documentElement;
  $("theme").value = root.dataset.theme;
  $("theme").onchange = () => {
    root.dataset.theme = $("theme").value;
    kept.put(localStorage, "theme", $("theme").value);
  };
  const resize = (by) => {
    const size = Math.min(Math.max(Number(root.style.getPropertyValue("--size")) + by, 0.85), 3).toFixed(2);
    root.style.setProperty("--size", size);
    kept.put(localStorage, "size", size);
    changed();
  };
  $("smaller").onclick = () => resize(-0.15);
  $("larger").onclick = () => resize(0.15);
}

/** Scrolls to the newest captions, until somebody scrolls up or pauses it. */
export class Follower {
  on = true;
  held = false; // by the button, so that reaching the end does not go on by itself

  constructor() {
    this.box = $("captions");
    $("hold").onclick = () => {
      this.held = this.on;
      this.set(!this.on);
    };
    $("newest").onclick = () => {
      this.held = false;
      this.set(true);
    };
    // What people do, not what happens to the position: it also moves when lines come and go.
    const listen = (type, up) => this.box.addEventListener(type, (event) => this.room > 4 && up(event) && this.set(false), { passive: true });
    listen("wheel", ({ deltaY }) => deltaY < 0);
    listen("touchmove", () => true);
    listen("keydown", ({ key }) => ["ArrowUp", "PageUp", "Home"].includes(key));
    listen("pointerdown", ({ target, offsetX }) => target === this.box && offsetX > this.box.clientWidth);
    new ResizeObserver(() => this.scroll()).observe(this.box);
    this.box.addEventListener("scrollend", () => !this.on && !this.held && this.left < 4 && this.set(true));
  }

  get room() {
    return this.box.scrollHeight - this.box.clientHeight;
  }

  get left() {
    return this.room - this.box.scrollTop;
  }

  set(on) {
    this.on = on;
    $("hold").ariaPressed = String(!on);
    this.scroll();
  }

  /** After something was drawn. */
  scroll() {
    if (this.on) this.box.scrollTop = this.box.scrollHeight;
    $("newest").hidden = this.on || this.left < 40;
  }
}

/** A file dropped anywhere on the page. */
export function dropping(take) {
  const over = (on) => document.body.classList.toggle("dropping", on);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget || over(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
}
