// One face, a set of faces, a search, a morph.

import { escape } from "../common/page.js";
import { momentWords, showMoment } from "./clip.js";
import { $, act, ask, call, figure, keep, page, say, state, unpack, word } from "./context.js";
import { draw, plotOf } from "./map.js";
import { showNeighbours } from "./pair.js";

export async function select(ref) {
  const [kind, clip, track, moment] = ref.split(":");
  if (kind === "c") showMoment(clip, Number(moment));
  const found = await call("look", { ref });
  if (kind === "c") found.caption = momentWords(clip, track, Number(moment));
  state.selected = ref;
  page.ring = found.point;
  keep();
  show(found);
  for (const number of page.sides.keys()) draw(number);
  await showAvatars(ref);
  if (page.sides[1] && ref.startsWith("p:")) await showNeighbours(ref);
}

// The chosen face's place on a map that was drawn since.
export async function ring(ref) {
  if (!ref.startsWith("p:")) page.ring = (await call("look", { ref })).point;
  else page.ring = null;
  for (const number of page.sides.keys()) await draw(number);
}

export const small = ({ ref, face, distance, caption, is_new: isNew }) => `
  <button class="exp-small ${isNew ? "exp-new" : ""}" data-ref="${ref}" title="${escape(caption)}">
  <img src="${face}" alt="${escape(caption)}"><span>${distance ? figure(distance) : ""}</span></button>`;

export function clickable(box) {
  box.querySelectorAll("[data-ref]").forEach((node) => node.addEventListener("click", act(() => select(node.dataset.ref))));
}

function show({ ref, face, caption, near, far }) {
  const panel = $(".exp-panel");
  panel.innerHTML = `
    <img class="exp-large" src="${face}" alt="${word("panel")}">
    <p class="exp-caption">${escape(caption)}</p>
    <div class="exp-row"><button data-from>${word("morph.from")}</button>
      ${state.from && state.from !== ref ? `<button data-to>${word("morph.to")}</button>` : ""}</div>
    <h3>${word("nearest")}</h3><div class="exp-near">${near.map(small).join("") || `<p>${word("alone")}</p>`}</div>
    <h3>${word("farthest")}</h3><div class="exp-far">${far.map(small).join("")}</div>
    <div class="exp-decoded"><p class="exp-dim">${word("decoding")}</p></div>`;
  clickable(panel);
  panel.querySelector("[data-from]").addEventListener("click", () => {
    state.from = ref;
    keep();
    say(word("morph.hint"));
  });
  panel.querySelector("[data-to]")?.addEventListener("click", act(() => morph(state.from, ref)));
}

// The rig of a face, and avatars with its expression.
export async function showAvatars(ref) {
  const box = $(".exp-decoded");
  if (!box) return;
  let html;
  try {
    html = decodedHtml(await ask("decode", { ref }));
  } catch (error) {
    if (!error.isReply) throw error;
    html = `<p class="exp-note">${escape(error.message)}</p>`;
  }
  if (state.selected === ref && box.isConnected) box.innerHTML = html;
}

function decodedHtml({ rig, pictures }) {
  const bars = rig.filter(([, weight]) => weight > 0.02).slice(0, 14).map(([name, weight]) => `<div role="listitem">
    <span>${name}</span><i><b style="width:${100 * weight}%"></b></i><em>${figure(weight)}</em></div>`);
  const figures = pictures.map(({ avatar, face }) => `<figure><img src="${face}"
    alt="${escape(word("plays", { avatar }))}"><figcaption>${escape(avatar)}</figcaption></figure>`);
  return `<h3>${word("avatars")}</h3><div class="exp-playing">${figures.join("")}</div><h3>${word("rig")}</h3>
    <div class="exp-rig" role="list">${bars.join("") || `<p class="exp-dim">${word("rig.rests")}</p>`}</div>`;
}

async function morph(first, last) {
  say(word("morph.drawing"));
  const { pictures, ends } = await call("morph", { first, last });
  say("");
  const box = $(".exp-morph");
  box.hidden = false;
  const step = (k) => word("morph.step", { number: k + 1, count: pictures.length });
  box.innerHTML = `<h3>${escape(word("morph.title", { avatar: state.avatars[0] }))}</h3>
    <div class="exp-strip"><img src="${ends[0]}" alt="${word("morph.first")}">${pictures.map((url, k) =>
      `<img src="${url}" alt="${step(k)}">`).join("")}<img src="${ends[1]}" alt="${word("morph.last")}"></div>`;
  box.scrollIntoView({ behavior: "smooth", block: "nearest" });
}

export async function search(path, name) {
  const { ref } = await call("find", { path, name });
  await select(ref);
  say(word("found", { name }));
}

// ---- a set

const counted = (key, count) => word(count === 1 ? `${key}.one` : key, { count });

export function choose(indices) {
  page.chosen = indices;
  const box = $(".exp-set");
  box.hidden = !indices.length;
  box.innerHTML = `<b>${counted("chosen", indices.length)}</b>
    ${page.offered.may_ask ? `<button data-ask>${word("ask")}</button>` : ""}
    ${["list", "npz", "csv", "html"].map((kind) =>
      `<button data-export="${kind}">${word(`export.${kind}`)}</button>`).join("")}
    <button data-none>${word("choose_none")}</button>`;
  box.querySelector("[data-none]").addEventListener("click", act(async () => {
    choose([]);
    for (const number of page.sides.keys()) await Plotly.restyle(plotOf(number), { selectedpoints: [null] });
  }));
  box.querySelector("[data-ask]")?.addEventListener("click", act(async () => {
    const { queued } = await call("ask", { indices: page.chosen });
    say(counted("queued", queued));
  }));
  box.querySelectorAll("[data-export]").forEach((node) =>
    node.addEventListener("click", act(() => take(node.dataset.export, page.chosen))));
}

export async function take(kind, indices) {
  say(word("preparing"));
  const { name, mime, data } = await call("export", { kind, indices });
  const link = Object.assign(document.createElement("a"), { download: name,
    href: URL.createObjectURL(new Blob([unpack(data, Uint8Array)], { type: mime })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say(word("saved", { name }));
}
