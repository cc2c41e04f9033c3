// Frames out, numbers in: at most two frames are under way, and one that would be late is never sent.

// Gives what the stage needs to know of an avatar; `base` is the address of the server's /live/.
export const describeFrom = (base) => async (name) => {
  const place = new URL(`avatars/${encodeURIComponent(name)}.json`, base);
  const reply = await fetch(place);
  if (!reply.ok) throw new Error(name);
  const told = await reply.json();
  return { ...told, url: new URL(told.url, place).href };
};

// Ticks in a thread of its own: a page that is hidden gets neither frames of a video nor timers of its own.
function ticker(milliseconds, tick) {
  const code = `setInterval(() => postMessage(0), ${milliseconds});`;
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  worker.onmessage = tick;
  return worker;
}

export class Link {
  // `heard` gets every answer with the time at which its frame was captured, `failed` the error that ends the link.
  constructor(video, address, { width, heard, failed }) {
    Object.assign(this, { video, address, width, heard, failed });
    [this.underWay, this.trip, this.sent, this.isPaused, this.isOpen] = [0, 100, 0, false, true];
    this.canvas = document.createElement("canvas");
    this.ticker = ticker(33, () => document.hidden && this.wake?.(performance.now()));
    this.run();
  }

  async run() {
    while (this.isOpen) {
      const captured = await this.nextFrame();
      const isBusy = this.underWay > 1 || (this.underWay && captured - this.sent < this.trip / 2);
      if (this.isOpen && !this.isPaused && !isBusy && this.video.videoWidth) this.send(captured);
    }
  }

  // Resolves with the time at which the frame now shown was captured, in milliseconds of performance.now().
  nextFrame() {
    const { video } = this;
    return new Promise((done) => {
      let forget; // a page that is hidden gets no frames, and would keep every request
      if (video.requestVideoFrameCallback) {
        const asked = video.requestVideoFrameCallback((now, data) => done(data.captureTime || now));
        forget = () => video.cancelVideoFrameCallback(asked);
      } else {
        const asked = requestAnimationFrame(done);
        forget = () => cancelAnimationFrame(asked);
      }
      this.wake = (now) => {
        forget();
        done(now);
      };
    });
  }

  async send(captured) {
    this.underWay++;
    this.sent = captured;
    const started = performance.now();
    try {
      const body = await this.grab();
      const reply = await (await fetch(`${this.address}&time=${captured / 1000}`, { method: "POST", body })).json();
      this.trip += 0.2 * (performance.now() - started - this.trip);
      if (!this.isOpen) return;
      if (reply.error) throw new Error(reply.error);
      if (reply.avatars) this.heard(reply, captured);
    } catch (error) {
      if (!this.isOpen) return;
      this.close();
      this.failed(error);
    } finally {
      this.underWay--;
    }
  }

  grab() {
    const { video, canvas } = this;
    canvas.width = Math.min(this.width, video.videoWidth);
    canvas.height = Math.round(canvas.width * video.videoHeight / video.videoWidth);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.8));
  }

  close() {
    this.isOpen = false;
    this.ticker.terminate();
  }
}
