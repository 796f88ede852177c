// Which samples are listed, and in what order: chips of the filters in use, a form for one more.

import { byId, fillSelect, make } from "./element.js";
import { sayValue } from "./list.js";

const IS_WORDS = {
  "==": "is", "!=": "is not", ">=": "at least", "<=": "at most",
  contains: "contains", in: "is one of",
};
const IS_OF = {
  number: [">=", "<=", "==", "!="], word: ["==", "!=", "contains"], finding: ["==", "!="],
};
const GROUPS = [
  ["previous.", "Previous film"], ["target.", "Target film"], ["image.", "Film"],
  ["change.", "Change"], ["comorbidity.", "Comorbidities"], ["phenotype.", "Phenotypes"],
];

// `change`: called with what is new of {split, kind, where, find, sort}.
export function createFilters(change) {
  const filters = { change, columns: [], state: null };
  const choose = () => showValue(filters);
  byId("filter-column").addEventListener("change", () => showColumn(filters));
  byId("filter-is").addEventListener("change", choose);
  byId("filter").addEventListener("submit", (event) => {
    event.preventDefault();
    addFilter(filters);
  });
  byId("find").addEventListener("submit", (event) => event.preventDefault());
  let timer;
  byId("find-text").addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => change({ find: event.target.value.trim() }), 250);
  });
  byId("sort").addEventListener("change", (event) => change({ sort: event.target.value }));
  byId("descending").addEventListener("click", () => {
    const { sort } = filters.state;
    change({ sort: sort.startsWith("-") ? sort.slice(1) : `-${sort || "key"}` });
  });
  byId("split").addEventListener("change", (event) => change({ split: event.target.value }));
  byId("kind").addEventListener("change", (event) => change({ kind: event.target.value }));
  return { show: (dataset, state) => showFilters(filters, dataset, state) };
}

function showFilters(filters, dataset, state) {
  const isSameKind = filters.state?.kind === state.kind;
  filters.state = state;
  const kinds = dataset.splits[state.split] ?? {};
  const named = (of) => Object.keys(of).map((name) => [name, name]);
  fillSelect(byId("split"), named(dataset.splits), state.split);
  fillSelect(byId("kind"), named(kinds), state.kind);
  if (byId("find-text").value.trim() !== state.find) byId("find-text").value = state.find;
  if (!isSameKind) {
    filters.columns = dataset.columns[state.kind] ?? [];
    fillColumns(byId("filter-column"), filters.columns);
    fillColumns(byId("sort"), filters.columns, [["", "key"]]);
    showColumn(filters);
  }
  const sort = state.sort.replace(/^-/, "");
  byId("sort").value = sort === "key" ? "" : sort;
  const isDown = state.sort.startsWith("-");
  byId("descending").setAttribute("aria-pressed", String(isDown));
  byId("descending").textContent = isDown ? "Descending" : "Ascending";
  showChips(filters);
}

// Those of films, findings and diagnoses in groups of their own.
function fillColumns(select, columns, first = []) {
  const groups = new Map();
  for (const { name, label } of columns) {
    const group = GROUPS.find(([prefix]) => name.startsWith(prefix))?.[1] ?? "";
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push([name, label]);
  }
  const toOption = ([value, text]) => make("option", { value, text });
  select.replaceChildren(...first.map(toOption));
  for (const [group, options] of groups) {
    if (group) select.append(make("optgroup", { label: group }, ...options.map(toOption)));
    else select.append(...options.map(toOption));
  }
}

function chosenColumn(filters) {
  return filters.columns.find(({ name }) => name === byId("filter-column").value);
}

function showColumn(filters) {
  const column = chosenColumn(filters);
  if (!column) return;
  fillSelect(byId("filter-is"), IS_OF[column.form].map((is) => [is, IS_WORDS[is]]));
  showValue(filters);
}

function showValue(filters) {
  const column = chosenColumn(filters);
  const id = "filter-input";
  let input;
  if (column.form === "number") {
    input = make("input", { id, type: "number", step: "any", required: true });
  } else if (byId("filter-is").value === "contains") {
    input = make("input", { id, type: "text", required: true });
  } else {
    input = make("select", { id });
    fillSelect(input, (column.values ?? []).map((value) => [value, value]));
  }
  byId("filter-value").replaceChildren(input);
  const hasEnds = column.form === "number" && column.min !== null;
  byId("filter-hint").textContent = hasEnds
    ? `${sayValue(column.min)} to ${sayValue(column.max, column.unit)}`
    : column.form === "number" ? "not known of any sample" : "";
}

function addFilter(filters) {
  const column = chosenColumn(filters);
  const text = byId("filter-input").value;
  const value = column.form === "number" ? Number(text) : text;
  const added = { column: column.name, is: byId("filter-is").value, value };
  const others = filters.state.where.filter((one) => JSON.stringify(one) !== JSON.stringify(added));
  filters.change({ where: [...others, added] });
  byId("filter-box").open = false;
  byId("filter-box").querySelector("summary").focus();
}

function showChips(filters) {
  const { where, find } = filters.state;
  const chips = where.map((condition, i) => {
    const others = where.filter((_, j) => j !== i);
    return makeChip(describe(filters, condition), () => filters.change({ where: others }));
  });
  if (find) chips.push(makeChip(`key begins ${find}`, () => filters.change({ find: "" })));
  byId("chips").replaceChildren(...chips);
  byId("chips").hidden = !chips.length;
}

function makeChip(text, remove) {
  const button = make("button", {
    type: "button", "aria-label": `Remove the filter: ${text}`, on: { click: remove },
  }, text, make("span", { "aria-hidden": true, text: " ✕" }));
  return make("li", {}, button);
}

function describe(filters, { column: name, is, value }) {
  const column = filters.columns.find((one) => one.name === name);
  const said = Array.isArray(value) ? value.join(", ") : sayValue(value, column?.unit);
  return `${column?.label ?? name} ${IS_WORDS[is] ?? is} ${said}`;
}
