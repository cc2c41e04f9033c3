// The Explore page. This file and explore_*.js, one after the other, are the body of Gradio's js_on_load, with
// `element`, `server` and `upload`. A face is called by its ref: p:<index>, c:<clip>:<track>:<moment>, q:<id>.

const root = element.querySelector(".exp");
const MEMORY = "freeavatar.explore";
const METHODS = { pca: "PCA", umap: "UMAP", tsne: "t-SNE" };
const state = { bundle: "default", other: "", method: "pca", dims: 2, colour: "cluster", selected: "", from: "",
  avatars: [], clips: [], camera: null, ranges: null };
const page = { sides: [], chosen: [], sheets: new Map(), job: null, clips: [], offered: {}, seen: 0 };
// In-place changes of `state` are kept for the next visit by keep().

// ---- small tools

const $ = (selector) => root.querySelector(selector);
const escape = (text) => {
  const node = document.createElement("span");
  node.textContent = text;
  return node.innerHTML.replaceAll('"', "&quot;");
};
const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
const unpack = (text, Kind) => new Kind(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const figure = (value, digits = 2) => (value === null || value === undefined ? "-" : Number(value).toFixed(digits));

function keep() {
  try {
    localStorage.setItem(MEMORY, JSON.stringify(state));
  } catch { /* private windows have no storage: the view starts anew */ }
}

function recall() {
  try {
    Object.assign(state, JSON.parse(localStorage.getItem(MEMORY)) || {});
  } catch { /* as above */ }
}

function say(text, isTrouble) {
  const line = $(".exp-say");
  line.textContent = text || "";
  line.classList.toggle("exp-trouble", Boolean(isTrouble));
}

// Asks the server; what is wrong is said on the page and thrown.
async function call(name, request) {
  const reply = await server[name]({ ...view(), ...request });
  if (reply.error) {
    say(reply.error, true);
    throw Object.assign(new Error(reply.error), { isSaid: true });
  }
  return reply;
}

const view = () => ({ bundle: state.bundle, token: page.sides[0]?.token, method: state.method, dims: state.dims,
  avatars: state.avatars });

// Runs a handler; errors that were said already end here.
const act = (work) => async (...given) => {
  try {
    await work(...given);
  } catch (error) {
    if (!error.isSaid) {
      console.error(error);
      say("The server cannot be reached: reload the page.", true);
    }
  }
};

// Watches a job to its end; its result, or null if it was stopped.
async function follow(job) {
  const bar = $(".exp-job");
  page.job = job;
  try {
    for (;;) {
      const found = await call("job", { job });
      bar.hidden = !["waiting", "running"].includes(found.state);
      bar.querySelector("span").textContent = found.words;
      const fill = bar.querySelector(".exp-fill");
      fill.style.width = found.share === null ? "100%" : `${100 * found.share}%`;
      fill.classList.toggle("exp-waiting", found.share === null);
      if (found.state === "done") return found.result;
      if (found.state === "failed") {
        say(found.words, true);
        throw Object.assign(new Error(found.words), { isSaid: true });
      }
      if (found.state === "stopped") {
        say("Stopped.");
        return null;
      }
      await wait(0.4);
    }
  } finally {
    bar.hidden = true;
  }
}

// ---- the page

function layOut() {
  const { bundles, avatars } = page.offered;
  const options = (names, chosen) => names.map((name) =>
    `<option value="${escape(name)}" ${name === chosen ? "selected" : ""}>${escape(name)}</option>`).join("");
  const switches = (key, names) => `<span class="exp-switch" role="group">${Object.entries(names).map(([value, name]) =>
    `<button data-${key}="${value}" aria-pressed="${String(state[key]) === value}">${name}</button>`).join("")}</span>`;
  root.innerHTML = `
    <div class="exp-bar">
      <label>Bundle <select data-bundle>${options(bundles, state.bundle)}</select></label>
      <label>beside <select data-other><option value="">none</option>${options(bundles, state.other)}</select></label>
      ${switches("method", METHODS)} ${switches("dims", { 2: "2-D", 3: "3-D" })}
      <label>Colour <select data-colour></select></label>
      <label class="exp-button">Search by image<input type="file" accept="image/*" data-find></label>
      <label class="exp-button">Add a video<input type="file" accept="video/*" data-trace></label>
      <button data-save>Save the map</button>
      <details class="exp-avatars"><summary>Avatars</summary><div>${avatars.map((name) =>
        `<label><input type="checkbox" value="${escape(name)}" ${state.avatars.includes(name) ? "checked" : ""}>
        ${escape(name)}</label>`).join("")}</div></details>
    </div>
    <div class="exp-job" hidden><span></span><button data-stop>Stop</button><div class="exp-track"><div class="exp-fill"></div></div></div>
    <p class="exp-say" role="status" aria-live="polite"></p>
    <div class="exp-body">
      <div class="exp-left">
        <div class="exp-maps">${[0, 1].map((side) => `<figure class="exp-map" data-side="${side}" ${side ? "hidden" : ""}>
          ${side ? "" : `<div class="exp-tools"><span class="exp-switch" role="group">
            <button data-lasso="no" aria-pressed="true">Move</button><button data-lasso="yes" aria-pressed="false">Lasso</button></span>
            <button data-reset>Whole map</button></div>`}
          <div class="exp-plot"></div><figcaption></figcaption></figure>`).join("")}</div>
        <div class="exp-legend"></div>
        <div class="exp-set" hidden></div>
      </div>
      <aside class="exp-panel" aria-label="The chosen face"></aside>
    </div>
    <section class="exp-morph" hidden></section><section class="exp-clips"></section><section class="exp-pair"></section>
    <div class="exp-hover" hidden><div></div><span></span></div>`;
  root.dataset.dims = state.dims;
  wire();
}

function wire() {
  const on = (selector, event, work) =>
    root.querySelectorAll(selector).forEach((node) => node.addEventListener(event, act(() => work(node))));
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
      root.querySelectorAll(`[data-${key}]`).forEach((other) => other.setAttribute("aria-pressed", String(other === node)));
      root.dataset.dims = state.dims;
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
    state.avatars = [...root.querySelectorAll(".exp-avatars input:checked")].map((box) => box.value).slice(0, 4);
    keep();
    if (state.selected) await wear(state.selected);
  });
}

async function withFile(input, work) {
  const [file] = input.files;
  input.value = "";
  if (!file) return;
  say(`Sending ${file.name} ...`);
  let sent;
  try {
    sent = await upload(file);
  } catch {
    say(`${file.name} could not be sent: it is larger than this server takes, or the connection is lost.`, true);
    return;
  }
  say("");
  await work(sent.path, file.name);
}

// Opens the pool under one or two bundles and draws everything.
async function reopen() {
  keep();
  say("Opening the pool ...");
  page.sides = [];
  for (const bundle of [state.bundle, state.other]) if (bundle) page.sides.push(await openSide(bundle));
  say("");
  page.clips = [];
  choose([]);
  offerColours();
  await redraw();
  await comparePair();
  for (const clip of [...state.clips]) await addClip(clip);
  if (state.selected && !state.selected.startsWith("q:")) await select(state.selected);
}

async function openSide(bundle) {
  const side = await call("open", { bundle });
  if (side.missing) {
    const words = `${side.missing} images of the pool are new to ${bundle}.`;
    say(words);
    const { job } = await call("embed", { bundle });
    if (await follow(job)) return openSide(bundle);
    say(`${words} The others are shown.`);
  }
  return { ...side, bundle, cells: unpack(side.cells, Uint32Array),
    columns: side.columns.map((c) => ({ ...c, values: unpack(c.values, c.kind === "words" ? Uint8Array : Float32Array) })) };
}

// While the built-in pictures are being made the map grows by itself.
async function grow() {
  while (page.sides[0]?.is_filling && page.sides[0].count < 400) {
    await wait(4);
    const now = await server.open({ bundle: state.bundle });
    if (now.error) return;
    if (now.token !== page.sides[0].token || now.is_filling !== page.sides[0].is_filling) await reopen();
  }
}

async function start() {
  recall();
  page.offered = await call("start", {});
  const { bundles, avatars, avatar } = page.offered;
  if (!bundles.includes(state.bundle)) state.bundle = bundles[0];
  if (!bundles.includes(state.other)) state.other = "";
  state.avatars = state.avatars.filter((name) => avatars.includes(name));
  if (!state.avatars.length) state.avatars = [avatar];
  layOut();
  await plotly();
  await reopen();
  await grow();
}
