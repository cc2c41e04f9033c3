// The maps: points of the pool, drawn by Plotly.

import { escape } from "../common/page.js";
import { clipTraces, momentWords, replaceClips } from "./clip.js";
import { $, act, call, figure, follow, keep, METHODS, page, state, unpack, word } from "./context.js";
import { choose, ring, select } from "./face.js";

const PALETTE = ["#0d9488", "#ea580c", "#6366f1", "#ca8a04", "#db2777", "#0284c7", "#65a30d", "#9333ea", "#b45309",
  "#64748b", "#dc2626", "#059669", "#c026d3", "#0891b2", "#a16207", "#4f46e5", "#e11d48", "#16a34a", "#7c3aed", "#f59e0b",
  "#94a3b8"];
const VIRIDIS = ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"];
export const TRACKS = ["#0d9488", "#ea580c", "#9333ea", "#ca8a04", "#0284c7"];
const CAMERA = { eye: { x: 1.2, y: 1.2, z: 1.0 } };
const GREY = "#94a3b8";

export const plotOf = (side) => page.root.querySelector(`[data-side="${side}"] .exp-plot`);
export const textColour = () => getComputedStyle(page.root).color;

export function offerColours() {
  const names = page.sides[0].columns.map((column) => column.name);
  if (page.sides[1]) names.push("neighbours_changed");
  names.push("time", "confidence");
  page.colour = names.includes(state.colour) ? state.colour : names[0];
  $("[data-colour]").innerHTML = names.map((name) =>
    `<option value="${name}" ${name === page.colour ? "selected" : ""}>${word(`column.${name}`)}</option>`).join("");
}

// Numbers in [0, 1] and the colours they stand for, for every point of a side; a legend.
function colouring(side) {
  const column = page.colour === "neighbours_changed" && page.change
    ? { kind: "number", values: page.change, name: page.colour }
    : side.columns.find((found) => found.name === page.colour);
  if (!column) return { values: GREY, scale: null, legend: [], column: null };
  if (column.kind === "words") {
    const { names } = column, of = (k) => (names[k] ? PALETTE[k % PALETTE.length] : GREY);
    const scale = names.flatMap((_, k) => [[k / names.length, of(k)], [(k + 1) / names.length, of(k)]]);
    return { values: Float32Array.from(column.values, (k) => (k + 0.5) / names.length), scale, column,
      legend: names.map((name, k) => ({ name: categoryWords(column, name), colour: of(k) })) };
  }
  return { ...numbered(column.values), column, legend: [] };
}

// A category as people read it; the rare ones are one that has no name.
function categoryWords(column, name) {
  if (name === null) return word("rest");
  if (!name) return word("not_known");
  return column.name === "cluster" ? word("cluster", { number: name }) : name;
}

// Unknown numbers are grey: they take the lowest twentieth of the scale.
export function numbered(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const span = high - low || 1;
  const scale = [[0, GREY], [0.05, GREY], ...VIRIDIS.map((c, k) => [0.05 + 0.95 * k / (VIRIDIS.length - 1), c])];
  return { values: Float32Array.from(values, (v) => (Number.isNaN(v) ? 0 : 0.06 + 0.94 * (v - low) / span)), scale,
    range: [low, high] };
}

export const axes = (points, dims) => {
  const found = Object.fromEntries(["x", "y", "z"].slice(0, dims).map((name) => [name, new Float32Array(points.length / dims)]));
  Object.values(found).forEach((axis, d) => axis.forEach((_, k) => { axis[k] = points[dims * k + d]; }));
  return found;
};
export const kind = (dims) => (dims === 3 ? "scatter3d" : "scattergl");

function pointsTrace(side) {
  const { values, scale } = colouring(side), many = side.count > 5000, dims = side.map.dims;
  return { type: kind(dims), mode: "markers", ...axes(side.map.points, dims), hoverinfo: "none", name: "pool",
    marker: { size: dims === 3 ? (many ? 1.5 : 3.5) : (many ? 4 : 8), color: values, cmin: 0, cmax: 1,
      opacity: page.clips.length && side === page.sides[0] ? 0.35 : dims === 3 ? 1 : (many ? 0.7 : 0.9), ...(scale ? { colorscale: scale } : {}), showscale: false } };
}

// The chosen face: a ring.
function ringTrace(side) {
  const dims = side.map.dims, at = page.ring?.length === dims && side === page.sides[0] ? page.ring : pointAt(side);
  return { type: kind(dims), mode: "markers", hoverinfo: "skip", name: "chosen",
    ...Object.fromEntries(["x", "y", "z"].slice(0, dims).map((name, d) => [name, at ? [at[d]] : []])),
    marker: dims === 3 ? { size: 16, symbol: "circle-open", color: "#dc2626", line: { width: 4 } }
      : { size: 18, color: "rgba(220,38,38,.15)", line: { width: 3, color: "#dc2626" } } };
}

function pointAt(side) {
  const match = /^p:(\d+)$/.exec(state.selected);
  if (!match || Number(match[1]) >= side.count) return null;
  const { points, dims } = side.map, k = Number(match[1]);
  return Array.from(points.subarray(dims * k, dims * k + dims));
}

function layoutOf(side, dims) {
  const axis = { visible: false, showspikes: false };
  const { ranges, camera } = state;
  return { margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, hovermode: "closest", uirevision: `${state.method}${dims}`,
    dragmode: dims === 3 ? "orbit" : page.isLasso ? "lasso" : "pan",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: textColour() },
    xaxis: { ...axis, ...(ranges ? { range: ranges.x } : {}) },
    yaxis: { ...axis, scaleanchor: "x", ...(ranges ? { range: ranges.y } : {}) },
    scene: { xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: "cube", camera: camera || CAMERA } };
}

export async function setLasso(isLasso) {
  page.isLasso = isLasso;
  page.root.querySelectorAll("[data-lasso]").forEach((node) =>
    node.setAttribute("aria-pressed", String((node.dataset.lasso === "yes") === isLasso)));
  for (const number of page.sides.keys()) await Plotly.relayout(plotOf(number), { dragmode: isLasso ? "lasso" : "pan" });
}

export async function resetView() {
  state.ranges = state.camera = null;
  keep();
  for (const number of page.sides.keys()) {
    const reset = state.dims === 3 ? { "scene.camera": CAMERA }
      : { "xaxis.autorange": true, "yaxis.autorange": true };
    await Plotly.relayout(plotOf(number), reset);
  }
}

async function fetchMap(number) {
  const side = page.sides[number];
  const ask = () => call("map", { token: side.token, bundle: side.bundle, onto: number ? page.sides[0].token : null });
  let reply = await ask();
  if (reply.job) {
    const wished = state.method;
    state.method = "pca";
    side.map = mapOf(await ask());
    state.method = wished;
    await draw(number);
    const before = `${wished}${state.dims}`;
    let done;
    try {
      done = await follow(reply.job);
    } catch (error) {
      if (`${state.method}${state.dims}` !== before) return;
      pressMethod("pca");
      throw error;
    }
    if (`${state.method}${state.dims}` !== before) return;
    if (!done) pressMethod("pca");
    reply = await ask();
  }
  side.map = mapOf(reply);
}

const mapOf = (reply) => ({ ...reply, points: unpack(reply.points, Float32Array) });

function pressMethod(method) {
  state.method = method;
  keep();
  page.root.querySelectorAll("[data-method]").forEach((node) =>
    node.setAttribute("aria-pressed", String(node.dataset.method === method)));
}

// Draws every map anew.
export async function redraw() {
  $('[data-side="1"]').hidden = page.sides.length < 2;
  $(".exp-maps").classList.toggle("exp-two", page.sides.length > 1);
  for (const number of page.sides.keys()) {
    const wished = `${state.method}${state.dims}`;
    await fetchMap(number);
    if (`${state.method}${state.dims}` !== wished && state.method !== "pca") return; // another map was asked for meanwhile
    await draw(number);
  }
  await replaceClips();
  if (state.selected) await ring(state.selected);
}

export async function draw(number) {
  const side = page.sides[number], plot = plotOf(number);
  if (!side?.map) return;
  const traces = [pointsTrace(side), ...(number ? [] : page.clips.flatMap(clipTraces)), ringTrace(side)];
  await Plotly.react(plot, traces, layoutOf(side, side.map.dims), { responsive: true, displaylogo: false, scrollZoom: true,
    displayModeBar: false, doubleClick: "autosize" });
  if (!plot.dataset.wired) listen(plot, number);
  caption(number);
  if (!number) legend();
  page.drawn += 1;
  page.root.dataset.drawn = page.drawn;
}

// Colours alone.
export function colour() {
  for (const number of page.sides.keys()) draw(number);
}

function caption(number) {
  const side = page.sides[number], { method, dims } = side.map;
  page.root.querySelector(`[data-side="${number}"] figcaption`).innerHTML =
    `<b>${page.sides.length > 1 ? `${escape(side.bundle)}: ` : ""}${word("map", { method: METHODS[method], dims })}.</b>
    ${(side.count ? facts(side) : [word("map.empty")]).map(escape).join(" ")}`;
}

// What a map says of itself, in sentences.
function facts({ count, clusters, silhouette, map: { trust } }) {
  const said = [word("map.count", { count })];
  said.push(trust === null ? word("map.no_trust") : word("map.trust", { trust: figure(trust) }));
  if (silhouette !== null) said.push(word("map.clusters", { count: clusters, silhouette: figure(silhouette) }));
  if (page.clips.length && state.method !== "pca") said.push(word("map.placed"));
  return said;
}

function legend() {
  const { legend: names, range, column } = colouring(page.sides[0]);
  const box = $(".exp-legend");
  if (range) {
    box.innerHTML = `<span>${figure(range[0])}</span><i class="exp-scale"></i><span>${figure(range[1])}</span>
      <span class="exp-dim">${word("grey", { column: word(`column.${page.colour}`) })}</span>`;
    return;
  }
  box.innerHTML = names.map(({ name, colour: shade }, k) =>
    `<button data-name="${k}" title="${word("choose_these")}"><i style="background:${shade}"></i>${escape(name)}</button>`).join("");
  box.querySelectorAll("button").forEach((node) => node.addEventListener("click", () => {
    const found = [];
    column.values.forEach((value, k) => { if (value === Number(node.dataset.name)) found.push(k); });
    choose(found);
  }));
  if (!column) box.innerHTML = `<span class="exp-dim">${word("clips_only", { column: word(`column.${page.colour}`) })}</span>`;
}

function listen(plot, number) {
  plot.dataset.wired = "yes";
  plot.addEventListener("mousemove", (event) => { page.mouse = [event.clientX, event.clientY]; }, true); // Plotly keeps it
  plot.on("plotly_hover", act(({ points }) => hover(number, points[0])));
  plot.on("plotly_unhover", () => { page.seen += 1; $(".exp-hover").hidden = true; });
  plot.on("plotly_click", act(({ points }) => {
    const ref = refOf(number, points[0]);
    if (ref) return select(ref);
  }));
  plot.on("plotly_selected", (event) => {
    if (event) choose(event.points.filter((p) => p.curveNumber === 0).map((p) => p.pointNumber));
  });
  plot.on("plotly_relayout", (change) => {
    if (number) return;
    if (change["scene.camera"]) state.camera = change["scene.camera"];
    if ("xaxis.range[0]" in change) {
      const { xaxis, yaxis } = plot._fullLayout;
      state.ranges = { x: [...xaxis.range], y: [...yaxis.range] };
    }
    if (change["xaxis.autorange"]) state.ranges = null;
    keep();
  });
}

// The face below the mouse, if it is one.
function refOf(number, { curveNumber, pointNumber }) {
  if (curveNumber === 0) return `p:${pointNumber}`;
  const trace = plotOf(number).data[curveNumber];
  return trace.meta ? `c:${trace.meta.clip}:${trace.meta.track}:${pointNumber}` : null;
}

async function sheetOf(side, number) {
  const key = `${side.token}/${number}`;
  if (!page.sheets.has(key)) {
    page.sheets.set(key, call("sheet", { token: side.token, number }).then(({ url }) => url));
    if (page.sheets.size > 220) page.sheets.delete(page.sheets.keys().next().value);
  }
  return page.sheets.get(key);
}

// Shows a face beside the mouse; the name comes at once, the face when its sheet is here.
async function hover(number, point) {
  const seen = (page.seen += 1), side = page.sides[number], ref = refOf(number, point), box = $(".exp-hover");
  if (!ref) return;
  const picture = box.firstElementChild;
  const [x, y] = page.mouse || [0, 0];
  box.hidden = false;
  picture.style.backgroundImage = "";
  Object.assign(box.style, { left: `${Math.min(x + 16, innerWidth - 130)}px`, top: `${Math.min(y + 16, innerHeight - 150)}px` });
  if (!ref.startsWith("p:")) {
    const { clip, track } = plotOf(number).data[point.curveNumber].meta;
    box.lastElementChild.textContent = momentWords(clip, track, point.pointNumber);
    const { face } = await call("glimpse", { ref });
    if (seen === page.seen) Object.assign(picture.style, { backgroundImage: `url(${face})`, backgroundSize: "cover", backgroundPosition: "" });
    return;
  }
  box.lastElementChild.textContent = side.captions[point.pointNumber];
  const { cell, columns } = page.offered.thumbnails, place = side.cells[point.pointNumber], per = columns * columns;
  const url = await sheetOf(side, Math.floor(place / per)), inside = place % per, scale = 96 / cell;
  if (seen !== page.seen) return;
  const last = side.count - Math.floor(place / per) * per;
  picture.style.backgroundImage = `url(${url})`;
  picture.style.backgroundSize = `${Math.min(columns, Math.max(1, last)) * cell * scale}px auto`;
  picture.style.backgroundPosition = `-${(inside % columns) * 96}px -${Math.floor(inside / columns) * 96}px`;
}
