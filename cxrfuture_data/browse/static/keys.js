// Keys. None while something is typed, chosen or dragged along, and none once they are turned off.

import { byId } from "./element.js";

const TYPED = "input:not([type=checkbox], [type=range]), select, textarea, [contenteditable]";
const DRAGGED = "input[type=range]";

// `acts`: what a key does, by the key.
export function followKeys(acts) {
  leaveChosen();
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (byId("help").open || !byId("keys-on").checked) return;
    if (event.target.closest(TYPED)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.target.closest(DRAGGED) && event.key.length > 1) return;
    const isInList = byId("list").contains(event.target);
    const listKeys = { ArrowDown: "j", ArrowUp: "k" };
    const key = isInList && listKeys[event.key] ? listKeys[event.key] : event.key;
    const act = acts[key.length === 1 ? key.toLowerCase() : key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

// A choice made with the pointer gives the keys back; made with the keyboard it keeps its focus.
function leaveChosen() {
  let isPointed = false;
  addEventListener("pointerdown", () => (isPointed = true), true);
  addEventListener("keydown", () => (isPointed = false), true);
  addEventListener("change", (event) => {
    if (isPointed && event.target.tagName === "SELECT" && !event.target.form) event.target.blur();
  });
}
