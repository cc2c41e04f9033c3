// Curves of a run, drawn by Plotly. A click picks that moment.

import { loadPlotly } from "../common/plotly.js";

export function start({ element, props, trigger, watch, words, PLOTLY }) {
  const COLORS = ["#0d9488", "#e11d48", "#7c3aed", "#d97706", "#2563eb", "#65a30d", "#db2777", "#64748b"];

  const isNarrow = () => element.clientWidth < 500;
  const isDark = () => document.body.classList.contains("dark");

  function figure(value) {
    const ink = isDark() ? "#cbd5e1" : "#334155", grid = isDark() ? "#334155" : "#e2e8f0";
    const axis = { color: ink, gridcolor: grid, zerolinecolor: grid, fixedrange: false };
    const curves = value.curves.map((curve, k) => ({
      x: value.times, y: curve.values, name: curve.name, mode: "lines", line: { width: 1.6, color: COLORS[k % 8] },
      hovertemplate: "%{y:.2f}",
    }));
    const sure = {
      x: value.times, y: value.confidence, yaxis: "y2", name: words.confidence, mode: "lines", fill: "tozeroy",
      line: { width: 1, color: isDark() ? "#94a3b8" : "#64748b" }, hovertemplate: "%{y:.2f}", showlegend: false,
    };
    const gaps = value.missing.map(([x0, x1]) => ({
      type: "rect", xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, fillcolor: "#e11d48", opacity: 0.16, line: { width: 0 },
    }));
    const layout = {
      height: isNarrow() ? 440 : 380, margin: { l: 44, r: 10, t: 8, b: 40 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink, family: "system-ui, sans-serif", size: 12 }, hovermode: "x unified", shapes: gaps,
      hoverlabel: { bgcolor: isDark() ? "#1e293b" : "#ffffff" },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", ...(isNarrow() && { entrywidth: 0.48, entrywidthmode: "fraction" }) },
      xaxis: { ...axis, title: { text: words.seconds }, anchor: "y2" },
      yaxis: { ...axis, domain: [0.3, 1], rangemode: "tozero", title: { text: words.weight } },
      yaxis2: { ...axis, domain: [0, 0.2], range: [0, 1.05], title: { text: words.confidence }, nticks: 3 },
      annotations: value.curves.length ? gaps.slice(0, 4).map(({ x0, x1 }) => ({
        text: words.no_face, showarrow: false, xref: "x", yref: "paper", x: (x0 + x1) / 2, y: 0.98, font: { size: 11 },
      })) : [{ text: words.still, showarrow: false, xref: "paper", yref: "paper",
        x: 0.5, y: 0.7 }],
    };
    return [[...curves, sure], layout];
  }

  async function draw() {
    const value = props.value || {};
    const node = element.querySelector(".fa-chart");
    if (!value.times) return;
    await loadPlotly(PLOTLY);
    const [traces, layout] = figure(value);
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", words.label.replace("{names}", value.curves.map((c) => c.name).join(", ")));
    const isNew = !node.data;
    await window.Plotly.react(node, traces, layout, { responsive: true, displayModeBar: false });
    if (isNew) node.on("plotly_click", (event) => trigger("pick", { time: event.points[0].x }));
  }

  watch("value", draw);
  new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  draw();
}
