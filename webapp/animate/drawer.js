// A frame on which a box is drawn around the face: by pointer, or by arrow keys (with Shift they change its size).

export function start({ element, props, trigger, watch, words }) {
  const box = { x: 0.3, y: 0.15, w: 0.4, h: 0.6 }; // shares of the frame
  let from = null;

  function build() {
    const root = element.querySelector(".fa-drawer");
    const value = props.value || {};
    if (!value.frame) return root.replaceChildren();
    root.innerHTML = `<p>${words.hint}</p><div class="fa-frame" tabindex="0" role="application" aria-label="${words.hint}">
      <img alt="" draggable="false"><div class="fa-box"></div></div><button class="fa-main">${words.use}</button>`;
    root.querySelector("img").src = value.frame;
    const frame = root.querySelector(".fa-frame");
    frame.onpointerdown = (event) => { frame.setPointerCapture(event.pointerId); from = at(frame, event); };
    frame.onpointermove = (event) => from && stretch(frame, at(frame, event));
    frame.onpointerup = (event) => { if (from) stretch(frame, at(frame, event)); from = null; };
    frame.onkeydown = (event) => nudge(frame, event);
    root.querySelector("button").onclick = () => trigger("draw", {
      box: [box.x * value.width, box.y * value.height, box.w * value.width, box.h * value.height],
    });
    paint(frame);
  }

  function at(frame, event) {
    const area = frame.getBoundingClientRect();
    const share = (value, low, length) => Math.min(Math.max((value - low) / length, 0), 1);
    return [share(event.clientX, area.left, area.width), share(event.clientY, area.top, area.height)];
  }

  function stretch(frame, to) {
    Object.assign(box, {
      x: Math.min(from[0], to[0]), y: Math.min(from[1], to[1]),
      w: Math.max(Math.abs(from[0] - to[0]), 0.02), h: Math.max(Math.abs(from[1] - to[1]), 0.02),
    });
    paint(frame);
  }

  function nudge(frame, event) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [0, 0];
    if (!dx && !dy) return;
    event.preventDefault();
    const [across, down] = event.shiftKey ? ["w", "h"] : ["x", "y"];
    const limit = (value, low, high) => Math.min(Math.max(value, low), high);
    box[across] = limit(box[across] + 0.02 * dx, event.shiftKey ? 0.04 : 0, 1 - (event.shiftKey ? box.x : box.w));
    box[down] = limit(box[down] + 0.02 * dy, event.shiftKey ? 0.04 : 0, 1 - (event.shiftKey ? box.y : box.h));
    paint(frame);
  }

  function paint(frame) {
    const style = frame.querySelector(".fa-box").style;
    [style.left, style.top, style.width, style.height] = [box.x, box.y, box.w, box.h].map((n) => `${100 * n}%`);
  }

  watch("value", build);
  build();
}
