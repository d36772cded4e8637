// Sound in: a microphone through an AudioWorklet, or a whole file.

const WANTED_RATE = 16_000; // what the networks listen at; a browser that cannot capture at it sends its own

/** Why there is no sound, as a word the page has a text for. */
export const reason = (error) => ({
  NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "none", OverconstrainedError: "none",
  NotReadableError: "busy", AbortError: "busy",
})[error.name] ?? (error.name === "EncodingError" ? "nosound" : "unknown");

/** Microphones there are; their names are told once one was allowed. */
export async function microphones() {
  const found = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return found.filter((device) => device.kind === "audioinput" && device.deviceId);
}

export class Microphone {
  /** on: {sound(samples, peak), lost()} — lost: the device is gone */
  constructor(on) {
    this.on = on;
    this.muted = false;
  }

  /** Ask for the microphone; resolves to the sample rate. */
  async open(device, processing) {
    if (!navigator.mediaDevices) throw Object.assign(new Error(), { name: "insecure" });
    const stream = await this.ask(device, processing);
    try {
      [this.context, this.source] = await this.listen(stream, { sampleRate: WANTED_RATE });
    } catch { // some browsers only capture at the device's own rate
      [this.context, this.source] = await this.listen(stream, {});
    }
    this.node = new AudioWorkletNode(this.context, "gather", { numberOfOutputs: 0 });
    this.node.port.onmessage = ({ data }) => (data ? this.on.sound(data.samples, data.peak) : this.over?.());
    this.context.onstatechange = () => this.context.state !== "running" && this.pause();
    this.source.connect(this.node);
    return this.context.sampleRate;
  }

  async ask(device, processing) {
    const audio = { channelCount: 1, ...processing, ...(device && { deviceId: { exact: device } }) };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    [this.track] = stream.getAudioTracks();
    this.track.enabled = !this.muted;
    this.track.onended = () => this.pause();
    return stream;
  }

  async listen(stream, options) {
    const context = new AudioContext({ latencyHint: "balanced", ...options });
    try {
      const source = context.createMediaStreamSource(stream);
      await context.audioWorklet.addModule("/page/worklet.js");
      await context.resume();
      return [context, source];
    } catch (error) {
      await context.close();
      throw error;
    }
  }

  pause() {
    if (this.closed || this.since) return;
    this.since = Date.now();
    this.on.lost();
  }

  /** Go on with this or another device; resolves to the seconds in which nothing was heard. */
  async change(device, processing) {
    const old = this.track, began = this.since ?? Date.now();
    const stream = await this.ask(device, processing);
    old.onended = null;
    old.stop();
    this.source.disconnect();
    this.source = this.context.createMediaStreamSource(stream);
    this.source.connect(this.node);
    await this.context.resume();
    this.since = null;
    return (Date.now() - began) / 1000;
  }

  mute(muted) {
    this.muted = muted;
    if (this.track) this.track.enabled = !muted;
  }

  /** Stop; what was heard up to now is handed over first. */
  async close() {
    this.closed = true;
    if (this.node && this.context.state === "running") {
      await new Promise((resolve) => {
        this.over = resolve;
        this.node.port.postMessage("end");
        setTimeout(resolve, 500);
      });
    }
    this.track?.stop();
    if (this.context?.state !== "closed") await this.context?.close();
  }
}

/** A file as mono 16-bit samples; resolves to {rate, samples}. */
export async function decode(file) {
  const context = new OfflineAudioContext(1, 1, WANTED_RATE);
  const sound = await context.decodeAudioData(await file.arrayBuffer());
  const channels = Array.from({ length: sound.numberOfChannels }, (_, at) => sound.getChannelData(at));
  const samples = new Int16Array(sound.length);
  for (let at = 0; at < samples.length; at++) {
    let value = 0;
    for (const channel of channels) value += channel[at];
    value = Math.round((value / channels.length) * 32767);
    samples[at] = Math.max(-32768, Math.min(32767, value));
  }
  return { rate: WANTED_RATE, samples };
}

/** How loud each tenth of a second is, for drawing: 0 to 1, where 1 is the loudest of all. */
export class Levels {
  constructor(rate) {
    this.step = rate / 10;
    this.values = [];
    this.most = 0.02;
  }

  at(tenth) {
    return Math.min((this.values[tenth] ?? 0) / this.most, 1);
  }

  put(at, samples) {
    for (let from = 0; from < samples.length; from += this.step) {
      const piece = samples.subarray(Math.round(from), Math.round(from + this.step));
      const level = Math.sqrt(piece.reduce((sum, sample) => sum + sample * sample, 0) / piece.length) / 32768;
      this.values[Math.round((at + from) / this.step)] = level;
      this.most = Math.max(this.most, level);
    }
  }
}
