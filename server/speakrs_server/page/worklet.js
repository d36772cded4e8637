// Runs beside the page's own thread: gathers tenths of a second of sound as 16-bit samples.

registerProcessor("gather", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = Math.round(sampleRate / 10);
    this.start();
    this.port.onmessage = () => { // no more is wanted: hand over what there is
      this.hand();
      this.port.postMessage(null);
      this.over = true;
    };
  }

  start() {
    this.samples = new Int16Array(this.size);
    this.count = this.peak = 0;
  }

  hand() {
    const samples = this.samples.slice(0, this.count);
    if (this.count) this.port.postMessage({ samples, peak: this.peak }, [samples.buffer]);
    this.start();
  }

  process([channels]) {
    for (let at = 0; at < (channels[0]?.length ?? 0); at++) {
      let value = 0;
      for (const channel of channels) value += channel[at] / channels.length;
      this.peak = Math.max(this.peak, Math.abs(value));
      this.samples[this.count++] = Math.max(-32768, Math.min(32767, Math.round(value * 32767)));
      if (this.count === this.size) this.hand();
    }
    return !this.over;
  }
});
