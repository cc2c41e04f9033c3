// Live: the camera's frames go to the server, numbers come back, and the stage draws what they say.

import { call as callServer, fill, say as sayOn, wait } from "../common/page.js";
import { describeFrom, Link } from "./link.js";
import { animate, record } from "./recording.js";
import { Sending } from "./sending.js";

const KEY = "freeavatar.live.key"; // where the browser keeps it: windows in other programs outlive a session
const WIDTH = 480;
const COUNT = 3;
const BACKGROUNDS = ["studio", "color", "picture", "none"];

export function start({ element, props, server, watch, words, language, AVATAR, MOST, REGIONS, MOST_STREAMS, PRESETS }) {
  const root = element.querySelector(".fa-live");
  const base = new URL(`${location.pathname.replace(/\/$/, "")}/live/`, location.origin);
  const state = {
    key: null, stream: null, link: null, avatars: [AVATAR], smoothing: 0.3, gain: 1, head: true, idle: true, regions: {},
    framing: "face", mirrored: true, placement: "none", isFound: true, isCounting: false,
  };

  root.innerHTML = `
    <div class="fa-live-pair">
      <div class="fa-live-side">
        <figure class="fa-live-camera">
          <video muted playsinline></video><i></i><b aria-live="assertive"></b><p>${words.camera}</p>
        </figure>
        <div class="fa-live-row">
          <button class="fa-main" data-do="toggle">${words.start}</button>
          <button class="fa-side" data-do="pause" disabled>${words.pause}</button>
          <button class="fa-side" data-do="calibrate" disabled>${words.calibrate}</button>
          <button class="fa-side" data-do="record" disabled>${words.record}</button>
        </div>
        <p class="fa-live-say" role="status">${words.hint}</p>
        <output class="fa-live-rate" aria-live="off"></output>
        <div class="fa-live-settings">
          <label>${words.smoothing}<input type="range" data-set="smoothing" min="0" max="1" step="0.05" value="0.3"></label>
          <label>${words.gain}<input type="range" data-set="gain" min="0" max="2" step="0.05" value="1"></label>
          <label class="fa-live-check"><input type="checkbox" data-set="head" checked>${words.head}</label>
          <label class="fa-live-check"><input type="checkbox" data-set="idle" checked>${words.idle}</label>
        </div>
      </div>
      <div class="fa-live-show">
        <figure class="fa-live-stage" data-background="studio"><canvas tabindex="0" aria-label="${words.stage}"></canvas><p></p></figure>
        <div class="fa-live-settings">
          <label>${words.framing}<select data-look="framing">
            <option value="face">${words["framing.face"]}</option><option value="bust">${words["framing.bust"]}</option>
          </select></label>
          <label>${words.background}<select data-do="background">${BACKGROUNDS.map((name) => `
            <option value="${name}">${words[`background.${name}`]}</option>`).join("")}
          </select><input type="color" value="#00b140" aria-label="${words["background.color"]}" hidden></label>
          <input type="file" accept="image/*" hidden>
          <label class="fa-live-check"><input type="checkbox" data-look="mirrored" checked>${words.mirrored}</label>
          <button class="fa-live-small" data-do="front">${words.front}</button>
          <button class="fa-live-small" data-do="window" disabled>${words.window}</button>
          <button class="fa-live-small" data-do="copy" disabled>${words.copy}</button>
        </div>
        <p class="fa-live-name">${fill(words.cast, { most: MOST })}</p>
        <div class="fa-live-cast" role="group" aria-label="${fill(words.cast, { most: MOST })}"></div>
      </div>
    </div>
    <details class="fa-live-regions">
      <summary>${words.regions}</summary>
      <div class="fa-live-settings">${Object.entries(REGIONS[language]).map(([name, label]) => `
        <label>${label}<input type="range" data-region="${name}" min="0" max="2" step="0.05" value="1"></label>`).join("")}
      </div>
    </details>
    <details class="fa-live-regions">
      <summary>${words.send}</summary>
      <div class="fa-live-sending"></div>
    </details>`;

  const find = (what) => root.querySelector(what);
  const does = (name) => find(`[data-do="${name}"]`);
  const [video, canvas, show] = [find("video"), find("canvas"), find(".fa-live-stage")];
  const [rate, line, count] = [find(".fa-live-rate"), find(".fa-live-say"), find(".fa-live-camera b")];
  const running = ["pause", "calibrate", "record", "window", "copy"].map(does);
  const say = (text, isTrouble) => sayOn(line, text, isTrouble);
  const call = (name, request) => callServer(server, name, { key: state.key, language, ...request });

  const sending = new Sending(find(".fa-live-sending"), {
    words, presets: PRESETS, most: MOST_STREAMS, send: (urls) => call("send", { urls }),
  });

  // ---- the stage, made once somebody sees it

  let stage = null;
  const making = new Promise((done) => {
    new IntersectionObserver(async (seen, observer) => {
      if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
      observer.disconnect();
      try {
        const { Stage } = await import("../common/stage/stage.js");
        stage = root.stage = new Stage(canvas, describeFrom(base));
        setLook();
        await setCast();
      } catch (error) {
        find(".fa-live-stage p").textContent = stage ? error.message : words.no_gl;
      }
      done();
    }).observe(canvas);
  });

  async function setCast() {
    find(".fa-live-cast").querySelectorAll("button").forEach((button) => {
      button.setAttribute("aria-pressed", state.avatars.includes(button.dataset.name));
    });
    if (!stage) return; // why there is none stays to be read
    const note = find(".fa-live-stage p");
    note.textContent = words.loading;
    show.dataset.count = state.avatars.length;
    try {
      await stage.cast(state.avatars);
    } finally {
      note.textContent = "";
    }
    show.dataset.cast = state.avatars.join(" ");
  }

  function setLook() {
    stage?.show({ framing: state.framing, isMirrored: state.mirrored });
    root.classList.toggle("fa-live-mirrored", state.mirrored);
  }

  function setBackground(kind) {
    const [color, file] = [find("[type=color]"), find("[type=file]")];
    show.dataset.background = kind;
    color.hidden = kind !== "color";
    if (kind === "picture" && !show.style.getPropertyValue("--picture")) file.click();
    show.style.setProperty("--color", color.value);
  }

  // ---- the cast

  async function showCast() {
    const buttons = (await call("cast", { own: props.value })).avatars.map(({ name, label, portrait }) => {
      const button = document.createElement("button");
      button.dataset.name = name;
      button.setAttribute("aria-pressed", state.avatars.includes(name));
      button.append(Object.assign(new Image(), { src: portrait, alt: "" }), label);
      button.onclick = () => choose(name).catch((error) => say(error.message, true));
      return button;
    });
    find(".fa-live-cast").replaceChildren(...buttons);
  }

  // A click brings an avatar onto the stage or takes it off; somebody always stays.
  async function choose(name) {
    const others = state.avatars.filter((other) => other !== name);
    if (others.length < state.avatars.length && !others.length) return;
    state.avatars = others.length < state.avatars.length ? others : [...others, name].slice(-MOST);
    change();
    await making;
    await setCast();
  }

  // ---- settings

  const settings = () => {
    const { avatars, smoothing, gain, head, idle, regions, framing, mirrored } = state;
    return { avatars, smoothing, gain, head, idle, regions, look: { framing, mirrored } };
  };

  let changing = null;
  function change() { // the last of many quick changes is the one that is sent
    if (!state.key || changing) return;
    changing = setTimeout(() => {
      changing = null;
      if (state.key) call("change", settings()).catch((error) => say(error.message, true));
    }, 80);
  }

  // ---- frames

  const seen = { answers: [], weights: [], pixels: [] };
  const middle = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
  const keep = (values, value) => {
    values.push(value);
    if (values.length > 45) values.shift();
  };

  function heard({ found, placement, avatars, milliseconds }, captured) {
    const now = performance.now();
    state.placement = placement;
    for (const [name, { controls, head }] of Object.entries(avatars)) stage?.pose(name, controls, head);
    if (stage) stage.onDraw = () => {
      stage.onDraw = null;
      requestAnimationFrame(() => keep(seen.pixels, performance.now() - captured)); // once they are on the screen
    };
    keep(seen.answers, now);
    keep(seen.weights, now - captured);
    find(".fa-live-camera").classList.toggle("fa-live-good", placement === "good");
    if (found !== state.isFound && !state.isCounting) say(found ? words.running : words.lost, !found);
    state.isFound = found;
    if (seen.answers.length > 2 && now - (rate.dataset.at || 0) > 500) {
      Object.assign(rate.dataset, {
        at: now, fps: (1000 * (seen.answers.length - 1) / (now - seen.answers[0])).toFixed(1), server: milliseconds,
        weights: middle(seen.weights).toFixed(0), pixels: (middle(seen.pixels) || 0).toFixed(0),
      });
      rate.textContent = fill(words.rate, { fps: rate.dataset.fps, delay: rate.dataset.pixels });
    }
  }

  // ---- calibration

  async function calibrate() {
    state.isCounting = true;
    does("calibrate").disabled = true;
    try {
      for (let left = COUNT; left > 0 && state.link; left--) {
        count.textContent = left;
        say(state.placement === "good" ? words.relax : words[`placement.${state.placement}`], state.placement !== "good");
        await wait(1);
      }
      if (!state.link) return;
      if (state.placement !== "good") return say(`${words.uncalibrated} ${words[`placement.${state.placement}`]}`, true);
      await call("calibrate", {});
      say(words.calibrated);
    } catch (error) {
      say(error.message, true);
    } finally {
      count.textContent = "";
      state.isCounting = false;
      does("calibrate").disabled = !state.link;
    }
  }

  // ---- a recording, which the browser keeps until it is given to be animated

  function toggleRecording() {
    if (state.recording) return state.recording.stop();
    const recorded = state.stream;
    state.recording = record(recorded, (file) => {
      state.recording = null;
      does("record").textContent = words.record;
      root.classList.remove("fa-live-recording");
      const outcome = animate(file, root) ? words.recorded : words.recorded_file;
      if (state.stream === recorded) end(outcome);
      else if (!state.stream && !state.isTrouble) say(outcome);
    });
    does("record").textContent = words.record_stop;
    root.classList.add("fa-live-recording");
    say(words.recording);
  }

  // ---- start, pause and stop

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
    does("toggle").disabled = true;
    state.isTrouble = false;
    say(words.starting);
    let stream = null;
    try {
      stream = state.stream = await openCamera();
      video.srcObject = stream;
      await video.play();
      const opened = await call("start", { ...settings(), key: localStorage.getItem(KEY) });
      if (state.stream !== stream) return;
      localStorage.setItem(KEY, opened.key);
      [state.key, state.watch] = [opened.key, new URL(`watch/${opened.watch}`, base).href];
      change(); // what was chosen meanwhile
      state.link = new Link(video, `${new URL(`frame/${opened.key}`, base).href}?language=${language}`, {
        width: WIDTH, heard, failed: (error) => end(error.message, true),
      });
      root.classList.add("fa-live-on");
      [does("toggle").textContent, does("toggle").disabled] = [words.stop, false];
      for (const button of running) button.disabled = false;
      say(words.running);
      sending.start();
    } catch (error) {
      if (state.stream === stream) end(error.message, true);
    }
  }

  function pause(isPaused) {
    if (!state.link) return;
    state.link.isPaused = isPaused;
    clearInterval(state.staying);
    if (isPaused) state.staying = setInterval(change, 5000); // a session that sends nothing would end
    does("pause").textContent = isPaused ? words.resume : words.pause;
    does("calibrate").disabled = isPaused;
    root.classList.toggle("fa-live-paused", isPaused);
    say(isPaused ? words.paused : words.running);
    for (const values of Object.values(seen)) values.length = 0;
  }

  function end(text, isTrouble = false) {
    if (state.recording?.state === "recording") state.recording.stop();
    for (const track of state.stream?.getTracks() || []) track.stop();
    state.link?.close();
    clearInterval(state.staying);
    sending.stop();
    if (state.key) call("stop", {}).catch(() => {});
    Object.assign(state, { stream: null, key: null, link: null, placement: "none", isFound: true });
    video.srcObject = null;
    [does("toggle").textContent, does("toggle").disabled, does("pause").textContent] = [words.start, false, words.pause];
    for (const button of running) button.disabled = true;
    root.classList.remove("fa-live-on", "fa-live-paused");
    rate.textContent = "";
    for (const values of Object.values(seen)) values.length = 0;
    state.isTrouble = isTrouble;
    say(text, isTrouble);
  }

  does("toggle").onclick = () => (state.stream ? end(words.hint) : begin());
  does("pause").onclick = () => pause(!state.link.isPaused);
  does("calibrate").onclick = calibrate;
  does("record").onclick = toggleRecording;
  does("front").onclick = () => stage?.orbit.reset();
  does("window").onclick = () => window.open(state.watch, "_blank", "popup,width=640,height=640");
  does("copy").onclick = () => navigator.clipboard.writeText(state.watch).then(
    () => say(words.copied), () => say(`${words.copy_this} ${state.watch}`));
  does("background").onchange = ({ target }) => setBackground(target.value);
  find("[type=color]").oninput = () => setBackground("color");
  find("[type=file]").onchange = ({ target }) => {
    if (target.files[0]) show.style.setProperty("--picture", `url(${URL.createObjectURL(target.files[0])})`);
  };
  const value = (input) => ({ checkbox: input.checked, range: Number(input.value) })[input.type] ?? input.value;
  root.querySelectorAll("[data-set], [data-look]").forEach((input) => {
    input.oninput = () => {
      state[input.dataset.set || input.dataset.look] = value(input);
      setLook();
      change();
    };
  });
  root.querySelectorAll("[data-region]").forEach((input) => {
    input.oninput = () => {
      state.regions[input.dataset.region] = Number(input.value);
      change();
    };
  });
  new IntersectionObserver((seenNow) => { // the tab was left: nobody sees that the camera is on
    if (state.link && !document.hidden && !root.offsetParent && !seenNow.some((one) => one.isIntersecting)) end(words.hint);
  }).observe(root);
  window.addEventListener("pagehide", () => state.stream && end(""));
  watch("value", () => {
    if (!root.isConnected) element.querySelector(".fa-live").replaceWith(root); // Gradio drew its template again
    showCast();
  });
  setLook();
  showCast();
}
