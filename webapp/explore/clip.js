// ---- clips: paths on the map, and the distance between actor and avatars along time

async function trace(path, name) {
  const { job } = await call("trace", { path, name });
  const result = await follow(job);
  if (!result) return;
  state.clips.push(result.clip);
  keep();
  await addClip(result.clip);
}

async function addClip(clip) {
  let reply;
  try {
    reply = await call("clip", { clip });
  } catch (error) {
    state.clips = state.clips.filter((other) => other !== clip);
    keep();
    if (!error.isSaid) throw error;
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
async function replaceClips() {
  for (const [k, { clip }] of page.clips.entries()) page.clips[k] = readClip(await call("clip", { clip }));
  if (page.clips.length) await draw(0);
}

function clipTraces({ clip, times, tracks }) {
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

function momentWords(clip, track, moment) {
  const { name, times } = clipOf(clip);
  return `${track === "actor" ? name : `${track} playing ${name}`}, ${figure(times[moment])} s`;
}

function showClips() {
  const box = $(".exp-clips");
  box.innerHTML = page.clips.map(({ clip, name, tracks }) => `<article data-clip="${clip}">
    <header><h3>${escape(name)}: how far each avatar is from the actor</h3><button data-drop>Remove this clip</button></header>
    <p class="exp-keys">${tracks.map((track, k) => `<span><i style="background:${TRACKS[k % TRACKS.length]}"></i>${escape(track.name)}
      ${track.distance ? `<small>median ${figure(median(track.distance))}, of which ${figure(track.shift)} is a constant shift</small>` : ""}</span>`)
      .join("")}</p>
    ${tracks.length > 1 ? '<div class="exp-time"></div>' : ""}<div class="exp-moment"></div>
    ${tracks.slice(1).map((track) => track.worst.length ? `<h4>Where ${escape(track.name)} is farthest</h4>
      <div class="exp-worst" data-track="${escape(track.name)}">${track.worst.map((moment) =>
        `<button data-moment="${moment}">...</button>`).join("")}</div>`
      : `<p class="exp-note">No face was found in the pictures of ${escape(track.name)}: there is no distance to show.</p>`).join("")}
    </article>`).join("");
  page.clips.forEach((clip) => act(fillClip)(clip));
}

const median = (values) => {
  const sorted = [...values].filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : null;
};

async function fillClip({ clip, times, tracks }) {
  const box = root.querySelector(`[data-clip="${clip}"]`), chart = box.querySelector(".exp-time");
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
      xaxis: { title: { text: "seconds" }, gridcolor: "rgba(148,163,184,.3)" },
      yaxis: { title: { text: "distance" }, rangemode: "tozero", gridcolor: "rgba(148,163,184,.3)" } },
      { responsive: true, displayModeBar: false });
    chart.on("plotly_click", act(({ points }) => showMoment(clip, points[0].pointNumber)));
  }
  for (const list of box.querySelectorAll(".exp-worst")) {
    for (const node of list.children) {
      const moment = Number(node.dataset.moment), { time, faces } = await call("moment", { clip, moment });
      const pair = faces.filter(({ name }) => name === "actor" || name === list.dataset.track);
      node.innerHTML = `${pair.map(({ face, name }) => `<img src="${face}" alt="${escape(name)}">`).join("")}
        <span>${figure(time)} s · ${figure(pair.at(-1).distance)}</span>`;
      node.addEventListener("click", act(() => showMoment(clip, moment)));
    }
  }
}

// Actor and avatars at one moment, side by side.
const showMoment = act(async (clip, moment) => {
  const { time, faces } = await call("moment", { clip, moment });
  const box = root.querySelector(`[data-clip="${clip}"] .exp-moment`);
  if (!box) return;
  box.innerHTML = faces.map(({ name, face, distance }) => `<figure><img src="${face}" alt="${escape(name)} at this moment">
    <figcaption>${escape(name)}${distance === null ? ` at ${figure(time)} s` : `, distance ${figure(distance)}`}</figcaption></figure>`)
    .join("");
});
