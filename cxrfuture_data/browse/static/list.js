// The samples of a split and kind, as many as there are: only the rows in sight exist, and only
// their pages are fetched.

import { fetchJson, listQuery } from "./api.js";
import { byId, make, sayNumber } from "./element.js";

const PAGE = 100;
const ROW_HEIGHT = 46;
const BEYOND = 6;  // rows drawn above and below what is in sight
const TALLEST = 8_000_000;  // browsers end elements somewhat beyond
const PATIENCE = 80;  // ms of rest before a page is asked for

export function createList(choose) {
  const root = byId("list");
  const ground = make("div", { class: "ground" });
  root.append(ground);
  const list = {
    root, ground, choose, pages: new Map(), matching: 0, query: null, columns: [], chosen: null,
    turn: 0,
  };
  root.addEventListener("scroll", () => drawRows(list));
  root.addEventListener("click", (event) => {
    const row = event.target.closest("[data-key]");
    if (row) choose(row.dataset.key);
  });
  new ResizeObserver(() => drawRows(list)).observe(root);
  return {
    open: (query, columns) => openList(list, query, columns),
    mark: (key, position) => markRow(list, key, position),
    keyAt: async (position) => (await fetchRow(list, position))?.key,
    get matching() {
      return list.matching;
    },
  };
}

// Show another list; the answer has how many there are, and the first of them.
async function openList(list, query, columns) {
  list.turn += 1;
  Object.assign(list, { query, columns, pages: new Map(), matching: 0, chosen: null });
  list.root.setAttribute("aria-busy", "true");
  list.root.scrollTop = 0;
  list.ground.replaceChildren();
  byId("count").textContent = "Reading the list";
  try {
    const answer = await fetchPage(list, 0);
    list.matching = answer.matching;
    list.ground.style.height = `${Math.min(answer.matching * ROW_HEIGHT, TALLEST)}px`;
    sayCount(query, answer);
    return answer;
  } finally {
    list.root.removeAttribute("aria-busy");
    drawRows(list);
  }
}

function sayCount({ split, kind }, { total, matching }) {
  const all = `${sayNumber(total)} ${kind}${total === 1 ? "" : "s"} in ${split}`;
  byId("count").textContent = matching === total ? all : `${sayNumber(matching)} of ${all}`;
}

async function fetchPage(list, number) {
  if (!list.pages.has(number)) {
    const sorted = list.query.sort.replace(/^-/, "");
    const more = { offset: number * PAGE, limit: PAGE };
    if (sorted && sorted !== "key") more.show = sorted;
    const query = listQuery(list.query, more);
    const page = fetchJson(`/api/samples?${query}`);
    list.pages.set(number, page);
    page.then((answer) => (page.rows = answer.rows), () => list.pages.delete(number));
  }
  return list.pages.get(number);
}

async function fetchRow(list, position) {
  const number = Math.floor(position / PAGE);
  return (await fetchPage(list, number)).rows[position - number * PAGE];
}

// Above TALLEST, a pixel of scrolling is more than a pixel of rows.
function placeRows(list) {
  const sight = list.root.clientHeight;
  const [tall, full] = [list.ground.clientHeight, list.matching * ROW_HEIGHT];
  const share = tall > sight ? list.root.scrollTop / (tall - sight) : 0;
  const top = full > tall ? share * (full - sight) : list.root.scrollTop;
  const first = Math.max(Math.floor(top / ROW_HEIGHT) - BEYOND, 0);
  const last = Math.min(Math.ceil((top + sight) / ROW_HEIGHT) + BEYOND, list.matching);
  return { first, last, shift: list.root.scrollTop - top };
}

function drawRows(list) {
  const { first, last, shift } = placeRows(list);
  const rows = [];
  let isWaiting = false;
  for (let position = first; position < last; position += 1) {
    const row = list.pages.get(Math.floor(position / PAGE))?.rows?.[position % PAGE];
    isWaiting ||= !row;
    rows.push(makeRow(list, position, row, position * ROW_HEIGHT + shift));
  }
  list.ground.replaceChildren(...rows);
  clearTimeout(list.timer);
  if (isWaiting) list.timer = setTimeout(() => fetchSight(list), PATIENCE);
  const marked = list.ground.querySelector("[aria-selected=true]");
  if (marked) list.root.setAttribute("aria-activedescendant", marked.id);
  else list.root.removeAttribute("aria-activedescendant");
}

async function fetchSight(list) {
  const { turn } = list;
  const { first, last } = placeRows(list);
  const ends = [first, Math.max(last - 1, first)];
  const numbers = new Set(ends.map((position) => Math.floor(position / PAGE)));
  await Promise.allSettled([...numbers].map((number) => fetchPage(list, number)));
  if (turn === list.turn) drawRows(list);
}

function makeRow(list, position, row, top) {
  const isChosen = row !== undefined && row.key === list.chosen;
  const place = { "aria-posinset": position + 1, "aria-setsize": list.matching };
  const option = make("div", {
    id: `row-${position}`, role: "option", class: "sample", ...place,
    "aria-selected": String(isChosen), style: `top:${top}px;height:${ROW_HEIGHT}px`,
    data: row ? { key: row.key } : {},
  });
  const [first, second] = row ? describeRow(list, row) : ["…", ""];
  option.append(
    make("span", { class: "number", text: sayNumber(position + 1) }),
    make("span", { class: "first", text: first }),
    make("span", { class: "second", text: second }),
  );
  return option;
}

// What a row says: who, how long, and what the list is sorted by.
function describeRow(list, row) {
  const facts = [row.sex, typeof row.age === "number" ? `${Math.round(row.age)} y` : null];
  const hours = row.gap_hours ?? row.hours_since_previous;
  if (typeof hours === "number") facts.push(`${hours.toFixed(1)} h`);
  const views = [row["previous.view"] ?? row["image.view"], row["target.view"]].filter(Boolean);
  const sorted = list.query.sort.replace(/^-/, "");
  const column = list.columns.find(({ name }) => name === sorted);
  const more = [];
  if (column && sorted in row && !["age", "sex", "gap_hours"].includes(sorted)) {
    more.push(`${column.label} ${sayValue(row[sorted], column.unit)}`);
  } else {
    if (views.length) more.push(views.join(" → "));
    if (typeof row.events === "number") more.push(`${sayNumber(row.events)} events`);
    if (row.died_in_hospital === "yes") more.push("died in hospital");
  }
  return [facts.filter(Boolean).join(" · "), more.join(" · ") || row.key];
}

export function sayValue(value, unit) {
  if (value === null || value === undefined) return "not known";
  if (typeof value !== "number") return String(value);
  const rounded = Number.isInteger(value) ? sayNumber(value) : String(Number(value.toPrecision(4)));
  return unit ? `${rounded} ${unit}` : rounded;
}

function markRow(list, key, position) {
  list.chosen = key;
  if (position !== null && position !== undefined) scrollTo(list, position);
  drawRows(list);
}

function scrollTo(list, position) {
  const sight = list.root.clientHeight;
  const [tall, full] = [list.ground.clientHeight, list.matching * ROW_HEIGHT];
  const { first, last } = placeRows(list);
  if (position >= first + BEYOND && position < last - BEYOND - 1) return;
  if (position < BEYOND && list.root.scrollTop === 0 && (position + 1) * ROW_HEIGHT < sight) return;
  const top = Math.max(position * ROW_HEIGHT - sight / 2, 0);
  list.root.scrollTop = full > tall ? (top / (full - sight)) * (tall - sight) : top;
}
