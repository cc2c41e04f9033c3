// A window with nothing but the avatars, before nothing: for OBS's browser source. It shows what the session sends whose
// key is in its address; "?avatar=ines" shows one of them alone, "?framing=bust" and "?mirrored=0" overrule the page.

import { Stage } from "../common/stage/stage.js";
import { describeFrom } from "./link.js";

const asked = new URLSearchParams(location.search);
const canvas = document.querySelector("canvas");
const stage = new Stage(canvas, describeFrom(new URL("../", location.href)));
let shown = "";

new EventSource(`${location.pathname}/events`).onmessage = ({ data }) => {
  const { avatars, look } = JSON.parse(data);
  const names = Object.keys(avatars).filter((name) => !asked.has("avatar") || asked.getAll("avatar").includes(name));
  const looks = {
    framing: asked.get("framing") === "bust" || asked.get("framing") === "face" ? asked.get("framing") : look.framing,
    isMirrored: asked.has("mirrored") ? asked.get("mirrored") !== "0" : look.mirrored,
  };
  if (shown !== (shown = JSON.stringify([names, looks]))) {
    stage.show(looks);
    stage.cast(names).catch(() => { shown = ""; });
  }
  for (const name of names) stage.pose(name, avatars[name].controls, avatars[name].head);
};
window.stage = stage;
