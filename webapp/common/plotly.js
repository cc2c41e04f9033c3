// Plotly is four megabytes, and served from here: it is loaded when there is something to draw, once for all tabs.

let loading = null;

export const loadPlotly = (path) => (loading = loading || new Promise((done, fail) => {
  const script = document.createElement("script");
  Object.assign(script, { src: `${location.pathname.replace(/\/$/, "")}/gradio_api/file=${path}`, onload: done });
  script.addEventListener("error", () => {
    loading = null;
    fail(new Error("Plotly could not be loaded"));
  });
  document.head.append(script);
}));
