// What the modules of the Explore page share: the visitor's choices, what is open, the way to the server.
// A face is called by its ref: p:<index>, c:<clip>:<track>:<moment>, q:<id>.

import { call as callServer, fill, say as sayOn, wait } from "../common/page.js";

const MEMORY = "freeavatar.explore";
const KEY = "freeavatar.explore.key";

export const METHODS = { pca: "PCA", umap: "UMAP", tsne: "t-SNE" };

// Choices that outlast a visit: changed in place, kept by keep().
export const state = {};

// What is open now; `given` is what the page's component gets.
export const page = {};

export function open(given) {
  Object.assign(state, { bundle: "default", other: "", method: "pca", dims: 2, colour: "cluster", selected: "", from: "",
    avatars: [], clips: [], camera: null, ranges: null });
  Object.assign(page, { given, root: given.element.querySelector(".exp"), sides: [], chosen: [], sheets: new Map(),
    key: sessionStorage.getItem(KEY) || "", job: null, clips: [], offered: {}, seen: 0, ring: null, change: null, drawn: 0, isLasso: false });
  try {
    Object.assign(state, JSON.parse(localStorage.getItem(MEMORY)) || {});
  } catch { /* private windows have no storage: the view starts anew */ }
}

export function keep() {
  try {
    localStorage.setItem(MEMORY, JSON.stringify(state));
  } catch { /* as above */ }
}

export function keepKey(key) {
  page.key = key;
  sessionStorage.setItem(KEY, key);
}

export const $ = (selector) => page.root.querySelector(selector);
export const unpack = (text, Kind) => new Kind(Uint8Array.from(atob(text), (c) => c.codePointAt(0)).buffer);
export const figure = (value, digits = 2) =>
  (value === null || value === undefined ? "-" : Number(value).toFixed(digits));

export const word = (key, values = {}) => fill(page.given.words[key], values);
export const say = (text, isTrouble) => sayOn($(".exp-say"), text, isTrouble);

const view = () => ({ bundle: state.bundle, token: page.sides[0]?.token, method: state.method, dims: state.dims,
  avatars: state.avatars, language: page.given.language, key: page.key });

// As call(), but what is refused is for the caller to show.
export const ask = (name, request) => callServer(page.given.server, name, { ...view(), ...request });

// Calls the server; what it refuses is said on the page and thrown.
export async function call(name, request) {
  try {
    return await ask(name, request);
  } catch (error) {
    if (error.isReply) say(error.message, true);
    throw error;
  }
}

// Makes a handler whose errors end here; those of the server were said already.
export const act = (work) => async (...given) => {
  try {
    await work(...given);
  } catch (error) {
    if (!error.isReply) {
      console.error(error);
      say(word("unreachable"), true);
    }
  }
};

// Watches a job to its end; its result, or null if it was stopped.
export async function follow(job) {
  const bar = $(".exp-job");
  page.job = job;
  try {
    for (;;) {
      const found = await call("job", { job });
      bar.hidden = !["waiting", "running"].includes(found.state);
      bar.querySelector("span").textContent = found.words;
      const inner = bar.querySelector(".exp-fill");
      inner.style.width = found.share === null ? "100%" : `${100 * found.share}%`;
      inner.classList.toggle("exp-waiting", found.share === null);
      if (found.state === "done") return found.result;
      if (found.state === "failed") {
        say(found.words, true);
        throw Object.assign(new Error(found.words), { isReply: true });
      }
      if (found.state === "stopped") {
        say(word("stopped"));
        return null;
      }
      await wait(0.4);
    }
  } finally {
    bar.hidden = true;
  }
}
