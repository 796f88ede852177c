// The events of a sample as a table: by table, by words, and one of them marked.

import { byId, make, sayNumber } from "./element.js";

const SHOWN = 200;

// `mark`: called with the event that is marked, or null.
export function createEvents(mark) {
  const root = byId("events");
  const search = make("input", {
    type: "search", id: "event-text", placeholder: "Words of the event  ( E )", autocomplete: "off",
    spellcheck: "false", "aria-keyshortcuts": "E",
  });
  const label = make("label", { class: "unseen", for: "event-text", text: "Search the events" });
  const tables = make("div", { class: "ticks", role: "group", "aria-label": "Tables shown" });
  const count = make("p", { class: "grey", role: "status" });
  const body = make("tbody");
  const head = make("tr", {}, ...["Hour", "Until", "Table", "Event"].map((text) =>
    make("th", { scope: "col", text })));
  const table = make("table", { class: "events" },
    make("caption", { class: "unseen", text: "Events, oldest first" }),
    make("thead", {}, head), body);
  const scroll = make("div", {
    class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of events",
  }, table);
  const more = make("button", { type: "button", text: `Show ${SHOWN} more` });
  root.append(make("div", { class: "tools" }, label, search, tables), count, scroll, more);
  const events = {
    all: [], hidden: new Set(), limit: SHOWN, marked: null, mark,
    search, tables, count, body, more, scroll,
  };
  search.addEventListener("input", () => drawEvents(events, SHOWN));
  more.addEventListener("click", () => drawEvents(events, events.limit + SHOWN));
  return {
    show: (sample) => showEvents(events, sample),
  };
}

function showEvents(events, sample) {
  Object.assign(events, { all: sample.events ?? [], limit: SHOWN, marked: null });
  const counts = Object.entries(sample.event_tables ?? {});
  events.tables.replaceChildren(...counts.map(([name, n]) => makeTick(events, name, n)));
  drawEvents(events);
}

// A table that is hidden stays so from sample to sample.
function makeTick(events, name, n) {
  const tick = make("input", { type: "checkbox" });
  tick.checked = !events.hidden.has(name);
  tick.addEventListener("change", () => {
    if (tick.checked) events.hidden.delete(name);
    else events.hidden.add(name);
    drawEvents(events, SHOWN);
  });
  const count = make("span", { class: "grey", text: sayNumber(n) });
  return make("label", { class: "tick" }, tick, ` ${name} `, count);
}

function chooseEvents({ all, hidden, search }) {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  all.forEach((event, number) => {
    const text = `${event.table} ${event.text ?? ""}`.toLowerCase();
    const isFound = !hidden.has(event.table) && words.every((word) => text.includes(word));
    if (isFound) found.push({ ...event, number });
  });
  return found;
}

function drawEvents(events, limit = events.limit) {
  events.limit = limit;
  const found = chooseEvents(events);
  const all = sayNumber(events.all.length);
  events.count.textContent = events.all.length
    ? `${found.length === events.all.length ? "" : `${sayNumber(found.length)} of `}${all} events`
    : "No event in this window.";
  const rows = found.slice(0, limit).map((event) => makeRow(events, event));
  events.body.replaceChildren(...rows);
  events.more.hidden = found.length <= limit;
  events.scroll.hidden = !found.length;
}

const sayHours = (hours) => hours.toFixed(2).replace("-", "−");

function makeRow(events, event) {
  const isMarked = event.number === events.marked;
  const end = event.end_hours === null ? "" : sayHours(event.end_hours);
  const button = make("button", {
    type: "button", class: "mark", "aria-pressed": String(isMarked),
    text: event.text ?? "(the dataset keeps no texts)",
  });
  const texts = [sayHours(event.hours), event.is_open ? "still runs" : end, event.table];
  const cells = texts.map((text) => make("td", { text }));
  const look = { class: isMarked ? "marked" : "", data: { number: event.number } };
  const row = make("tr", look, ...cells, make("td", { class: "words" }, button));
  const marked = isMarked ? null : event.number;
  row.addEventListener("click", () => markEvent(events, event.number, marked));
  return row;
}

function markEvent(events, number, marked) {
  const hadFocus = events.body.contains(document.activeElement);
  events.marked = marked;
  drawEvents(events);
  if (hadFocus) events.body.querySelector(`[data-number="${number}"] button`).focus();
  events.mark(marked === null ? null : events.all[marked]);
}
