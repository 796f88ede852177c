// Bokeh's charts, drawn from what the server sends.

import { fetchJson, samplePath } from "./api.js";
import { make } from "./element.js";

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

// `name`: timeline or hourly. What fails is said in the chart's place.
export function createChart(element, name) {
  const chart = { element, name, manager: null, turn: 0 };
  return {
    show: (address, theme, signal) => showChart(chart, address, theme, signal),
    clear: (text = "") => clearChart(chart, text),
    find: (model) => findModel(chart, model),
  };
}

function clearChart(chart, text) {
  chart.turn += 1;
  chart.manager?.clear();
  chart.manager = null;
  chart.element.replaceChildren(...(text ? [make("p", { class: "grey", text })] : []));
}

async function showChart(chart, address, theme, signal) {
  const turn = (chart.turn += 1);
  chart.element.setAttribute("aria-busy", "true");
  try {
    const path = `${samplePath("/chart", address)}/${chart.name}?theme=${theme}`;
    const [bokeh, item] = await Promise.all([loadBokeh(), fetchJson(path, signal)]);
    if (turn !== chart.turn) return;
    const place = make("div", { id: `chart-${chart.name}` });
    chart.manager?.clear();
    chart.element.replaceChildren(place);
    chart.manager = await bokeh.embed.embed_item(item, place.id);
  } catch (error) {
    if (error.name === "AbortError" || turn !== chart.turn) return;
    chart.element.replaceChildren(make("p", { class: "failure", text: error.message }));
  } finally {
    if (turn === chart.turn) chart.element.removeAttribute("aria-busy");
  }
}

// A model of the chart by its name.
function findModel(chart, name) {
  for (const view of chart.manager ?? []) {
    const found = view.model.document?.get_model_by_name(name);
    if (found) return found;
  }
  return null;
}
