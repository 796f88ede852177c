// Bokeh's charts, drawn from what the server sends.

import { fetchJson, samplePath } from "./api.js";
import { make } from "./element.js";

const SETTLED = 60;  // ms until the panels above have their height, and it is known what is in sight

let isLoaded = null;

function loadBokeh() {
  isLoaded ??= new Promise((resolve, reject) => {
    const script = make("script", { src: "/bokeh/bokeh.min.js" });
    script.addEventListener("load", () => resolve(window.Bokeh));
    script.addEventListener("error", () => {
      isLoaded = null;
      reject(new Error("The charts' library did not load: start cxrfuture browse again."));
    });
    document.head.append(script);
  });
  return isLoaded;
}

// `name`: timeline or hourly. A chart is asked for when it comes into sight. What fails is said in
// its place.
export function createChart(element, name) {
  const chart = { element, name, manager: null, turn: 0, wanted: null, isSeen: false, mark: null };
  const showWanted = () => {
    if (!chart.isSeen || !chart.wanted) return;
    const wanted = chart.wanted;
    chart.wanted = null;
    showChart(chart, ...wanted);
  };
  new IntersectionObserver(([entry]) => {
    chart.isSeen = entry.isIntersecting;
    showWanted();
  }, { rootMargin: "200px" }).observe(element);
  return {
    show: (address, theme, signal) => {
      clearChart(chart, "The chart is being drawn.");
      chart.wanted = [address, theme, signal];
      setTimeout(showWanted, SETTLED);
    },
    clear: (text = "") => clearChart(chart, text),
    mark: (hours) => markHours(chart, hours),
  };
}

function clearChart(chart, text) {
  chart.turn += 1;
  chart.wanted = null;
  forget(chart);
  chart.element.replaceChildren(...(text ? [make("p", { class: "grey", text })] : []));
}

// Bokeh keeps every document that it is not told to forget.
function forget(chart) {
  const all = window.Bokeh?.documents ?? [];
  for (const view of chart.manager ?? []) {
    const at = all.indexOf(view.model.document);
    if (at >= 0) all.splice(at, 1);
  }
  chart.manager?.clear();
  chart.manager = null;
  chart.mark = null;
}

async function showChart(chart, address, theme, signal) {
  const turn = (chart.turn += 1);
  chart.element.setAttribute("aria-busy", "true");
  try {
    const path = `${samplePath("/chart", address)}/${chart.name}?theme=${theme}`;
    const [bokeh, item] = await Promise.all([loadBokeh(), fetchJson(path, signal)]);
    if (turn !== chart.turn) return;
    const place = make("div", { id: `chart-${chart.name}` });
    chart.element.replaceChildren(place);
    chart.manager = await bokeh.embed.embed_item(item, place.id);
  } catch (error) {
    if (error.name === "AbortError" || turn !== chart.turn) return;
    chart.element.replaceChildren(make("p", { class: "failure", text: error.message }));
  } finally {
    if (turn === chart.turn) chart.element.removeAttribute("aria-busy");
  }
}

// A line across the chart at some hours; null: none.
function markHours(chart, hours) {
  const [view] = chart.manager ?? [];
  if (!view) return;
  if (!chart.mark) {
    const ink = getComputedStyle(chart.element).getPropertyValue("color");
    const look = { line_color: ink, line_width: 2, level: "overlay", dimension: "height" };
    chart.mark = new (window.Bokeh.Models.get("Span"))({ ...look, location: 0, visible: false });
    view.model.add_layout(chart.mark);
  }
  chart.mark.location = hours ?? 0;
  chart.mark.visible = hours !== null;
}
