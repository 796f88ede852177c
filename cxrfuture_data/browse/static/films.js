// The stage: a sample's films on black, with one window, zoom and place for all of them.

import { fetchAnswer } from "./api.js";
import { make } from "./element.js";
import {
  createPaints, drawPicture, findCompared, isGrey, listFilms, makePane, planPanes, ROLE_WORDS,
} from "./panes.js";
import { fitWindow, FULL, readFilm } from "./pixels.js";
import { createToolbar } from "./toolbar.js";
import { followPointer } from "./pointer.js";

const SHARES = { fit: [0.01, 0.99], dark: [0.005, 0.6], bright: [0.4, 0.999] };
const START = {
  ...FULL, preset: "full", isInverted: false, zoom: 1, x: 0.5, y: 0.5, mode: "side", mix: 0.5,
};
const MOST_ZOOM = 16;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function createStage(root) {
  const view = {
    ...START, rate: 1, isPlaying: false, isDifference: false, compared: "target-previous",
    reach: 96, seen: "previous", hasBoth: false, hasGenerated: false, isWide: false,
  };
  const stage = { view, films: [], panes: [], paints: createPaints(), isAsked: false };
  const act = createActs(stage);
  const toolbar = createToolbar(view, act);
  const panes = make("div", { class: "panes", id: "panes" });
  const hint = "Grey levels under the pointer are shown here.";
  const readout = make("p", { class: "readout", text: hint });
  root.append(toolbar.tools, toolbar.more, make("div", { class: "black" }, panes, readout));
  Object.assign(stage, { root, toolbar, element: panes, readout });
  new ResizeObserver(() => placePanes(stage)).observe(root);
  addEventListener("resize", () => placePanes(stage));
  document.addEventListener("fullscreenchange", () => placePanes(stage));
  followPointer(stage, act);
  showStage(stage);
  return { act, view, show: (sample, kind, signal) => showFilms(stage, sample, kind, signal) };
}

function createActs(stage) {
  const { view } = stage;
  const set = (values) => {
    const isWindow = "width" in values || "centre" in values;
    Object.assign(view, isWindow ? { preset: "" } : {}, values);
    showStage(stage);
  };
  const zoomBy = (factor, x = view.x, y = view.y) => {
    const zoom = Math.min(Math.max(view.zoom * factor, 1), MOST_ZOOM);
    const part = 1 - view.zoom / zoom;
    moveTo(view.x + (x - view.x) * part, view.y + (y - view.y) * part, zoom);
  };
  const moveTo = (x, y, zoom = view.zoom) => {
    const edge = 0.5 / zoom;
    const [left, top] = [x, y].map((at) => Math.min(Math.max(at, edge), 1 - edge));
    set({ zoom, x: left, y: top });
  };
  const swap = () => {
    if (view.mode === "side") return;
    set({ seen: view.seen === "previous" ? "target" : "previous", mix: 1 - view.mix });
  };
  const mode = (name) => {
    if (name !== "side" && !view.hasBoth) return;
    set({ mode: name, isPlaying: name === "flicker" && !calm.matches, seen: "previous" });
  };
  return {
    set, swap, mode, zoomBy, moveTo,
    flicker: () => mode(view.mode === "flicker" ? "side" : "flicker"),
    play: () => set({ isPlaying: !view.isPlaying }),
    difference: () => view.hasBoth && set({ isDifference: !view.isDifference }),
    invert: () => set({ isInverted: !view.isInverted }),
    preset: (name) => choosePreset(stage, name),
    zoomIn: () => zoomBy(1.5),
    zoomOut: () => zoomBy(1 / 1.5),
    reset: () => set({ ...START, isPlaying: false, isDifference: false }),
    wide: () => {
      view.isWide = document.body.classList.toggle("is-wide");
      showStage(stage);
    },
    full: () =>
      document.fullscreenElement ? document.exitFullscreen() : stage.root.requestFullscreen(),
  };
}

function choosePreset(stage, name) {
  const films = stage.films.filter(isGrey);
  if (!name || (name !== "full" && !films.length)) return;
  const window_ = name === "full" ? FULL : fitWindow(films, ...SHARES[name]);
  Object.assign(stage.view, window_, { preset: name });
  showStage(stage);
}

// Read a sample's films; one that cannot be read says why in its pane.
async function showFilms(stage, sample, kind, signal) {
  stage.element.setAttribute("aria-busy", "true");
  const films = await Promise.all(listFilms(sample, kind).map((film) => loadFilm(film, signal)));
  if (signal.aborted) return;
  const target = films.find((film) => film.role === "target" && film.levels);
  stage.films = await Promise.all(films.map((film) => matchSize(film, target ?? film)));
  stage.paints.forget();
  const has = (role) => stage.films.some((film) => film.role === role && film.levels);
  stage.view.hasBoth = has("previous") && has("target");
  stage.view.hasGenerated = has("generated");
  if (!stage.view.hasGenerated) stage.view.compared = "target-previous";
  if (["fit", "dark", "bright"].includes(stage.view.preset)) choosePreset(stage, stage.view.preset);
  showStage(stage, true);
  stage.element.removeAttribute("aria-busy");
}

async function loadFilm(film, signal) {
  if (film.why) return film;
  try {
    const blob = await (await fetchAnswer(film.url, signal)).blob();
    return { ...film, blob, ...(await readFilm(blob)) };
  } catch (error) {
    const why = error.name === "AbortError" ? "" : error.message;
    return { ...film, why: `This film cannot be shown: ${why}` };
  }
}

// A difference is taken pixel by pixel, so films of other sizes take the target's.
async function matchSize(film, like) {
  if (!isGrey(film) || film.width === like.width) return film;
  return { ...film, ...(await readFilm(film.blob, [like.width, like.height])) };
}

// Panes are made again only when others are seen than before.
function showStage(stage, isNew = false) {
  const { view } = stage;
  stage.toolbar.show();
  const plan = planPanes(stage.films, view);
  const names = plan.map(({ name, why }) => `${name}${why ? "!" : ""}`).join();
  if (isNew || names !== stage.names) {
    stage.panes = plan.map(makePane);
    stage.element.replaceChildren(...stage.panes.map((pane) => pane.figure));
    stage.names = names;
    placePanes(stage);
  }
  keepFlickering(stage);
  drawSoon(stage);
}

// As many columns as make the films largest.
function placePanes(stage) {
  const count = stage.panes.length || 1;
  const isFull = document.fullscreenElement === stage.root;
  const width = stage.element.clientWidth || 600;
  const height = Math.max(innerHeight - (isFull ? 150 : 270), 260);
  const sides = Array.from({ length: count }, (_, i) =>
    Math.min(width / (i + 1), height / Math.ceil(count / (i + 1))),
  );
  const best = Math.max(...sides);
  // A row rather than a square, where they are nearly as large.
  const columns = sides.findLastIndex((side) => side > 0.95 * best) + 1;
  stage.element.style.setProperty("--columns", columns);
  stage.element.style.setProperty("--side", `${Math.floor(sides[columns - 1]) - 4}px`);
  drawSoon(stage);
}

function keepFlickering(stage) {
  const { view } = stage;
  const isRunning = view.mode === "flicker" && view.isPlaying && view.hasBoth;
  if (isRunning && stage.rate === view.rate) return;
  clearInterval(stage.timer);
  stage.rate = isRunning ? view.rate : null;
  if (isRunning) {
    stage.timer = setInterval(() => {
      view.seen = view.seen === "previous" ? "target" : "previous";
      drawSoon(stage);
    }, 1000 / view.rate);
  }
}

function drawSoon(stage) {
  if (stage.isAsked) return;
  stage.isAsked = true;
  requestAnimationFrame(() => {
    stage.isAsked = false;
    for (const pane of stage.panes) if (pane.canvas) drawPane(stage, pane);
  });
}

function drawPane(stage, pane) {
  const { view, paints } = stage;
  const side = Math.round(pane.canvas.clientWidth * devicePixelRatio) || 1;
  if (pane.canvas.width !== side) pane.canvas.width = pane.canvas.height = side;
  const context = pane.canvas.getContext("2d");
  context.fillStyle = "black";
  context.fillRect(0, 0, side, side);
  const draw = (name) => {
    const film = stage.films.find((one) => one.name === name);
    drawPicture(context, paints.film(film, view), side, view);
  };
  if (pane.name === "both") drawBoth(stage, pane, context, draw);
  else if (pane.name === "difference") {
    const [minuend, subtrahend] = findCompared(stage.films, view.compared);
    pane.figure.querySelector(".low").textContent = `−${view.reach} darker`;
    pane.figure.querySelector(".high").textContent = `brighter +${view.reach}`;
    drawPicture(context, paints.difference(minuend, subtrahend, view), side, view);
  } else draw(pane.name);
}

function drawBoth({ view }, pane, context, draw) {
  const { width: side } = pane.canvas;
  const isTarget = view.seen === "target";
  const say = (title, facts) => {
    pane.titleElement.textContent = title;
    pane.factsElement.textContent = facts;
    pane.canvas.setAttribute("aria-label", `${title} ${facts}`.trim());
  };
  if (view.mode === "flicker") {
    draw(view.seen);
    pane.figure.dataset.seen = view.seen;
    say(ROLE_WORDS[view.seen], isTarget ? "after" : "before");
    return;
  }
  draw("previous");
  context.save();
  if (view.mode === "blend") context.globalAlpha = view.mix;
  else {
    context.beginPath();
    context.rect(side * (1 - view.mix), 0, side * view.mix, side);
    context.clip();
  }
  draw("target");
  context.restore();
  if (view.mode === "wipe") {
    context.fillStyle = "#ffb347";
    context.fillRect(side * (1 - view.mix) - 1, 0, 2, side);
  }
  const share = `target ${Math.round(100 * view.mix)} %`;
  say("Previous and target", view.mode === "wipe" ? "target on the right" : share);
}
