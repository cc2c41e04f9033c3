// The Explore page: the expression space as a map of faces.

import { escape, wait } from "../common/page.js";
import { loadPlotly } from "../common/plotly.js";
import { addClip, trace } from "./clip.js";
import { act, call, follow, keep, keepKey, METHODS, open, page, say, state, unpack, word } from "./context.js";
import { choose, search, select, showAvatars, take } from "./face.js";
import { colour, offerColours, redraw, resetView, setLasso } from "./map.js";
import { comparePair } from "./pair.js";

function layOut() {
  const { bundles, avatars } = page.offered;
  const options = (names, chosen) => names.map((name) =>
    `<option value="${escape(name)}" ${name === chosen ? "selected" : ""}>${escape(name)}</option>`).join("");
  const switches = (key, names) => `<span class="exp-switch" role="group">${Object.entries(names).map(([value, name]) =>
    `<button data-${key}="${value}" aria-pressed="${String(state[key]) === value}">${name}</button>`).join("")}</span>`;
  page.root.innerHTML = `
    <div class="exp-bar">
      <label>${word("bundle")} <select data-bundle>${options(bundles, state.bundle)}</select></label>
      <label>${word("beside")} <select data-other><option value="">${word("none")}</option>${options(bundles, state.other)}</select></label>
      ${switches("method", METHODS)} ${switches("dims", { 2: "2-D", 3: "3-D" })}
      <label>${word("colour")} <select data-colour></select></label>
      <label class="exp-button">${word("find")}<input type="file" accept="image/*" data-find></label>
      <label class="exp-button">${word("trace")}<input type="file" accept="video/*" data-trace></label>
      <button data-save>${word("save")}</button>
      <details class="exp-avatars"><summary>${word("avatars")}</summary><div>${avatars.map((name) =>
        `<label><input type="checkbox" value="${escape(name)}" ${state.avatars.includes(name) ? "checked" : ""}>
        ${escape(name)}</label>`).join("")}</div></details>
    </div>
    <div class="exp-job" hidden><span></span><button data-stop>${word("stop")}</button><div class="exp-track"><div class="exp-fill"></div></div></div>
    <p class="exp-say" role="status" aria-live="polite"></p>
    <div class="exp-body">
      <div class="exp-left">
        <div class="exp-maps">${[0, 1].map((side) => `<figure class="exp-map" data-side="${side}" ${side ? "hidden" : ""}>
          ${side ? "" : `<div class="exp-tools"><span class="exp-switch" role="group">
            <button data-lasso="no" aria-pressed="true">${word("move")}</button><button data-lasso="yes" aria-pressed="false">${word("lasso")}</button></span>
            <button data-reset>${word("whole")}</button></div>`}
          <div class="exp-plot"></div><figcaption></figcaption></figure>`).join("")}</div>
        <div class="exp-legend"></div>
        <div class="exp-set" hidden></div>
      </div>
      <aside class="exp-panel" aria-label="${word("panel")}" data-hint="${word("hint")}"></aside>
    </div>
    <section class="exp-morph" hidden></section><section class="exp-clips"></section><section class="exp-pair"></section>
    <div class="exp-hover" hidden><div></div><span></span></div>`;
  page.root.dataset.dims = state.dims;
  wire();
}

function wire() {
  const on = (selector, event, work) =>
    page.root.querySelectorAll(selector).forEach((node) => node.addEventListener(event, act(() => work(node))));
  on("[data-bundle]", "change", async (node) => {
    state.bundle = node.value;
    await reopen();
  });
  on("[data-other]", "change", async (node) => {
    state.other = node.value;
    await reopen();
  });
  for (const key of ["method", "dims"]) {
    on(`[data-${key}]`, "click", async (node) => {
      state[key] = key === "dims" ? Number(node.dataset.dims) : node.dataset[key];
      state.ranges = state.camera = null;
      page.root.querySelectorAll(`[data-${key}]`).forEach((other) => other.setAttribute("aria-pressed", String(other === node)));
      page.root.dataset.dims = state.dims;
      keep();
      choose([]);
      await redraw();
    });
  }
  on("[data-colour]", "change", (node) => {
    state.colour = page.colour = node.value;
    keep();
    colour();
  });
  on("[data-find]", "change", async (node) => withFile(node, search));
  on("[data-trace]", "change", async (node) => withFile(node, trace));
  on("[data-lasso]", "click", (node) => setLasso(node.dataset.lasso === "yes"));
  on("[data-reset]", "click", resetView);
  on("[data-save]", "click", () => take("html", null));
  on("[data-stop]", "click", () => call("stop", { job: page.job }));
  on(".exp-avatars input", "change", async () => {
    state.avatars = [...page.root.querySelectorAll(".exp-avatars input:checked")].map((box) => box.value).slice(0, 4);
    keep();
    if (state.selected) await showAvatars(state.selected);
  });
}

// Gradio stores files by their content: under a name of its own, deleting this one deletes nobody else's.
function renamed(file) {
  const digits = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0"));
  return new File([file], `explore-${digits.join("")}${/\.\w+$/.exec(file.name)?.[0] || ""}`, { type: file.type });
}

async function withFile(input, work) {
  const [file] = input.files;
  input.value = "";
  if (!file) return;
  say(word("sending", { name: file.name }));
  let sent;
  try {
    sent = await page.given.upload(renamed(file));
  } catch {
    say(word("not_sent", { name: file.name }), true);
    return;
  }
  say("");
  await work(sent.path, file.name);
}

// Opens the pool under one or two bundles and draws everything.
async function reopen() {
  keep();
  say(word("opening"));
  page.sides = [];
  for (const bundle of [state.bundle, state.other]) if (bundle) page.sides.push(await openSide(bundle));
  say("");
  page.clips = [];
  choose([]);
  offerColours();
  await redraw();
  await comparePair();
  for (const clip of state.clips.slice()) await addClip(clip);
  if (state.selected && !state.selected.startsWith("q:")) await select(state.selected);
}

async function openSide(bundle) {
  const side = await call("open", { bundle });
  if (side.missing) {
    const missing = word("missing", { count: side.missing, bundle });
    say(missing);
    const { job } = await call("embed", { bundle });
    if (await follow(job)) return openSide(bundle);
    say(`${missing} ${word("others")}`);
  }
  return { ...side, bundle, cells: unpack(side.cells, Uint32Array),
    columns: side.columns.map((c) => ({ ...c, values: unpack(c.values, c.kind === "words" ? Uint8Array : Float32Array) })) };
}

// While the built-in pictures are being made the map grows by itself.
async function grow() {
  while (page.sides[0]?.is_filling && page.sides[0].count < 400) {
    await wait(4);
    const now = await call("open", { bundle: state.bundle });
    if (now.token !== page.sides[0].token || now.is_filling !== page.sides[0].is_filling) await reopen();
  }
}

function askPassword() {
  page.root.innerHTML = `<form class="exp-door"><label>${word("password")}
    <input type="password" autocomplete="current-password"></label>
    <button>${word("enter")}</button><p class="exp-say" role="status"></p></form>`;
  const form = page.root.firstElementChild;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(async () => {
      keepKey((await call("enter", { password: form.querySelector("input").value })).key);
      await begin();
    })();
  });
}

async function begin() {
  page.offered = await call("start", {});
  if (page.offered.is_locked) return askPassword();
  const { bundles, avatars, avatar } = page.offered;
  if (!bundles.includes(state.bundle)) state.bundle = bundles[0];
  if (!bundles.includes(state.other)) state.other = "";
  state.avatars = state.avatars.filter((name) => avatars.includes(name));
  if (!state.avatars.length) state.avatars = [avatar];
  layOut();
  await loadPlotly(page.given.PLOTLY);
  await reopen();
  await grow();
}

export function start(given) {
  open(given);
  page.root.innerHTML = `<p class="exp-say">${word("loading")}</p>`;
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    act(begin)();
  }).observe(page.root);
}
