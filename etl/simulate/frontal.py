"""The frontal film (AP, PA): what absorbs X-rays, structure by structure, front to back summed."""

import math

import numpy as np

from etl.simulate.anatomy import Anatomy, Pose, generator
from etl.simulate.canvas import Canvas, Field, Layer, Points, Segment, curve, loop, moved, ramp
from etl.simulate.chest import SIDES, Chest


def draw_body(canvas: Canvas, chest: Chest, pose: Pose) -> Field:
    """Soft tissue of neck, shoulders, trunk and arms."""
    layer = canvas.layer()
    fat = 0.06 + 0.22 * chest.anatomy.fat
    w, arm = chest.width, 0.16 if pose.view == "AP" else 0.30
    side = curve(
        [
            (0.40, -1.5),
            (0.39, -0.62),
            (0.46, -0.40),
            (0.86, -0.21),
            (1.22 * w, -0.13),
            (1.42 * w + fat, 0.12),
            (1.46 * w + fat, 0.6),
        ]
    )
    trunk = curve([(1.1 * w + fat, 0.74), (1.09 * w + fat, 1.2), (1.13 * w + fat, 2.6)])
    right = np.concatenate([side, trunk, [[1.13 * w + fat, 4.0]]])
    layer.area(np.concatenate([right, right[::-1] * [-1, 1]]))
    for mirror in SIDES:
        x = 1.27 * w + fat
        limb = curve([(x, 0.1), (x + 0.04, 0.8), (x + arm, 1.5), (x + 2.2 * arm, 2.4)])
        layer.line(limb * [mirror, 1], 0.36 + 0.5 * fat)
    return layer.field(1.4) * (0.30 + 0.70 * layer.haze(0.22))


def draw_breasts(canvas: Canvas, chest: Chest) -> Field:
    """The breasts' shadows over the lower lungs."""
    size = chest.anatomy.breast
    layer = canvas.layer()
    if size > 0:
        for side in SIDES:
            drop = 0.8 * chest.height
            reach = 0.36 + 0.1 * size
            angle = np.linspace(0, 2 * math.pi, 40)
            x = 0.6 * chest.width + reach * np.cos(angle)
            y = drop + (0.30 + 0.14 * size) * np.sin(angle) * np.where(angle > math.pi, 1.6, 1.0)
            layer.area(np.stack([side * x, y], axis=1), 0.35 + 0.65 * size)
    fade = ramp(canvas.grid[1], 0.4, 0.8 * chest.height)
    return layer.field(3.0) * canvas.enlarge(fade)


def draw_abdomen(canvas: Canvas, chest: Chest) -> tuple[Field, Field]:
    """What lies below the diaphragm, and the gas in stomach and gut."""
    layer = canvas.layer()
    share = np.concatenate([np.linspace(1.0, 0.12, 24), [0.0]])
    right, left = (
        np.stack([side * share * chest.width, chest.dome(side, share)], axis=1) for side in SIDES
    )
    right[-1, 1] = left[-1, 1] = 0.06 + 0.5 * (right[-2, 1] + left[-2, 1])
    edge = chest.width
    layer.area(np.concatenate([right, left[-2::-1], [[edge, 4.0], [-edge, 4.0]]]))
    bubble = canvas.layer()
    size = 0.12 * chest.anatomy.gastric_bubble
    x, y = 0.42 * chest.width, chest.tops[1] + 0.14 + 0.8 * size
    angle = np.linspace(0, 2 * math.pi, 30)
    shape = np.stack([x + 1.7 * size * np.cos(angle), y + size * np.sin(angle)], axis=1)
    bubble.area(shape, 0.8)
    rng = generator(chest.anatomy.seed, 3)
    for _ in range(5):
        gut_x, gut_y = rng.uniform(-0.5, 0.8), chest.height + rng.uniform(0.62, 1.0)
        bubble.disc(gut_x, gut_y, rng.uniform(0.05, 0.1), 0.4)
    return layer.field(1.2), bubble.field(3.0)


def rib_lines(chest: Chest, side: int, number: int) -> tuple[Points, Points]:
    """A rib's back part, from the spine to the wall, and its front part, back to the middle."""
    anatomy = chest.anatomy
    step = anatomy.rib_spacing * (0.5 + 0.5 * chest.height / anatomy.lung_height)
    start = 0.03 + step * number + 0.004 * number**1.5
    drop = anatomy.rib_slope * (0.13 + 0.34 * (1.0 - math.exp(-0.4 * number)))
    reach = float(chest.wall(start + drop)) + 0.015
    if number == 0:
        reach = 0.62 * chest.width
    back = curve(
        [
            (0.12, start + 0.02),
            (0.3, start - 0.02),
            (0.55 * reach, start + 0.08 * drop),
            (0.8 * reach, start + 0.4 * drop),
            (0.95 * reach, start + 0.78 * drop),
            (reach, start + 1.15 * drop),
        ]
    )
    end = start + 1.15 * drop
    front = curve(
        [
            (reach, end),
            (0.97 * reach, end + 0.07),
            (0.84 * reach, end + 0.17),
            (0.66 * reach, end + 0.25),
            (0.5 * reach, end + 0.30),
        ]
    )
    return back * [side, 1], front * [side, 1]


def draw_ribs(canvas: Canvas, chest: Chest) -> Field:
    """Curved ribs with brighter rims, back ones stronger than front ones."""
    layer = canvas.layer()
    for side in SIDES:
        lines = [rib_lines(chest, side, number) for number in range(12)]
        for _, front in lines[:7]:
            layer.line(front, 0.085, 0.26)
            layer.line(moved(front, 0, -0.04), 0.0, 0.45)
            layer.line(moved(front, 0, 0.04), 0.0, 0.45)
        for back, _ in lines:
            layer.line(back, 0.075, 0.46)
            layer.line(moved(back, 0, -0.036), 0.0, 0.85)
            layer.line(moved(back, 0, 0.036), 0.012, 1.0)
    return layer.field(0.7)


def draw_shoulders(canvas: Canvas, chest: Chest, pose: Pose) -> Field:
    """Clavicles, scapulae and upper arms."""
    layer = canvas.layer()
    w, lift = chest.width, chest.anatomy.clavicle_lift - (0.06 if pose.view == "AP" else 0.0)
    turned = 0.0 if pose.view == "AP" else 0.13  # shoulders rolled forward clear the lungs
    for side in SIDES:
        scapula = loop(
            [
                (0.83 * w + turned, 0.02),
                (1.12 * w + turned, -0.02),
                (1.17 * w + turned, 0.16),
                (1.03 * w + turned, 0.42),
                (0.93 * w + turned, 0.82),
                (0.86 * w + turned, 0.74),
                (0.83 * w + turned, 0.35),
            ]
        )
        layer.area(scapula * [side, 1], 0.26)
        layer.line(scapula * [side, 1], 0.025, 0.5)
        humerus = curve([(1.26 * w, 0.09), (1.31 * w, 0.5), (1.36 * w, 1.1), (1.42 * w, 2.0)])
        layer.line(humerus * [side, 1], 0.15, 0.6)
        layer.line(humerus * [side, 1], 0.08, 0.36)
        layer.disc(side * 1.24 * w, 0.05, 0.14, 0.62)
        clavicle = curve(
            [
                (0.13, 0.17 - lift),
                (0.34, 0.10 - lift),
                (0.62, 0.0 - lift),
                (0.88 * w, -0.10 - 0.5 * lift),
                (1.14 * w, -0.12),
            ]
        )
        layer.line(clavicle * [side, 1], 0.085, 0.95)
        layer.line(clavicle * [side, 1], 0.05, 0.70)
        layer.disc(side * 0.15, 0.17 - lift, 0.06, 0.85)
    return layer.field(1.1)


def draw_spine(canvas: Canvas, chest: Chest) -> Field:
    """Vertebrae with disc gaps, pedicles and spinous processes."""
    layer = canvas.layer()
    y, step = -0.75, 0.125
    while y < 3.2:
        x = float(chest.spine(y))
        half = 0.105 + 0.016 * max(y, 0.0)
        box = np.array([[-half, 0.01], [half, 0.01], [half, step - 0.015], [-half, step - 0.015]])
        layer.area(moved(box, x, y), 0.72)
        for edge in (0.01, step - 0.015):
            layer.line(np.array([[x - half, y + edge], [x + half, y + edge]]), 0.01, 0.95)
        for side in SIDES:
            layer.disc(x + side * 0.65 * half, y + 0.35 * step, 0.02, 1.0)
            process = np.array([[x + side * half, y + 0.04], [x + side * 1.7 * half, y + 0.02]])
            layer.line(process, 0.035, 0.5)
        layer.disc(x, y + 0.8 * step, 0.018, 1.0)
        y, step = y + step, step * 1.035
    return layer.field(1.0)


def draw_airway(canvas: Canvas, chest: Chest) -> Field:
    """The air in the trachea and the two main bronchi."""
    layer = canvas.layer()
    carina, x = 0.36 * chest.height, 0.6 * chest.shift
    layer.line(curve([(0.0, -1.2), (0.0, -0.3), (-0.02 + x, carina)]), 0.135, 0.9)
    for side, reach, fall in ((-1, 0.21, 0.15), (1, 0.26, 0.14)):
        bronchus = curve(
            [(-0.02 + x, carina - 0.03), (side * 0.5 * reach + x, carina + 0.5 * fall),
             (side * reach + x, carina + fall)]
        )  # fmt: skip
        layer.line(bronchus, 0.075, 0.62)
    return layer.field(2.0)


def grow_vessels(layer: Layer, chest: Chest, width: float) -> None:
    """Branching lung vessels from each hilum, thinner and fainter with every branching."""
    rng = generator(chest.anatomy.seed, 4)
    lines: list[Segment] = []
    for side in SIDES:
        x, y = chest.hilum(side)
        for branch in range(9):
            angle = math.radians(-76 + 19 * branch + rng.uniform(-8, 8))
            thick = 0.036 if branch > 3 else 0.026
            stems = [(x + side * 0.05, y + 0.02 * (branch - 4), angle, thick)]
            for length in (0.16, 0.15, 0.15, 0.13, 0.12, 0.1):
                grown: list[tuple[float, float, float, float]] = []
                for from_x, from_y, way, thick in stems:
                    reach = length * rng.uniform(0.7, 1.25)
                    to_x = from_x + side * reach * math.cos(way)
                    to_y = from_y + reach * math.sin(way) * 1.15
                    value = min(1.0, 0.22 + 22 * thick)
                    lines.append((from_x, from_y, to_x, to_y, width * thick, value))
                    turn = rng.uniform(-0.3, 0.35)
                    grown.append((to_x, to_y, way + turn, 0.8 * thick))
                    if len(stems) < 4 and rng.random() < 0.75:
                        fork = math.copysign(rng.uniform(0.5, 0.9), -turn)
                        grown.append((to_x, to_y, way + fork, 0.6 * thick))
                stems = grown
    layer.segments(lines)


def draw_hila(canvas: Canvas, chest: Chest) -> Field:
    """The knot of vessels at each lung's root."""
    layer = canvas.layer()
    for side in SIDES:
        x, y = chest.hilum(side)
        artery = curve([(x, y - 0.08), (x + side * 0.10, y), (x + side * 0.12, y + 0.2)])
        layer.line(artery, 0.10, 0.8)
        layer.line(np.array([[x, y], [x + side * 0.16, y - 0.1]]), 0.06, 0.6)
    return layer.field(3.5)


def draw_lungs(canvas: Canvas, chest: Chest) -> tuple[Field, Field]:
    """Both lungs' outline, and their air, which thins towards the rims."""
    layer = canvas.layer()
    for side in SIDES:
        layer.area(chest.lung(side))
    inside = layer.field()
    return inside, inside * (0.40 + 0.60 * layer.haze(0.10))


def draw_middle(canvas: Canvas, chest: Chest) -> tuple[Field, Field]:
    """Heart and great vessels: (density, thickest in the middle; share of lung air they leave)."""
    heart, vessels = canvas.layer(), canvas.layer()
    heart.area(chest.heart_outline())
    vessels.area(chest.mediastinum_outline())
    bulk, tubes = heart.field(1.5), vessels.field(1.5)
    left = (1.0 - 0.72 * bulk) * (1.0 - 0.8 * tubes)
    return np.maximum(bulk * (0.35 + 0.65 * heart.haze(0.13)), 0.62 * tubes), left


def frontal_canvas(anatomy: Anatomy, pose: Pose, columns: int, rows: int) -> Canvas:
    """Lay the chest in the film's middle with the lungs filling most of it."""
    height = anatomy.lung_height * pose.breath + 0.35
    scale = min(columns / (2.42 * anatomy.chest_width), rows / (height + 0.62)) * pose.scale
    x = columns / 2 + pose.shift_x * scale
    y = (rows - height * scale) * 0.44 + pose.shift_y * scale
    return Canvas(columns, rows, scale, x, y, pose.angle)
