// Pictures of one moment. They are exchanged in place, so that nothing flickers while a slider moves.

export function start({ element, props, watch, words }) {
  let count = 0;

  function show() {
    const value = props.value || {};
    const faces = value.faces || [];
    const stage = element.querySelector(".fa-stage");
    if (value.trouble || !faces.length) {
      stage.replaceChildren(Object.assign(document.createElement("p"), { textContent: value.trouble || words.hint }));
      return;
    }
    const figures = [...stage.querySelectorAll("figure")];
    if (figures.length !== faces.length) {
      stage.replaceChildren(...faces.map(() => {
        const figure = document.createElement("figure");
        figure.append(new Image(), document.createElement("figcaption"));
        return figure;
      }));
    }
    stage.style.setProperty("--faces", faces.length);
    stage.querySelectorAll("figure").forEach((figure, k) => {
      const [image, caption] = figure.children;
      if (image.src !== faces[k].src) image.src = faces[k].src;
      image.alt = caption.textContent = faces[k].name;
    });
    stage.dataset.shown = ++count;
  }

  watch("value", show);
  show();
}
