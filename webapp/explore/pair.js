// ---- two bundles side by side

async function comparePair() {
  const box = $(".exp-pair");
  box.innerHTML = "";
  page.change = null;
  if (!page.sides[1]) return;
  const found = await call("compare", { other: page.sides[1].token });
  page.change = unpack(found.change, Float32Array);
  const [one, two] = page.sides.map(({ bundle }) => escape(bundle)), [wrongOne, wrongTwo] = found.wrong;
  const share = (count) => `${count} of ${found.triplets} (${(100 * count / found.triplets).toFixed(0)} %)`;
  const judged = found.triplets
    ? `<p>Annotators' triplets got wrong: ${one} ${share(wrongOne)}, ${two} ${share(wrongTwo)}; both ${found.both_wrong}.</p>`
    : "<p>There are no annotators' triplets yet: the Label tab collects them.</p>";
  const wrong = (name, triplets) => triplets.length ? `<h4>Only ${name} gets these wrong (people: the first two are alike)</h4>
    <div class="exp-triplets">${triplets.map((faces) => `<div>${faces.map(small).join("")}</div>`).join("")}</div>` : "";
  box.innerHTML = `<h3>${one} beside ${two}</h3>
    <p>On average ${(100 * found.mean_change).toFixed(0)} % of a face's ten nearest neighbours change. Colour by
      <i>neighbours changed</i> shows where.</p>
    <div class="exp-lists"></div>
    <h4>Faces whose neighbours change most</h4><div class="exp-changed"></div>
    ${judged}${wrong(one, found.only[0])}${wrong(two, found.only[1])}`;
  const changed = await call("faces", { refs: found.most_changed });
  box.querySelector(".exp-changed").innerHTML = changed.faces.map(small).join("");
  clickable(box);
  if (page.colour === "neighbours changed") colour();
}

async function showNeighbours(ref) {
  const { lists } = await call("neighbours", { ref, other: page.sides[1].token });
  const box = $(".exp-lists");
  box.innerHTML = lists.map((faces, side) => `<h4>Nearest under ${escape(page.sides[side].bundle)}
    <small>framed: not among the other's</small></h4><div class="exp-changed">${faces.map(small).join("")}</div>`).join("");
  clickable(box);
}

// ---- go, once the tab is seen

new IntersectionObserver((entries, observer) => {
  if (!entries.some((entry) => entry.isIntersecting)) return;
  observer.disconnect();
  act(start)();
}).observe(root);
