// The panes of the stage: which there are, and what each draws.

import { make } from "./element.js";
import {
  ANOMALY_COLOURS, colourOfAnomaly, colourOfDifference, differenceColours, greysOf, paint, subtract,
  windowTable,
} from "./pixels.js";

export const ROLE_WORDS = {
  previous: "Previous", target: "Target", image: "Film", generated: "Generated",
  reconstruction: "Reconstruction", anomaly: "Anomaly map",
};
const EXPECTED = { pair: ["previous", "target"], stay: ["previous"], image: ["image"] };
const ABSENT = {
  stay: "This stay has no film before its prediction time.",
  other: "This sample has no such film.",
};

// The films of a sample with those that its kind should have, and why one cannot be shown.
export function listFilms(sample, kind) {
  const named = sample.films.map((film) => ({ ...film, name: nameFilm(film) }));
  const found = new Map(named.map((film) => [film.name, film]));
  const names = [...new Set([...EXPECTED[kind], ...found.keys()])];
  return names.map((name) => {
    const film = found.get(name);
    if (!film) return { name, role: name, why: ABSENT[kind] ?? ABSENT.other };
    if (!film.url) {
      return { ...film, why: `This film cannot be shown: ${film.reason ?? "it is not kept"}.` };
    }
    return film;
  });
}

// Of generated films there may be several, by seed.
const nameFilm = ({ role, seed }) => (typeof seed === "number" ? `${role}-${seed}` : role);

// Whether a film holds grey levels that the window is for.
export const isGrey = (film) => Boolean(film.levels) && film.role !== "anomaly";

export function describeFilm({ role, view, hours, seed }) {
  if (role === "generated") return `by a model${typeof seed === "number" ? `, seed ${seed}` : ""}`;
  if (role === "reconstruction") return "by a model of normal films";
  if (role === "anomaly") return "brighter: less like a normal film";
  const facts = [view];
  if (hours !== null && hours !== undefined) facts.push(sayHours(hours));
  return facts.filter(Boolean).join(" · ");
}

function sayHours(hours) {
  const sign = hours > 0 ? "+" : hours < 0 ? "−" : "";
  return `${sign}${Math.abs(hours).toFixed(Math.abs(hours) < 100 && hours ? 1 : 0)} h`;
}

// Which panes are seen: {name, roles, title, facts, why}.
export function planPanes(films, view) {
  const byName = Object.fromEntries(films.map((film) => [film.name, film]));
  const isBoth = byName.previous?.levels && byName.target?.levels;
  const plan = [];
  for (const film of films) {
    const isJoined = isBoth && view.mode !== "side" && EXPECTED.pair.includes(film.role);
    if (isJoined && film.role === "target") continue;
    plan.push(
      isJoined
        ? { name: "both", title: "", facts: "", why: null }
        : { ...film, title: ROLE_WORDS[film.role], facts: describeFilm(film) },
    );
  }
  if (view.isDifference) plan.push(planDifference(byName, view));
  return plan;
}

// The films of a choice of the toolbar, as in "target-previous"; of generated ones the first.
export function findCompared(films, compared) {
  return compared.split("-").map((role) => films.find((film) => film.role === role));
}

function planDifference(byName, { compared }) {
  const [minuend, subtrahend] = findCompared(Object.values(byName), compared);
  const title = "Difference";
  const facts = `${ROLE_WORDS[minuend?.role]} − ${ROLE_WORDS[subtrahend?.role]}`.toLowerCase();
  const isThere = minuend?.levels && subtrahend?.levels;
  const why = isThere ? null : "A difference takes two films.";
  return { name: "difference", title, facts, why };
}

export function makePane(plan) {
  const title = make("strong", { text: plan.title });
  const facts = make("span", { text: plan.facts });
  const caption = make("figcaption", {}, title, " ", facts);
  const figure = make("figure", { class: "pane", data: { pane: plan.name } }, caption);
  if (plan.why) {
    figure.append(make("p", { class: "why", text: plan.why }));
    return { ...plan, figure };
  }
  const words = `${plan.title} ${plan.facts}`.trim();
  const canvas = make("canvas", { role: "img", "aria-label": words });
  figure.append(canvas);
  if (plan.name === "difference") figure.append(makeLegend(true));
  if (plan.name === "anomaly") figure.append(makeLegend(false));
  return { ...plan, figure, canvas, titleElement: title, factsElement: facts };
}

function makeLegend(isDifference) {
  const bar = make("canvas", { width: 220, height: 10, "aria-hidden": true });
  const words = isDifference
    ? [make("span", { class: "low" }), bar, make("span", { class: "high" })]
    : [make("span", { text: "low" }), bar, make("span", { text: "high" })];
  const context = bar.getContext("2d");
  for (let x = 0; x < 220; x += 1) {
    const share = x / 219;
    const colour = isDifference
      ? colourOfDifference(2 * share - 1, 1)
      : colourOfAnomaly(255 * share);
    context.fillStyle = `rgb(${colour.join(" ")})`;
    context.fillRect(x, 0, 1, 10);
  }
  return make("p", { class: "legend" }, ...words);
}

// Films painted at the view's window, kept until it changes.
export function createPaints() {
  const kept = new Map();
  const once = (name, stamp, make_) => {
    if (kept.get(name)?.stamp !== stamp) kept.set(name, { stamp, painted: make_() });
    return kept.get(name).painted;
  };
  return {
    forget: () => kept.clear(),
    film(film, view) {
      if (film.role === "anomaly") {
        return once(film.name, 0, () => paint(film, film.levels, ANOMALY_COLOURS));
      }
      const stamp = [view.centre, view.width, view.isInverted].join();
      const colours = () => greysOf(windowTable(view, view.isInverted));
      return once(film.name, stamp, () => paint(film, film.levels, colours()));
    },
    difference(minuend, subtrahend, view) {
      const stamp = [view.centre, view.width, view.reach, view.compared].join();
      return once("difference", stamp, () => {
        const values = subtract(minuend.levels, subtrahend.levels, windowTable(view));
        return paint(minuend, values, differenceColours(view.reach), -255);
      });
    },
  };
}

// Where a picture of `width` x `height` lies on a square canvas of `side`, zoomed about (x, y).
export function placeOf({ width, height }, side, { zoom, x, y }) {
  const scale = (side * zoom) / Math.max(width, height);
  const [wide, high] = [width * scale, height * scale];
  return {
    left: side * (0.5 + (0.5 - x) * zoom) - wide / 2,
    top: side * (0.5 + (0.5 - y) * zoom) - high / 2,
    wide, high,
  };
}

export function drawPicture(context, picture, side, view) {
  const { left, top, wide, high } = placeOf(picture, side, view);
  context.imageSmoothingEnabled = wide / picture.width < 6;  // beyond, pixels are shown as pixels
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, left, top, wide, high);
}
