// Light, dark, or as the system has it; remembered in this browser.

import { byId } from "./element.js";

const NAMES = { auto: "Colours: system", light: "Colours: light", dark: "Colours: dark" };
const KEPT = "cxrfuture-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

// `change`: called when what is seen becomes light or dark.
export function createTheme(change) {
  let chosen = localStorage.getItem(KEPT) ?? "auto";
  if (!(chosen in NAMES)) chosen = "auto";
  const now = () => (chosen === "auto" ? (system.matches ? "dark" : "light") : chosen);
  const show = () => {
    document.documentElement.dataset.theme = now();
    byId("theme").textContent = NAMES[chosen];
  };
  byId("theme").addEventListener("click", () => {
    const names = Object.keys(NAMES);
    chosen = names[(names.indexOf(chosen) + 1) % names.length];
    localStorage.setItem(KEPT, chosen);
    show();
    change();
  });
  system.addEventListener("change", () => {
    show();
    change();
  });
  show();
  return { now };
}
