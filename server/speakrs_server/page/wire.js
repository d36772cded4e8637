// What goes over the socket, without the socket: audio frames, who may come back after a close, how fast to send.

export const SUBPROTOCOL = "speakrs.v1";
const HEADER = 16;
const DISCONTINUITY = 1;

/** An audio frame: header (big-endian) and 16-bit samples (little-endian). */
export function pack(samples, offset, number, discontinuity) {
  const data = new ArrayBuffer(HEADER + 2 * samples.length);
  const view = new DataView(data);
  view.setUint8(0, 1);
  view.setUint8(1, discontinuity ? DISCONTINUITY : 0);
  view.setUint32(4, number >>> 0);
  view.setBigUint64(8, BigInt(offset));
  for (let at = 0; at < samples.length; at++) view.setInt16(HEADER + 2 * at, samples[at], true);
  return data;
}

/** Whether to connect again after a close: never by ourselves after 44xx, and not when all is done. */
export const mayReturn = (code) => code !== 1000 && !(code >= 4400 && code < 4500);

/** Milliseconds to wait before attempt 0, 1, 2 …: 0.3 s doubled up to 10 s, at random. */
export const backoff = (attempt, chance = Math.random()) => Math.min(300 * 2 ** attempt, 10_000) * (0.5 + chance / 2);

/** So many samples per second with a burst: a live session must not be sent faster than the server allows. */
export class Bucket {
  constructor(rate, burst, now) {
    Object.assign(this, { rate, burst, level: burst, at: now });
  }

  /** Whether so many fit now; they count only if they do. now: seconds */
  take(amount, now) {
    this.level = Math.min(this.burst, this.level + (now - this.at) * this.rate);
    this.at = now;
    if (amount > this.level) return false;
    this.level -= amount;
    return true;
  }
}

/** Sound that the server does not have for sure yet; positions count samples since the start of the session. */
export class Store {
  /** limit: samples kept at most; what falls out is counted as lost, never silently. */
  constructor(start = 0, limit = Infinity) {
    Object.assign(this, { base: start, end: start, limit, lost: 0, pieces: [] });
  }

  push(samples) {
    this.pieces.push({ at: this.end, samples });
    this.end += samples.length;
    while (this.end - this.base > this.limit) this.drop();
  }

  /** Time in which nothing was heard: a microphone that was away. */
  skip(samples) {
    this.end += samples;
  }

  drop() {
    const piece = this.pieces.shift();
    this.lost += piece.samples.length;
    this.base = this.pieces[0]?.at ?? this.end;
  }

  /** Forget what the server keeps. */
  trim(until) {
    while (this.pieces.length && this.pieces[0].at + this.pieces[0].samples.length <= until) this.pieces.shift();
    this.base = this.pieces[0]?.at ?? this.end;
  }

  /** Up to `most` samples from a position on, and where they really begin; null where there are none yet. */
  read(position, most) {
    let low = 0, high = this.pieces.length;
    while (low < high) {
      const middle = (low + high) >> 1, piece = this.pieces[middle];
      if (piece.at + piece.samples.length <= position) low = middle + 1;
      else high = middle;
    }
    const piece = this.pieces[low];
    if (!piece) return null;
    const from = Math.max(position - piece.at, 0);
    return { at: piece.at + from, samples: piece.samples.subarray(from, from + most) };
  }
}
