"""Drawing in the patient's coordinates: x from the midline, y down from the lung's apex."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Field = NDArray[np.float32]  # (rows, columns)
Points = NDArray[np.float64]  # (n, 2): x, y
Segment = tuple[float, float, float, float, float, float]  # x, y, to x, to y, width, value

COARSE = 4  # wide blurs run on a film reduced so many times


def curve(points: Sequence[tuple[float, float]] | Points, steps: int = 7) -> Points:
    """A Catmull-Rom curve through open points, ends included."""
    knots = np.asarray(points, dtype=np.float64)
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (part[:, None, :] for part in (a, b, c, d))
    bent = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.concatenate([bent.reshape(-1, 2), knots[-1:]])


def loop(points: Sequence[tuple[float, float]]) -> Points:
    """A closed smooth curve through points."""
    knots = list(points)
    return curve([*knots[-2:], *knots, *knots[:2]])[14:-7]


def ramp(value: Field, start: float, end: float) -> Field:
    """0 before start, 1 after end (either may be larger), smooth between."""
    t = np.clip((value - start) / (end - start), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def moved(points: Points, x: float, y: float) -> Points:
    """Points shifted by (x, y)."""
    return points + np.array([x, y])


def ribbon(points: Points, width: float) -> Points:
    """The outline of a band that follows open points."""
    along = np.empty_like(points)
    along[1:-1] = points[2:] - points[:-2]
    along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * (0.5 * width)
    return np.concatenate([points + across, (points - across)[::-1]])


class Layer:
    """An 8-bit sheet to draw one structure on; ``field`` turns it into shares of 1."""

    def __init__(self, canvas: "Canvas") -> None:
        self.canvas = canvas
        self.image = Image.new("L", (canvas.columns, canvas.rows), 0)
        self.draw = ImageDraw.Draw(self.image)

    def area(self, points: Points, value: float = 1.0) -> None:
        self.draw.polygon(self.canvas.pixels(points), fill=round(255 * value))

    def line(self, points: Points, width: float, value: float = 1.0) -> None:
        """``width`` in the patient's units, never under one pixel."""
        pixels, fill = width * self.canvas.scale, round(255 * value)
        if pixels < 2.5:
            wide = max(1, round(pixels))
            self.draw.line(self.canvas.pixels(points), fill=fill, width=wide)
        else:
            self.draw.polygon(self.canvas.pixels(ribbon(points, width)), fill=fill)

    def segments(self, lines: Sequence[Segment]) -> None:
        """Many straight pieces at once."""
        table = np.array(lines)
        ends = self.canvas.pixels(table[:, :4].reshape(-1, 2))
        widths = np.maximum(1, np.round(table[:, 4] * self.canvas.scale)).astype(int).tolist()
        fills = np.round(255 * table[:, 5]).astype(int).tolist()
        for start, end, width, fill in zip(ends[::2], ends[1::2], widths, fills, strict=True):
            self.draw.line((start, end), fill=fill, width=width)

    def disc(self, x: float, y: float, radius: float, value: float = 1.0) -> None:
        centre = self.canvas.pixels(np.array([[x, y]]))[0]
        self.draw.circle(centre, radius * self.canvas.scale, fill=round(255 * value))

    def field(self, blur: float = 1.0) -> Field:
        """Shares of 1; ``blur`` in pixels, from 2 on at a quarter of the size."""
        if blur >= 2.0:
            return self.haze(blur / self.canvas.scale)
        image = self.image.filter(ImageFilter.BoxBlur(blur))
        return np.asarray(image, dtype=np.float32) * np.float32(1 / 255)

    def haze(self, radius: float) -> Field:
        """Shares of 1, blurred widely: ``radius`` in the patient's units."""
        small = self.image.reduce(COARSE)
        small = small.filter(ImageFilter.GaussianBlur(radius * self.canvas.scale / COARSE))
        return self.canvas.enlarge(np.asarray(small, dtype=np.float32) * np.float32(1 / 255))


@dataclass(frozen=True)
class Canvas:
    """The film's pixels, and where the patient lies on them."""

    columns: int
    rows: int
    scale: float  # pixels per unit
    x: float  # pixel of the patient's origin
    y: float
    angle: float

    def pixels(self, points: Points) -> list[tuple[float, float]]:
        """The patient's coordinates as pixels."""
        cos, sin = self.scale * math.cos(self.angle), self.scale * math.sin(self.angle)
        x = self.x + cos * points[:, 0] - sin * points[:, 1]
        y = self.y + sin * points[:, 0] + cos * points[:, 1]
        return list(zip(x.tolist(), y.tolist(), strict=True))

    @cached_property
    def grid(self) -> tuple[Field, Field]:
        """The patient's x and y at each pixel of a film reduced ``COARSE`` times."""
        rows, columns = -(-self.rows // COARSE), -(-self.columns // COARSE)
        cos, sin = math.cos(self.angle) / self.scale, math.sin(self.angle) / self.scale
        across = COARSE * (np.arange(columns, dtype=np.float32) + np.float32(0.5))
        down = COARSE * (np.arange(rows, dtype=np.float32) + np.float32(0.5))
        right, below = (across - np.float32(self.x))[None, :], (down - np.float32(self.y))[:, None]
        x = right * np.float32(cos) + below * np.float32(sin)
        y = below * np.float32(cos) - right * np.float32(sin)
        return x, y

    def layer(self) -> Layer:
        return Layer(self)

    def enlarge(self, small: Field) -> Field:
        """A reduced field at the film's size."""
        size = (small.shape[1] * COARSE, small.shape[0] * COARSE)
        image = Image.fromarray(small).resize(size, Image.Resampling.BILINEAR)
        return np.asarray(image)[: self.rows, : self.columns]

    def clouds(self, rng: np.random.Generator) -> Field:
        """A mottled reduced field about 0, spread about 1; it lies in the patient, not the film."""
        x, y = self.grid
        total = np.zeros_like(x)
        for cells, weight in ((9, 0.7), (19, 0.75), (39, 0.6)):
            noise = rng.standard_normal((cells, cells), dtype=np.float32)
            column = np.clip((x + 2.0) / 4.0, 0, 0.999) * (cells - 1)
            row = np.clip((y + 1.2) / 4.0, 0, 0.999) * (cells - 1)
            i, j = row.astype(np.int32), column.astype(np.int32)
            down, right = ramp(row - i, 0, 1), ramp(column - j, 0, 1)
            top = noise[i, j] * (1 - right) + noise[i, j + 1] * right
            low = noise[i + 1, j] * (1 - right) + noise[i + 1, j + 1] * right
            total += np.float32(1.4 * weight) * (top * (1 - down) + low * down)
        return total
