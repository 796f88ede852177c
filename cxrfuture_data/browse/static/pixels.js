// Grey levels to what is seen. Levels are 0 to 255; a window is {centre, width} in levels.

export const FULL = { centre: 127.5, width: 255 };

// What each of 256 levels is shown as.
export function windowTable({ centre, width }, isInverted = false) {
  const table = new Uint8ClampedArray(256);
  for (let level = 0; level < 256; level += 1) {
    const shown = Math.min(Math.max((level - centre) / width + 0.5, 0), 1) * 255;
    table[level] = isInverted ? 255 - shown : shown;
  }
  return table;
}

// The window from the share `low` to the share `high` of the pixels of some films.
export function fitWindow(films, low, high) {
  const counts = new Uint32Array(256);
  for (const { levels } of films) for (const level of levels) counts[level] += 1;
  const total = counts.reduce((sum, count) => sum + count, 0);
  const levelAt = (share) => {
    let seen = 0;
    return counts.findIndex((count) => (seen += count) >= share * total && seen > 0);
  };
  const [from, to] = [levelAt(low), levelAt(high)];
  return { centre: (from + to) / 2, width: Math.max(to - from, 1) };
}

// target - previous, of shown levels: -255 to 255.
export function subtract(target, previous, table) {
  const difference = new Int16Array(target.length);
  for (let i = 0; i < target.length; i += 1) difference[i] = table[target[i]] - table[previous[i]];
  return difference;
}

const ORANGE = [[230, 90, 10], [255, 214, 130]];  // at BEND of the scale, and at its end
const BLUE = [[20, 90, 220], [130, 225, 255]];
const BEND = 0.6;

// Brighter in the target is orange, darker blue, the same black; as strong as they get at `reach`.
export function colourOfDifference(value, reach) {
  const share = Math.min(Math.abs(value) / reach, 1);
  const [from, to] = value > 0 ? ORANGE : BLUE;
  const beyond = (share - BEND) / (1 - BEND);
  return from.map((low, i) =>
    Math.round(share < BEND ? (low * share) / BEND : low + (to[i] - low) * beyond),
  );
}

// Black, violet, orange, pale yellow: of an anomaly map.
export function colourOfAnomaly(level) {
  const stops = [[0, 0, 0], [92, 24, 110], [216, 78, 50], [252, 176, 50], [252, 255, 190]];
  const at = (level / 255) * (stops.length - 1);
  const i = Math.min(Math.floor(at), stops.length - 2);
  return stops[i].map((low, c) => Math.round(low + (stops[i + 1][c] - low) * (at - i)));
}

// Colours as the words of an image's pixels, red in the lowest byte.
const packColour = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;

export const greysOf = (table) =>
  Uint32Array.from(table, (shown) => packColour([shown, shown, shown]));

export const ANOMALY_COLOURS = Uint32Array.from({ length: 256 }, (_, level) =>
  packColour(colourOfAnomaly(level)),
);

export const differenceColours = (reach) =>
  Uint32Array.from({ length: 511 }, (_, i) => packColour(colourOfDifference(i - 255, reach)));

// A canvas of the values; `colours[0]` is that of the value `lowest`.
export function paint({ width, height }, values, colours, lowest = 0) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  for (let i = 0; i < values.length; i += 1) words[i] = colours[values[i] - lowest];
  context.putImageData(image, 0, 0);
  return canvas;
}

// A film's levels from its PNG.
export async function readFilm(blob, size) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const [width, height] = size ?? [bitmap.width, bitmap.height];
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const levels = new Uint8Array(width * height);
  for (let i = 0; i < levels.length; i += 1) levels[i] = data[4 * i];
  return { width, height, levels };
}
