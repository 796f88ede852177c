// The controls above the films. Each sets one value of the view, and shows it when it changes.

import { fillSelect, make } from "./element.js";

export const MODES = [
  ["side", "Side by side"], ["flicker", "Flicker"], ["blend", "Blend"], ["wipe", "Wipe"],
];
export const PRESETS = [
  ["full", "Full range"], ["fit", "Fit to films"], ["dark", "Dark: lungs"],
  ["bright", "Bright: heart, bone"],
];
const COMPARED = [
  ["target-previous", "target − previous"], ["generated-target", "generated − target"],
];

// `act`: what the controls do, by name; see films.js.
export function createToolbar(view, act) {
  const controls = {};
  const button = (name, text, key, isToggle) => {
    const keys = key ? { "aria-keyshortcuts": key, title: `${text} (${key})` } : {};
    controls[name] = make("button", {
      type: "button", text, ...keys, data: { act: name },
      ...(isToggle ? { "aria-pressed": "false" } : {}), on: { click: () => act[name]() },
    });
    return controls[name];
  };
  const slider = (name, text, low, high, step = 1) => {
    const shown = make("output", { for: `view-${name}` });
    const input = make("input", {
      type: "range", id: `view-${name}`, min: low, max: high, step,
      on: { input: () => act.set({ [name]: Number(input.value) }) },
    });
    controls[name] = { input, shown };
    return make("label", { class: "slider", data: { slider: name } }, `${text} `, input, shown);
  };
  const select = (name, text, options, handle) => {
    controls[name] = make("select", { on: { change: (event) => handle(event.target.value) } });
    fillSelect(controls[name], options);
    return make("label", { data: { select: name } }, `${text} `, controls[name]);
  };
  const modes = make("div", { class: "joined", role: "group", "aria-label": "Comparison" },
    ...MODES.map(([name, text]) => makeMode(controls, name, text, act)));
  const presets = select("preset", "Window", [["", "as dragged"], ...PRESETS], act.preset);
  const tools = make(
    "div", { class: "tools", role: "group", "aria-label": "Film tools" },
    modes, button("difference", "Difference", "D", true), button("invert", "Invert", "I", true),
    make("span", { class: "group" }, 
      presets, slider("width", "Width", 1, 255), slider("centre", "Level", 0, 255)),
    make("span", { class: "joined" }, button("zoomOut", "−", null), button("zoomIn", "+", null)),
    button("reset", "Reset", "0"), button("wide", "Wide", "W", true),
    button("full", "Full screen", null),
  );
  controls.zoomOut.setAttribute("aria-label", "Zoom out");
  controls.zoomIn.setAttribute("aria-label", "Zoom in");
  const more = make(
    "div", { class: "tools more", role: "group", "aria-label": "Tools of the mode in use" },
    button("swap", "Swap", "S"), button("play", "Play", null, true),
    slider("rate", "Changes a second", 0.5, 3, 0.5),
    slider("mix", "Previous to target", 0, 1, 0.01),
    select("compared", "Difference of", COMPARED, (compared) => act.set({ compared })),
    slider("reach", "Full colour at ±", 8, 255),
  );
  return { tools, more, controls, show: () => showView(controls, more, view) };
}

function makeMode(controls, name, text, act) {
  const mode = make("button", {
    type: "button", text, "aria-pressed": "false", data: { mode: name },
    on: { click: () => act.mode(name) },
  });
  if (name === "flicker") mode.setAttribute("aria-keyshortcuts", "F");
  controls[`mode-${name}`] = mode;
  return mode;
}

function showView(controls, more, view) {
  const press = (name, isPressed) => controls[name].setAttribute("aria-pressed", String(isPressed));
  for (const [name] of MODES) {
    press(`mode-${name}`, view.mode === name);
    controls[`mode-${name}`].disabled = name !== "side" && !view.hasBoth;
  }
  press("difference", view.isDifference);
  press("invert", view.isInverted);
  press("wide", view.isWide);
  press("play", view.isPlaying);
  controls.play.textContent = view.isPlaying ? "Pause" : "Play";
  controls.difference.disabled = !view.hasBoth;
  controls.preset.value = view.preset;
  for (const name of ["width", "centre", "rate", "mix", "reach"]) {
    const { input, shown } = controls[name];
    input.value = view[name];
    const number = name === "mix" ? 100 * view.mix : view[name];
    shown.textContent = `${Math.round(2 * number) / 2}${name === "mix" ? " %" : ""}`;
  }
  controls.compared.value = view.compared;
  const isFlicker = view.mode === "flicker" && view.hasBoth;
  const isMixed = ["blend", "wipe"].includes(view.mode) && view.hasBoth;
  const isDifference = view.isDifference && view.hasBoth;
  controls.swap.hidden = !(isFlicker || isMixed);
  controls.play.hidden = !isFlicker;
  controls.rate.input.parentElement.hidden = !isFlicker;
  controls.mix.input.parentElement.hidden = !isMixed;
  controls.reach.input.parentElement.hidden = !isDifference;
  controls.compared.parentElement.hidden = !(isDifference && view.hasGenerated);
  more.hidden = !(isFlicker || isMixed || isDifference);
}
