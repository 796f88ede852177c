// One sample's panels. Each loads by itself, and says by itself what is wrong.

import { fetchJson, samplePath } from "./api.js";
import { createChart } from "./charts.js";
import { byId, fillFacts, make, showFailure } from "./element.js";
import { createEvents } from "./events.js";
import { createStage } from "./films.js";

const SIGNS = { present: "●", absent: "○", uncertain: "◐", "not said": "·" };
const CHANGE_SIGNS = { new: "▲", worse: "▲", unchanged: "=", better: "▼", resolved: "▼" };

export function createSample(theme) {
  const panels = {
    theme,
    stage: createStage(byId("stage")),
    timeline: createChart(byId("timeline"), "timeline"),
    hourly: createChart(byId("hourly"), "hourly"),
  };
  panels.events = createEvents((event) => panels.timeline.mark(event ? event.hours : null));
  byId("show-ids").addEventListener("click", () => showIds(byId("ids").hidden));
  return {
    act: panels.stage.act,
    show: (address, signal) => showSample(panels, address, signal),
    redraw: () => panels.last && showCharts(panels, ...panels.last),
    empty: (text, hint) => showEmpty(panels, text, hint),
  };
}

function showIds(isShown) {
  byId("ids").hidden = !isShown;
  byId("show-ids").setAttribute("aria-expanded", String(isShown));
  byId("show-ids").textContent = isShown ? "Hide ids and times" : "Show ids and times";
}

// The sample, or an Error that the headline says; its films and charts follow.
async function showSample(panels, address, signal) {
  byId("main").setAttribute("aria-busy", "true");
  byId("key").textContent = address.key;
  showIds(false);
  try {
    const sample = await fetchJson(samplePath("/api/sample", address), signal);
    showFailure(byId("sample-failure"), null);
    byId("sample-hint").hidden = true;
    byId("panels").hidden = false;
    showFacts(sample, address.kind);
    panels.stage.show(sample, address.kind, signal);
    panels.events.show(sample);
    panels.last = [sample, address, signal];
    showCharts(panels, sample, address, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    showEmpty(panels, "This sample cannot be read");
    showFailure(byId("sample-failure"), error);
    throw error;
  } finally {
    if (!signal.aborted) byId("main").removeAttribute("aria-busy");
  }
}

// `hint`: what to do about it.
function showEmpty(panels, text, hint = "") {
  panels.last = null;
  panels.timeline.clear();
  panels.hourly.clear();
  showFailure(byId("sample-failure"), null);
  byId("headline").textContent = text;
  byId("sample-hint").textContent = hint;
  byId("sample-hint").hidden = !hint;
  byId("panels").hidden = true;
}

function showFacts(sample, kind) {
  byId("headline").textContent = sample.headline;
  fillFacts(byId("demographics"), sample.demographics);
  fillFacts(byId("provenance"), sample.provenance);
  fillFacts(byId("ids"), sample.ids);
  fillFacts(byId("outcomes"), sample.outcomes);
  byId("outcomes-box").hidden = !sample.outcomes.length;
  byId("labels").replaceChildren(makeLabels(sample, kind));
  const isWindowed = kind !== "image";
  for (const id of ["timeline-box", "events-box", "hourly-box"]) byId(id).hidden = !isWindowed;
}

function makeLabels(sample, kind) {
  const roles = { pair: ["previous", "target"], stay: ["previous"], image: ["image"] }[kind];
  const hasChange = kind === "pair";
  if (!sample.films.some(({ role }) => roles.includes(role))) {
    return make("p", { class: "grey", text: "None: this sample has no film." });
  }
  const short = { previous: "Prev.", target: "Target", image: "Film" };
  const heads = ["Finding", ...roles.map((role) => short[role]), ...(hasChange ? ["Change"] : [])];
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col", text })));
  const rows = sample.labels.map((row) =>
    make("tr", {}, make("th", { scope: "row", text: row.finding }),
      ...roles.map((role) => makeWord(row[role] ?? "not said")),
      ...(hasChange ? [makeChange(row.change)] : [])),
  );
  const words = "Findings of the films, as their reports say";
  const table = make("table", { class: "findings" },
    make("caption", { class: "unseen", text: words }),
    make("thead", {}, head), make("tbody", {}, ...rows));
  const signs = Object.entries(SIGNS).map(([word, sign]) => `${sign} ${word}`);
  const key = make("p", { class: "grey key", text: signs.join("   ") });
  return make("div", {}, table, key);
}

function makeWord(word) {
  return make("td", { class: `is-${word.replace(" ", "-")}`, title: word },
    make("span", { "aria-hidden": true, text: SIGNS[word] ?? word }),
    make("span", { class: "unseen", text: word }));
}

function makeChange(change) {
  if (!(change in CHANGE_SIGNS)) {
    const unknown = make("span", { class: "unseen", text: "not known" });
    return make("td", { class: "change", title: "not known" }, unknown);
  }
  return make("td", { class: `change ${change}` },
    make("span", { "aria-hidden": true, text: CHANGE_SIGNS[change] }), ` ${change}`);
}

function showCharts(panels, sample, address, signal) {
  if (address.kind === "image") return;
  const theme = panels.theme();
  if (sample.events.length) panels.timeline.show(address, theme, signal);
  else panels.timeline.clear("No event lies in this window.");
  const measured = sample.hourly.filter((one) => one.measured).length;
  byId("hourly-note").textContent = sample.hourly.length
    ? `${measured} of ${sample.hourly.length} variables were measured.`
    : "";
  byId("hourly-key").hidden = !measured;
  if (measured) panels.hourly.show(address, theme, signal);
  else panels.hourly.clear("No hourly value was measured for this sample.");
}
