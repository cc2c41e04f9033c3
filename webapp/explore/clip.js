// Clips: paths on the map, and the distance between actor and avatars along time.

import { escape } from "../common/page.js";
import { $, act, call, figure, follow, keep, page, say, state, unpack, word } from "./context.js";
import { axes, draw, kind, numbered, textColour, TRACKS } from "./map.js";

export async function trace(path, name) {
  const { job } = await call("trace", { path, name });
  const result = await follow(job);
  if (!result) return;
  state.clips.push(result.clip);
  keep();
  await addClip(result.clip);
}

export async function addClip(clip) {
  let reply;
  try {
    reply = await call("clip", { clip });
  } catch (error) {
    state.clips = state.clips.filter((other) => other !== clip);
    keep();
    if (!error.isReply) throw error;
    return;
  }
  if (reply.elsewhere) {
    say(reply.elsewhere);
    return;
  }
  page.clips.push(readClip(reply));
  await draw(0);
  showClips();
}

const readClip = (reply) => ({ ...reply, times: unpack(reply.times, Float32Array),
  tracks: reply.tracks.map((track) => ({ ...track, points: unpack(track.points, Float32Array),
    confidence: unpack(track.confidence, Float32Array), distance: track.distance && unpack(track.distance, Float32Array) })) });

// The paths on a map that was drawn since.
export async function replaceClips() {
  for (const [k, { clip }] of page.clips.entries()) page.clips[k] = readClip(await call("clip", { clip }));
  if (page.clips.length) await draw(0);
}

export function clipTraces({ clip, times, tracks }) {
  const dims = page.sides[0].map.dims;
  const by = { time: () => times, confidence: (track) => track.confidence }[page.colour];
  return tracks.map((track, k) => {
    const shade = TRACKS[k % TRACKS.length], { values, scale } = by ? numbered(by(track)) : {};
    return { type: kind(dims), mode: "lines+markers", ...axes(track.points, dims), name: track.name, hoverinfo: "none",
      meta: { clip, track: track.name }, connectgaps: false, line: { color: shade, width: dims === 3 ? 3 : 1.5 },
      marker: { size: dims === 3 ? 3 : 6, color: values || shade, symbol: k ? "diamond" : "circle",
        ...(scale ? { colorscale: scale, cmin: 0, cmax: 1 } : {}) } };
  });
}

const clipOf = (id) => page.clips.find(({ clip }) => clip === id);

const who = (track) => (track === "actor" ? word("actor") : track);

export function momentWords(clip, track, moment) {
  const { name, times } = clipOf(clip);
  const played = track === "actor" ? name : word("clip.playing", { avatar: track, clip: name });
  return word("clip.moment", { who: played, time: figure(times[moment]) });
}

function showClips() {
  $(".exp-clips").innerHTML = page.clips.map(({ clip, name, tracks }) => `<article data-clip="${clip}">
    <header><h3>${escape(word("clip.title", { clip: name }))}</h3><button data-drop>${word("clip.remove")}</button></header>
    <p class="exp-keys">${tracks.map((track, k) => `<span><i style="background:${TRACKS[k % TRACKS.length]}"></i>
      ${escape(who(track.name))} ${track.distance ? `<small>${apart(track)}</small>` : ""}</span>`).join("")}</p>
    ${tracks.length > 1 ? '<div class="exp-time"></div>' : ""}<div class="exp-moment"></div>
    ${tracks.slice(1).map(worstHtml).join("")}
    </article>`).join("");
  page.clips.forEach((clip) => act(fillClip)(clip));
}

const apart = ({ distance, shift }) => word("clip.median", { median: figure(median(distance)), shift: figure(shift) });

function worstHtml({ name, worst }) {
  if (!worst.length) return `<p class="exp-note">${escape(word("clip.no_face", { avatar: name }))}</p>`;
  const buttons = worst.map((moment) => `<button data-moment="${moment}">...</button>`);
  return `<h4>${escape(word("clip.worst", { avatar: name }))}</h4>
    <div class="exp-worst" data-track="${escape(name)}">${buttons.join("")}</div>`;
}

const median = (values) => {
  const sorted = [...values].filter((value) => !Number.isNaN(value)).toSorted((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : null;
};

async function fillClip({ clip, times, tracks }) {
  const box = page.root.querySelector(`[data-clip="${clip}"]`), chart = box.querySelector(".exp-time");
  box.querySelector("[data-drop]").addEventListener("click", act(async () => {
    await call("drop", { clip });
    state.clips = state.clips.filter((other) => other !== clip);
    page.clips = page.clips.filter((other) => other.clip !== clip);
    if (state.selected.startsWith(`c:${clip}`)) state.selected = page.ring = "";
    keep();
    showClips();
    await draw(0);
  }));
  if (chart) {
    await Plotly.newPlot(chart, tracks.slice(1).map((track, k) => ({ x: times, y: track.distance, name: track.name, mode: "lines",
      line: { color: TRACKS[k + 1], width: 2 }, hovertemplate: "%{x:.2f} s: %{y:.2f}<extra>%{fullData.name}</extra>" })), {
      margin: { l: 48, r: 12, t: 8, b: 40 }, height: 200, showlegend: false, paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)", font: { color: textColour() }, hovermode: "x",
      xaxis: { title: { text: word("clip.seconds") }, gridcolor: "rgba(148,163,184,.3)" },
      yaxis: { title: { text: word("clip.distance") }, rangemode: "tozero", gridcolor: "rgba(148,163,184,.3)" } },
      { responsive: true, displayModeBar: false });
    chart.on("plotly_click", act(({ points }) => showMoment(clip, points[0].pointNumber)));
  }
  for (const list of box.querySelectorAll(".exp-worst")) {
    for (const node of list.children) {
      const moment = Number(node.dataset.moment), { time, faces } = await call("moment", { clip, moment });
      const pair = faces.filter(({ name }) => name === "actor" || name === list.dataset.track);
      node.innerHTML = `${pair.map(({ face, name }) => `<img src="${face}" alt="${escape(who(name))}">`).join("")}
        <span>${figure(time)} s · ${figure(pair.at(-1).distance)}</span>`;
      node.addEventListener("click", act(() => showMoment(clip, moment)));
    }
  }
}

// Actor and avatars at one moment, side by side.
export const showMoment = act(async (clip, moment) => {
  const { time, faces } = await call("moment", { clip, moment });
  const box = page.root.querySelector(`[data-clip="${clip}"] .exp-moment`);
  if (!box) return;
  const caption = (name, distance) => (distance === null ? word("clip.at", { who: who(name), time: figure(time) })
    : word("clip.apart", { who: who(name), distance: figure(distance) }));
  box.innerHTML = faces.map(({ name, face, distance }) => `<figure>
    <img src="${face}" alt="${escape(word("clip.picture", { who: who(name) }))}">
    <figcaption>${escape(caption(name, distance))}</figcaption></figure>`).join("");
});
