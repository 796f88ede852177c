// Elements from data. Text is always set as text, never as HTML.

export const byId = (id) => document.getElementById(id);

export function make(tag, options = {}, ...children) {
  const { text, on = {}, data = {}, ...attributes } = options;
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && (value ?? null) !== null) element.setAttribute(name, value);
  }
  Object.assign(element.dataset, data);
  for (const [name, handle] of Object.entries(on)) element.addEventListener(name, handle);
  element.append(...children);
  return element;
}

export function fillSelect(select, options, chosen) {
  select.replaceChildren(
    ...options.map(([value, text]) => make("option", { value, text, selected: value === chosen })),
  );
}

// Names and values of a <dl>.
export function fillFacts(list, facts) {
  list.replaceChildren(
    ...facts.map(({ name, value }) =>
      make("div", {}, make("dt", { text: name }), make("dd", { text: value ?? "not known" })),
    ),
  );
}

export function showFailure(element, error) {
  element.textContent = error ? error.message : "";
  element.hidden = !error;
}

export const sayNumber = (value) => value.toLocaleString("en");
