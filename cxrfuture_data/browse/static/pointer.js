// The pointer on the films: drag sets window and level, Shift and drag moves, Ctrl and wheel zooms.

import { isGrey, placeOf, ROLE_WORDS } from "./panes.js";

const DRAGGED = 255 / 400;  // levels a pixel

export function followPointer(stage, act) {
  const { element, view } = stage;
  let drag = null;
  element.addEventListener("pointerdown", (event) => {
    if (event.target.tagName !== "CANVAS" || event.button === 2) return;
    event.preventDefault();
    event.target.setPointerCapture(event.pointerId);
    const isMove = event.shiftKey || event.button === 1;
    const at = [event.clientX, event.clientY];
    drag = { isMove, side: event.target.clientWidth, at, from: { ...view } };
  });
  element.addEventListener("pointermove", (event) => {
    if (!drag) return sayLevels(stage, event);
    const [right, down] = [event.clientX - drag.at[0], event.clientY - drag.at[1]];
    const { from, side } = drag;
    if (drag.isMove) {
      act.moveTo(from.x - right / side / from.zoom, from.y - down / side / from.zoom);
    } else if (right || down) {
      const width = clamp(from.width + right * DRAGGED, 1);
      act.set({ width, centre: clamp(from.centre + down * DRAGGED, 0) });
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    element.addEventListener(name, () => (drag = null));
  }
  element.addEventListener("wheel", (event) => {
    if (!event.ctrlKey || event.target.tagName !== "CANVAS") return;
    event.preventDefault();
    act.zoomBy(Math.exp(-event.deltaY / 300), ...pointedAt(event, view));
  }, { passive: false });
  element.addEventListener("dblclick", (event) => {
    if (event.target.tagName === "CANVAS") act.zoomBy(2, ...pointedAt(event, view));
  });
}

const sayName = (name) => (ROLE_WORDS[name] ?? name.replace("-", " ")).toLowerCase();
const clamp = (value, low) => Math.min(Math.max(value, low), 255);

// The place under the pointer, as shares of the square that holds a film.
function pointedAt(event, view) {
  const { width, height } = event.target.getBoundingClientRect();
  return [
    view.x + (event.offsetX / width - 0.5) / view.zoom,
    view.y + (event.offsetY / height - 0.5) / view.zoom,
  ];
}

function sayLevels(stage, event) {
  if (event.target.tagName !== "CANVAS") return;
  const side = event.target.clientWidth;
  const levels = {};
  let where = null;
  for (const film of stage.films) {
    if (!isGrey(film)) continue;
    const { left, top, wide, high } = placeOf(film, side, stage.view);
    const column = Math.floor(((event.offsetX - left) / wide) * film.width);
    const row = Math.floor(((event.offsetY - top) / high) * film.height);
    if (column < 0 || row < 0 || column >= film.width || row >= film.height) return;
    where ??= `column ${column}, row ${row}`;
    levels[film.name] = film.levels[row * film.width + column];
  }
  if (!where) return;
  const words = Object.entries(levels).map(([name, level]) => `${sayName(name)} ${level}`);
  if ("target" in levels && "previous" in levels) {
    const change = levels.target - levels.previous;
    const sign = change > 0 ? "+" : change < 0 ? "−" : "";
    words.push(`target − previous ${sign}${Math.abs(change)}`);
  }
  stage.readout.textContent = [where, ...words].join("   ·   ");
}
