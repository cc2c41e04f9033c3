// Live: camera -> server -> picture, one frame under way at a time, so that late frames are never sent.

import { call as callServer, say as sayOn } from "../common/page.js";

export function start({ element, props, server, watch, words, language, AVATAR, REGIONS }) {
  const root = element.querySelector(".fa-live");
  const WIDTH = 480;
  const state = { key: null, stream: null, avatar: AVATAR, smoothing: 0.3, gain: 1, head: true, framing: "face", regions: {} };
  const canvas = document.createElement("canvas");

  root.innerHTML = `
    <div class="fa-live-pair">
      <figure><video muted playsinline></video><p>${words.camera}</p></figure>
      <figure><img alt="${words.avatar}"><p>${words.avatar}</p></figure>
    </div>
    <div class="fa-live-row">
      <button class="fa-main" data-do="toggle">${words.start}</button>
      <button class="fa-side" data-do="calibrate" disabled>${words.calibrate}</button>
      <output class="fa-live-rate" aria-live="off"></output>
    </div>
    <p class="fa-live-say" role="status">${words.hint}</p>
    <div class="fa-live-cast" role="radiogroup" aria-label="${words.cast}"></div>
    <div class="fa-live-settings">
      <label>${words.smoothing}<input type="range" data-set="smoothing" min="0" max="1" step="0.05" value="0.3"></label>
      <label>${words.gain}<input type="range" data-set="gain" min="0" max="2" step="0.05" value="1"></label>
      <label class="fa-live-check"><input type="checkbox" data-set="head" checked>${words.head}</label>
      <label>${words.framing}<select data-set="framing">
        <option value="face">${words["framing.face"]}</option><option value="bust">${words["framing.bust"]}</option>
      </select></label>
    </div>
    <details class="fa-live-regions">
      <summary>${words.regions}</summary>
      <div class="fa-live-settings">${Object.entries(REGIONS[language]).map(([name, label]) => `
        <label>${label}<input type="range" data-region="${name}" min="0" max="2" step="0.05" value="1"></label>`).join("")}
      </div>
    </details>`;

  const [video, picture] = [root.querySelector("video"), root.querySelector("img")];
  const [toggle, calibrate] = root.querySelectorAll("button");
  const [rate, line] = [root.querySelector(".fa-live-rate"), root.querySelector(".fa-live-say")];

  const say = (text, isTrouble) => sayOn(line, text, isTrouble);
  const call = (name, request) => callServer(server, name, { key: state.key, language, ...request });

  // ---- the cast

  async function showCast() {
    const cast = root.querySelector(".fa-live-cast");
    const buttons = (await call("cast", { own: props.value })).avatars.map(({ name, label, portrait }) => {
      const button = document.createElement("button");
      button.setAttribute("role", "radio");
      button.setAttribute("aria-checked", name === state.avatar);
      button.append(Object.assign(new Image(), { src: portrait, alt: "" }), label);
      button.onclick = () => {
        state.avatar = name;
        cast.querySelectorAll("button").forEach((other) => other.setAttribute("aria-checked", other === button));
      };
      return button;
    });
    cast.replaceChildren(...buttons);
  }

  // ---- frames

  // Resolves with the time at which the frame now shown was captured, in milliseconds of performance.now().
  const nextFrame = () => new Promise((done) => {
    if (!video.requestVideoFrameCallback) return requestAnimationFrame(done);
    video.requestVideoFrameCallback((now, data) => done(data.captureTime || now));
  });

  function grab() {
    canvas.width = Math.min(WIDTH, video.videoWidth);
    canvas.height = Math.round(canvas.width * video.videoHeight / video.videoWidth);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL("image/jpeg", 0.8);
  }

  const painted = () => new Promise((done) => requestAnimationFrame((now) => setTimeout(() => done(now))));

  async function run(stream) {
    const seen = [];
    let isFound = true;
    while (state.stream === stream && element.isConnected && root.offsetParent) {
      const captured = await nextFrame();
      if (state.stream !== stream) return;
      const { avatar, smoothing, gain, head, framing, regions } = state;
      const settings = { smoothing, gain, head, framing, regions };
      const reply = await call("step", { jpeg: grab(), time: performance.now() / 1000, avatar, ...settings });
      if (state.stream !== stream) return;
      picture.src = reply.picture;
      await picture.decode().catch(() => {});
      seen.push([await painted(), performance.now() - captured]);
      if (seen.length > 30) seen.shift();
      if (reply.found !== isFound) {
        isFound = reply.found;
        say(isFound ? words.running : words.lost, !isFound);
      }
      if (seen.length > 2) showRate(seen);
    }
  }

  function showRate(seen) {
    const now = seen[seen.length - 1][0];
    if (now - (rate.dataset.at || 0) < 500) return;
    const latencies = seen.map(([, latency]) => latency).sort((a, b) => a - b);
    rate.dataset.at = now;
    rate.dataset.fps = (1000 * (seen.length - 1) / (now - seen[0][0])).toFixed(1);
    rate.dataset.latency = latencies[latencies.length >> 1].toFixed(0);
    rate.textContent = words.rate.replace("{fps}", rate.dataset.fps).replace("{latency}", rate.dataset.latency);
  }

  // ---- start and stop

  async function openCamera() {
    if (!navigator.mediaDevices) throw new Error(words.insecure);
    try {
      return await navigator.mediaDevices.getUserMedia({
        video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, facingMode: "user" },
      });
    } catch (error) {
      throw new Error(error.name === "NotAllowedError" ? words.refused : words.no_camera);
    }
  }

  async function begin() {
    toggle.disabled = true;
    say(words.starting);
    let stream = null;
    try {
      stream = state.stream = await openCamera();
      video.srcObject = stream;
      await video.play();
      state.key = (await call("start", { avatar: state.avatar })).key;
      root.classList.add("fa-live-on");
      [toggle.textContent, toggle.disabled, calibrate.disabled] = [words.stop, false, false];
      say(words.running);
      await run(stream);
      if (state.stream === stream) end(words.hint);
    } catch (error) {
      if (state.stream === stream) end(error.message, true);
    }
  }

  function end(text, isTrouble = false) {
    for (const track of state.stream?.getTracks() || []) track.stop();
    if (state.key) call("stop", {}).catch(() => {});
    [state.stream, state.key, video.srcObject] = [null, null, null];
    [toggle.textContent, toggle.disabled, calibrate.disabled] = [words.start, false, true];
    root.classList.remove("fa-live-on");
    rate.textContent = "";
    say(text, isTrouble);
  }

  toggle.onclick = () => (state.stream ? end(words.hint) : begin());
  calibrate.onclick = () => call("calibrate", {}).then(() => say(words.calibrated), (error) => say(error.message, true));
  root.querySelectorAll("[data-set]").forEach((input) => {
    const value = { checkbox: () => input.checked, range: () => Number(input.value) }[input.type] || (() => input.value);
    input.oninput = () => { state[input.dataset.set] = value(); };
  });
  root.querySelectorAll("[data-region]").forEach((input) => {
    input.oninput = () => { state.regions[input.dataset.region] = Number(input.value); };
  });
  window.addEventListener("pagehide", () => state.stream && end(""));
  watch("value", () => {
    if (!root.isConnected) element.querySelector(".fa-live").replaceWith(root); // Gradio drew its template again
    showCast();
  });
  showCast();
}
