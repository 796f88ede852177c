// The page of `cxrfuture browse`: the address says what is looked at, and all else follows from it.

import { fetchJson, listQuery } from "./api.js";
import { isSameList, readAddress, writeAddress } from "./address.js";
import { byId, sayNumber, showFailure } from "./element.js";
import { createFilters } from "./filters.js";
import { followKeys } from "./keys.js";
import { createList } from "./list.js";
import { createSample } from "./sample.js";
import { createTheme } from "./theme.js";

const NOTHING = { split: "", kind: "", key: "", where: [], find: "", sort: "" };
const page = { dataset: null, state: NOTHING, neighbours: {}, loading: new AbortController() };

async function start() {
  const theme = createTheme(() => page.sample.redraw());
  page.sample = createSample(theme.now);
  page.list = createList((key) => go({ key }));
  page.filters = createFilters(go);
  followButtons();
  try {
    page.dataset = await fetchJson("/api/dataset");
  } catch (error) {
    return stop(error);
  }
  showDataset(page.dataset);
  addEventListener("hashchange", follow);
  await follow();
}

// Nothing works without the server: say so over all of the page.
function stop(error) {
  showFailure(byId("stopped"), error);
  byId("columns").hidden = true;
}

function showDataset(dataset) {
  const { folder, recipe, origin, licence } = dataset;
  document.title = `${recipe}: samples`;
  byId("dataset-name").textContent = recipe;
  byId("dataset-facts").textContent = folder.split("/").slice(-3).join("/");
  byId("dataset-facts").title = folder;
  byId("origin").textContent = origin;
  byId("origin").hidden = !origin;
  byId("origin").classList.toggle("simulated", origin.includes("SIMULATED"));
  byId("licence").textContent = `Licence: ${licence}`;
}

// Another sample, or another list: a step that the back button takes back.
function go(changes, isReplaced = false) {
  const isNewList = !("key" in changes);
  const next = { ...page.state, ...(isNewList ? { key: "" } : {}), ...changes };
  if ("split" in changes || "kind" in changes) {
    Object.assign(next, completeKind(next), { where: [], find: "", sort: "" });
  }
  history[isReplaced ? "replaceState" : "pushState"](null, "", writeAddress(next));
  follow();
}

// A split and kind that the dataset has.
function completeKind({ split, kind }) {
  const { splits } = page.dataset;
  const found = split in splits ? split : Object.keys(splits)[0];
  const kinds = splits[found] ?? {};
  return { split: found, kind: kind in kinds ? kind : Object.keys(kinds)[0] };
}

async function follow() {
  const address = readAddress();
  const wanted = { ...address, ...completeKind(address) };
  const isOther = !isSameList(wanted, page.state) || !page.hasList;
  const isOtherSample = isOther || wanted.key !== page.state.key;
  page.state = wanted;
  if (!isOtherSample) return;
  page.loading.abort();
  page.loading = new AbortController();
  const { signal } = page.loading;
  try {
    if (isOther) await openList(wanted);
    if (signal.aborted) return;
    if (!wanted.key) return showFirst(signal);
    await Promise.all([showPosition(wanted, signal), page.sample.show(wanted, signal)]);
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) return;
    if (error.hasExpired) stop(error);
  }
}

async function openList(state) {
  page.hasList = true;
  byId("main").setAttribute("aria-busy", "true");
  page.filters.show(page.dataset, state);
  try {
    await page.list.open(state, page.dataset.columns[state.kind] ?? []);
  } catch (error) {
    page.hasList = false;
    page.sample.empty("This list cannot be shown");
    showFailure(byId("sample-failure"), error);
    setNeighbours({});
    byId("count").textContent = "";
    throw error;
  }
}

async function showFirst(signal) {
  if (page.list.matching) {
    const key = await page.list.keyAt(0);
    if (!signal.aborted) go({ key }, true);
    return;
  }
  const { split, kind, where, find } = page.state;
  const isFiltered = where.length > 0 || find !== "";
  const words = isFiltered
    ? "No sample matches these filters"
    : `This split is empty: ${split} has no ${kind} samples`;
  byId("main").removeAttribute("aria-busy");
  const hint = isFiltered ? "Take a filter away, above the list." : "Choose another split or kind.";
  page.sample.empty(words, hint);
  setNeighbours({});
  byId("key").textContent = "";
  say(words, "");
}

async function showPosition(state, signal) {
  setNeighbours({});
  try {
    const query = listQuery(state, { key: state.key });
    const found = await fetchJson(`/api/position?${query}`, signal);
    if (signal.aborted) return;
    setNeighbours(found);
    page.list.mark(state.key, found.position);
    const place = found.position === null
      ? `not among the ${sayNumber(page.list.matching)} listed`
      : `sample ${sayNumber(found.position + 1)} of ${sayNumber(page.list.matching)}`;
    say(place, place);
  } catch (error) {
    if (error.name === "AbortError" || error.hasExpired) throw error;
    page.list.mark(state.key, null);
    if (page.list.matching) setNeighbours({ next_key: await page.list.keyAt(0) });
    say(error.message, "");
  }
}

function setNeighbours(found) {
  page.neighbours = found;
  byId("previous-sample").disabled = !found.previous_key;
  byId("next-sample").disabled = !found.next_key;
}

function say(aloud, shown) {
  byId("status").textContent = aloud;
  byId("position").textContent = shown;
}

function step(name) {
  const key = page.neighbours[name];
  if (key) go({ key });
}

const goNext = () => step("next_key");
const goPrevious = () => step("previous_key");
const openHelp = () => byId("help").showModal();

function followButtons() {
  byId("next-sample").addEventListener("click", goNext);
  byId("previous-sample").addEventListener("click", goPrevious);
  byId("help-open").addEventListener("click", openHelp);
  byId("skip").addEventListener("click", () => byId("main").focus());
  byId("copy").addEventListener("click", copyLink);
  const { act } = page.sample;
  followKeys({
    j: goNext, ArrowRight: goNext, k: goPrevious, ArrowLeft: goPrevious,
    f: act.flicker, s: act.swap, d: act.difference, i: act.invert, w: act.wide, 0: act.reset,
    "+": act.zoomIn, "=": act.zoomIn, "-": act.zoomOut, "?": openHelp,
    "/": () => byId("find-text").focus(), e: () => byId("event-text").focus(),
  });
}

// The token stays out of a link: it works in this browser, as long as the server runs.
async function copyLink() {
  const button = byId("copy");
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copy it from the address bar";
  }
  byId("status").textContent = button.textContent;
  setTimeout(() => (button.textContent = "Copy link"), 2500);
}

start();
