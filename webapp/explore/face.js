// ---- one face, a set of faces, a search, a morph

async function select(ref) {
  const clip = /^c:([^:]+):[^:]+:(\d+)$/.exec(ref);
  if (clip) showMoment(clip[1], Number(clip[2]));
  const found = await call("look", { ref });
  state.selected = ref;
  page.ring = found.point;
  keep();
  show(found);
  for (const number of page.sides.keys()) draw(number);
  await wear(ref);
  if (page.sides[1] && ref.startsWith("p:")) await showNeighbours(ref);
}

// The chosen face's place on a map that was drawn since.
async function ring(ref) {
  if (!ref.startsWith("p:")) page.ring = (await call("look", { ref })).point;
  else page.ring = null;
  for (const number of page.sides.keys()) await draw(number);
}

const small = ({ ref, face, distance, caption, is_new: isNew }) => `
  <button class="exp-small ${isNew ? "exp-new" : ""}" data-ref="${ref}" title="${escape(caption)}">
  <img src="${face}" alt="${escape(caption)}"><span>${distance ? figure(distance) : ""}</span></button>`;

function clickable(box) {
  box.querySelectorAll("[data-ref]").forEach((node) => node.addEventListener("click", act(() => select(node.dataset.ref))));
}

function show({ ref, face, caption, near, far }) {
  const panel = $(".exp-panel");
  panel.innerHTML = `
    <img class="exp-large" src="${face}" alt="The chosen face">
    <p class="exp-caption">${escape(caption)}</p>
    <div class="exp-row"><button data-from>Start a morph here</button>
      ${state.from && state.from !== ref ? "<button data-to>Morph to this face</button>" : ""}</div>
    <h3>Nearest</h3><div class="exp-near">${near.map(small).join("") || "<p>The pool has no other face.</p>"}</div>
    <h3>Farthest</h3><div class="exp-far">${far.map(small).join("")}</div>
    <div class="exp-worn"><p class="exp-dim">Decoding ...</p></div>`;
  clickable(panel);
  panel.querySelector("[data-from]").addEventListener("click", () => {
    state.from = ref;
    keep();
    say("Now click on the face to morph to, then on Morph to this face.");
  });
  panel.querySelector("[data-to]")?.addEventListener("click", act(() => morph(state.from, ref)));
}

async function wear(ref) {
  const box = $(".exp-worn");
  if (!box) return;
  const reply = await server.wear({ ...view(), ref });
  if (state.selected !== ref || !box.isConnected) return;
  if (reply.error) {
    box.innerHTML = `<p class="exp-note">${escape(reply.error)}</p>`;
    return;
  }
  const bars = reply.rig.filter(([, weight]) => weight > 0.02).slice(0, 14);
  box.innerHTML = `<h3>Avatars</h3><div class="exp-wearing">${reply.pictures.map(({ avatar, face }) =>
    `<figure><img src="${face}" alt="${escape(avatar)} with this expression"><figcaption>${escape(avatar)}</figcaption></figure>`)
    .join("")}</div><h3>Rig</h3><div class="exp-rig" role="list">${bars.map(([name, weight]) =>
    `<div role="listitem"><span>${name}</span><i><b style="width:${100 * weight}%"></b></i><em>${figure(weight)}</em></div>`)
    .join("") || '<p class="exp-dim">Every control rests.</p>'}</div>`;
}

async function morph(first, last) {
  say("Drawing the morph ...");
  const { pictures, ends } = await call("morph", { first, last });
  say("");
  const box = $(".exp-morph");
  box.hidden = false;
  box.innerHTML = `<h3>Morph by ${escape(state.avatars[0])}: the straight line between two faces, decoded</h3>
    <div class="exp-strip"><img src="${ends[0]}" alt="First face">${pictures.map((url, k) =>
      `<img src="${url}" alt="Step ${k + 1} of ${pictures.length}">`).join("")}<img src="${ends[1]}" alt="Last face"></div>`;
  box.scrollIntoView({ behavior: "smooth", block: "nearest" });
}

async function search(path, name) {
  const { ref } = await call("find", { path, name });
  await select(ref);
  say(`${name}: the ring shows where its largest face lands.`);
}

// ---- a set

function choose(indices) {
  page.chosen = indices;
  const box = $(".exp-set");
  box.hidden = !indices.length;
  const asks = page.offered.may_ask
    ? `${page.offered.needs_password ? '<input type="password" placeholder="Password" aria-label="Password of the Label admin tab">' : ""}
      <button data-ask>Send to Label as questions</button>` : "";
  box.innerHTML = `<b>${indices.length} ${indices.length === 1 ? "face" : "faces"} chosen</b> ${asks}
    ${[["list", "Images list"], ["npz", "NPZ"], ["csv", "CSV"], ["html", "These as HTML"]].map(([kind, name]) =>
      `<button data-export="${kind}">${name}</button>`).join("")}<button data-none>Choose none</button>`;
  box.querySelector("[data-none]").addEventListener("click", act(async () => {
    choose([]);
    for (const number of page.sides.keys()) await Plotly.restyle(plotOf(number), { selectedpoints: [null] });
  }));
  box.querySelector("[data-ask]")?.addEventListener("click", act(async () => {
    const password = box.querySelector("input")?.value || "";
    const { queued } = await call("ask", { indices: page.chosen, password });
    say(`${queued} ${queued === 1 ? "question" : "questions"} queued: annotators get them next.`);
  }));
  box.querySelectorAll("[data-export]").forEach((node) =>
    node.addEventListener("click", act(() => take(node.dataset.export, page.chosen))));
}

async function take(kind, indices) {
  say("Preparing the file ...");
  const { name, mime, data } = await call("export", { kind, indices });
  const link = Object.assign(document.createElement("a"), { download: name,
    href: URL.createObjectURL(new Blob([unpack(data, Uint8Array)], { type: mime })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say(`${name} is in your downloads.`);
}
