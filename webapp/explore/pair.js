// Two bundles side by side.

import { escape } from "../common/page.js";
import { $, call, page, unpack, word } from "./context.js";
import { clickable, small } from "./face.js";
import { colour } from "./map.js";

export async function comparePair() {
  const box = $(".exp-pair");
  box.innerHTML = "";
  page.change = null;
  if (!page.sides[1]) return;
  const found = await call("compare", { other: page.sides[1].token });
  page.change = unpack(found.change, Float32Array);
  const [one, two] = page.sides.map(({ bundle }) => escape(bundle)), total = found.triplets;
  const [share_one, share_two] = found.wrong.map((count) => (100 * count / total).toFixed(0));
  const judged = total ? word("pair.wrong", { one, two, total, share_one, share_two, wrong_one: found.wrong[0],
    wrong_two: found.wrong[1], both: found.both_wrong }) : word("pair.no_triplets");
  const wrong = (bundle, triplets) => triplets.length ? `<h4>${word("pair.only", { bundle })}</h4>
    <div class="exp-triplets">${triplets.map((faces) => `<div>${faces.map(small).join("")}</div>`).join("")}</div>` : "";
  const change = { share: (100 * found.mean_change).toFixed(0), column: word("column.neighbours_changed") };
  box.innerHTML = `<h3>${word("pair.title", { one, two })}</h3>
    <p>${word("pair.change", change)}</p>
    <div class="exp-lists"></div>
    <h4>${word("pair.changed")}</h4><div class="exp-changed"></div>
    <p>${judged}</p>${wrong(one, found.only[0])}${wrong(two, found.only[1])}`;
  const changed = await call("faces", { refs: found.most_changed });
  box.querySelector(".exp-changed").innerHTML = changed.faces.map(small).join("");
  clickable(box);
  if (page.colour === "neighbours_changed") colour();
}

export async function showNeighbours(ref) {
  const { lists } = await call("neighbours", { ref, other: page.sides[1].token });
  const box = $(".exp-lists");
  box.innerHTML = lists.map((faces, side) => `
    <h4>${word("pair.nearest", { bundle: escape(page.sides[side].bundle) })} <small>${word("pair.framed")}</small></h4>
    <div class="exp-changed">${faces.map(small).join("")}</div>`).join("");
  clickable(box);
}
