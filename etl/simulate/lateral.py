"""The lateral film, the patient facing the film's left: x grows from front to back."""

import math

import numpy as np

from etl.simulate.anatomy import Anatomy, Findings, Pose, generator
from etl.simulate.canvas import Canvas, Field, Layer, Points, Segment, curve, moved, ramp

SPINE = ((0.24, -0.9), (0.30, -0.45), (0.46, 0.05), (0.62, 0.5), (0.66, 0.95), (0.58, 1.45),
         (0.46, 1.95), (0.42, 2.6))  # fmt: skip


class Profile:
    """The lung's outline, diaphragm and heart of one lateral film."""

    def __init__(self, anatomy: Anatomy, findings: Findings, pose: Pose) -> None:
        self.anatomy = anatomy
        self.height = anatomy.lung_height * pose.breath * (1 - 0.05 * findings.atelectasis)
        self.depth = anatomy.chest_width * (1.0 + 0.12 * anatomy.fat)
        portable = 1.0 + 0.35 * findings.cardiomegaly
        self.heart = anatomy.heart_size * portable

    def dome(self, lift: float) -> Points:
        """A half diaphragm from the front wall to the deep angle behind."""
        h, d = self.height - lift, self.depth
        return curve(
            [(-0.63 * d, h + 0.10), (-0.42 * d, h - 0.02), (-0.1 * d, h - 0.03),
             (0.25 * d, h + 0.08), (0.55 * d, h + 0.25), (0.80 * d, h + 0.44)]
        )  # fmt: skip

    def lung(self) -> Points:
        """Both lungs' outline, one over the other."""
        h, d = self.height, self.depth
        front = [(0.30, -0.03), (0.10, 0.03), (-0.20 * d, 0.14 * h), (-0.43 * d, 0.3 * h),
                 (-0.56 * d, 0.52 * h), (-0.63 * d, 0.8 * h), (-0.64 * d, h + 0.05)]  # fmt: skip
        back = [(0.84 * d, 0.92 * h), (0.86 * d, 0.6 * h), (0.78 * d, 0.3 * h),
                (0.62 * d, 0.08 * h), (0.42, -0.02), (0.30, -0.03)]  # fmt: skip
        return np.concatenate([curve(front), self.dome(0.0), curve(back)])

    def heart_outline(self) -> Points:
        """The heart lies on the diaphragm, behind the breastbone."""
        h, d, size = self.height, self.depth, self.heart
        angle = np.linspace(0, 2 * math.pi, 48)
        along, across = 0.52 * size * np.cos(angle), 0.36 * size * np.sin(angle)
        tilt = math.radians(52)
        x = -0.24 * d + along * math.cos(tilt) - across * math.sin(tilt) + 0.10 * (size - 1)
        y = 0.76 * h + along * math.sin(tilt) * 0.9 + across * math.cos(tilt)
        return np.stack([x, y], axis=1)

    def back_of_wall(self, y: float) -> float:
        return float(np.interp(y / self.height, (0, 0.3, 0.6, 1.3), (0.55, 0.8, 0.88, 0.82)))


def draw_trunk(canvas: Canvas, profile: Profile) -> Field:
    """Soft tissue: neck, trunk, the raised arms over the apices."""
    layer, arms = canvas.layer(), canvas.layer()
    d, fat = profile.depth, 0.05 + 0.16 * profile.anatomy.fat
    front = curve([(-0.12, -1.6), (-0.10, -0.5), (-0.30, -0.02), (-0.62 * d - fat, 0.55),
                   (-0.72 * d - fat - 0.14 * profile.anatomy.breast, 1.0),
                   (-0.74 * d - fat, 1.4), (-0.82 * d - fat, 2.2), (-0.8 * d, 3.4)])  # fmt: skip
    back = curve([(0.75 * d, 3.4), (0.78 * d + fat, 2.1), (0.92 * d + fat, 1.3),
                  (0.98 * d + fat, 0.7), (0.86 * d + fat, 0.12), (0.56, -0.4),
                  (0.5, -1.6)])  # fmt: skip
    layer.area(np.concatenate([front, back]))
    for x in (0.06, 0.26):
        arms.line(curve([(x + 0.2, 0.42), (x, 0.0), (x - 0.3, -0.5), (x - 0.5, -1.4)]), 0.42, 0.5)
    body = layer.field(1.4) * (0.35 + 0.65 * layer.haze(0.2))
    return body + 0.55 * arms.haze(0.05)


def draw_vertebrae(canvas: Canvas) -> Field:
    """Vertebral bodies as tilted blocks, rimmed, with the arches behind."""
    layer = canvas.layer()
    line = curve(SPINE, 12)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at, step = 0.1, 0.13
    while at + step < along[-1]:
        ends = [
            np.array([np.interp(place, along, line[:, axis]) for axis in (0, 1)])
            for place in (at + 0.012, at + step - 0.012)
        ]
        way = (ends[1] - ends[0]) / np.hypot(*(ends[1] - ends[0]))
        across = np.array([-way[1], way[0]]) * (0.09 + 0.015 * at)
        box = np.stack([ends[0] - across, ends[0] + across, ends[1] + across, ends[1] - across])
        layer.area(box, 0.62)
        layer.line(np.concatenate([box, box[:1]]), 0.012, 0.95)
        arch = np.stack([ends[0] - across, ends[0] - 2.1 * across + 0.6 * step * way])
        layer.line(arch, 0.05, 0.4)
        at, step = at + step, step * 1.03
    return layer.field(1.0)


def draw_side_ribs(canvas: Canvas, profile: Profile) -> Field:
    """Both sides' ribs, from the spine down and forward, and the breastbone."""
    layer = canvas.layer()
    d, slope = profile.depth, profile.anatomy.rib_slope
    for number in range(10):
        start = 0.04 + profile.anatomy.rib_spacing * number
        for y in (start, start + 0.05):
            behind = profile.back_of_wall(y) * d + 0.02
            rib = curve([(0.9 * behind - 0.1, y - 0.03), (behind, y + 0.1),
                         (0.72 * behind, y + 0.24 * slope), (0.25 * d, y + 0.5 * slope),
                         (-0.2 * d, y + 0.66 * slope)])  # fmt: skip
            layer.line(rib, 0.06, 0.22)
            layer.line(moved(rib, 0.0, 0.03), 0.0, 0.55)
            layer.line(moved(rib, 0.0, -0.03), 0.0, 0.55)
    h = profile.height
    sternum = curve([(-0.30 * d, 0.1 * h), (-0.47 * d, 0.27 * h), (-0.6 * d, 0.5 * h),
                     (-0.67 * d, 0.75 * h)])  # fmt: skip
    layer.line(sternum, 0.075, 0.7)
    layer.line(moved(sternum, 0.04, 0.0), 0.01, 1.0)
    layer.line(curve([(0.55 * d, -0.1), (0.68 * d, 0.25), (0.72 * d, 0.62)]), 0.02, 0.7)
    return layer.field(0.7)


def draw_hub(canvas: Canvas, profile: Profile) -> tuple[Field, Field]:
    """(aortic arch and hila with their vessels, air in the trachea)."""
    layer, air = canvas.layer(), canvas.layer()
    h = profile.height
    arch = curve([(-0.2, 0.52 * h), (-0.15, 0.36 * h), (0.08, 0.25 * h), (0.32, 0.31 * h),
                  (0.44, 0.5 * h), (0.48, 0.8 * h), (0.44, h)])  # fmt: skip
    layer.line(arch, 0.15 * profile.anatomy.aorta, 0.34)
    x, y = 0.12, 0.50 * h
    layer.disc(x - 0.07, y, 0.11, 0.62)
    layer.line(curve([(x, y - 0.1), (x + 0.13, y - 0.03), (x + 0.2, y + 0.14)]), 0.09, 0.6)
    air.line(curve([(0.08, -1.2), (0.08, -0.3), (0.12, 0.2 * h), (0.15, 0.46 * h)]), 0.12, 0.85)
    air.disc(x + 0.04, y - 0.01, 0.045, 0.9)
    return layer.field(2.0), air.field(1.8)


def grow_side_vessels(layer: Layer, profile: Profile, width: float) -> None:
    """Vessels from the hilum to all sides."""
    rng = generator(profile.anatomy.seed, 13)
    lines: list[Segment] = []
    for branch in range(16):
        x, y, thick = 0.12, 0.50 * profile.height, 0.026
        way = 2 * math.pi * branch / 16 + float(rng.uniform(-0.2, 0.2))
        for _ in range(6):
            reach = float(rng.uniform(0.09, 0.17))
            end = (x + reach * math.cos(way), y + 1.3 * reach * math.sin(way))
            lines.append((x, y, *end, width * thick, min(1.0, 0.2 + 20 * thick)))
            (x, y), thick = end, 0.78 * thick
            way += float(rng.uniform(-0.5, 0.5))
    layer.segments(lines)


def side_air_lost(canvas: Canvas, profile: Profile, findings: Findings) -> Field:
    """Share of lung air replaced by haze, patch, plate or fluid."""
    x, y = canvas.grid
    anatomy, h, d = profile.anatomy, profile.height, profile.depth
    kept = np.ones_like(x)
    if findings.edema > 0:
        away = ((x - 0.12) / 0.45) ** 2 + ((y - 0.55 * h) / 0.6) ** 2
        clouds = canvas.clouds(generator(anatomy.seed, 5))
        kept *= 1 - findings.edema * np.clip((0.2 + 0.5 * np.exp(-away)) * (1 + 0.3 * clouds), 0, 1)
    if findings.consolidation > 0:
        centre_x = 0.35 * d if anatomy.consolidation_y > 0.5 else -0.15 * d
        clouds = canvas.clouds(generator(anatomy.seed, 7))
        radius = 0.16 + 0.22 * findings.consolidation
        away = np.hypot(x - centre_x, y - anatomy.consolidation_y * h) / radius + 0.22 * clouds
        kept *= 1 - (0.3 + 0.5 * findings.consolidation) * ramp(away, 1.35, 0.45)
    if findings.atelectasis > 0:
        kept *= 1 - 0.45 * findings.atelectasis * ramp(y, h - 0.35, h + 0.1)
    if findings.effusion > 0:
        depth = np.clip((x / d + 0.6) / 1.4, 0.0, 1.0)
        level = h + 0.32 - 0.85 * findings.effusion + 0.3 * (1 - depth) * findings.effusion
        level -= 0.12 * ramp(np.abs(x / d - 0.1), 0.45, 0.75)
        kept *= 1 - 0.85 * ramp(y - level.astype(np.float32), -0.05, 0.05)
    return canvas.enlarge((1 - kept).astype(np.float32))


def side_markings(canvas: Canvas, profile: Profile, findings: Findings) -> Field:
    """Vessels, plates of atelectasis and the pleura's line of a pneumothorax."""
    vessels, extra = canvas.layer(), canvas.layer()
    grow_side_vessels(vessels, profile, 1.0 + 0.5 * findings.edema)
    h, d = profile.height, profile.depth
    for number in range(round(3 * findings.atelectasis)):
        y = h - 0.12 - 0.11 * number
        extra.line(curve([(-0.05 * d, y - 0.05), (0.3 * d, y), (0.62 * d, y + 0.06)]), 0.035, 0.9)
    if findings.pneumothorax > 0:
        fall = 0.06 + 0.3 * findings.pneumothorax
        extra.line(curve([(-0.4 * d, 0.34 * h + fall), (0.0, 0.04 + fall), (0.35, 0.0 + fall),
                          (0.72 * d, 0.28 * h + fall)]), 0.014, 0.9)  # fmt: skip
    return vessels.field(0.7 + 1.2 * findings.edema) + extra.field(0.8)


def draw_side_devices(canvas: Canvas, profile: Profile, severity: float) -> Field:
    """Leads, a central line, a stomach tube and an airway tube, in that order."""
    layer, h, d = canvas.layer(), profile.height, profile.depth
    if severity > 0.05:
        for x, y in ((-0.6 * d, 0.5), (-0.72 * d, 1.2), (0.0, 0.1)):
            layer.line(curve([(x, y), (x + 0.1, y + 0.3), (x - 0.4, 1.4), (-1.6, 1.9)]), 0.014, 0.5)
            layer.disc(x, y, 0.03, 1.0)
    if severity > 0.25:
        layer.line(
            curve([(-0.05, -0.7), (-0.05, 0.0), (-0.02, 0.35 * h), (-0.08, 0.55 * h)]), 0.024, 0.6
        )
    if severity > 0.45:
        layer.line(
            curve([(0.16, -1.2), (0.2, 0.1), (0.3, 0.6 * h), (0.2, h), (-0.1, h + 0.3)]), 0.026, 0.6
        )
    if severity > 0.6:
        for edge in (-0.035, 0.035):
            layer.line(
                curve([(0.08 + edge, -1.2), (0.09 + edge, 0.0), (0.12 + edge, 0.3 * h)]), 0.016, 0.6
            )
    return layer.field(0.8)


def side_canvas(profile: Profile, pose: Pose, columns: int, rows: int) -> Canvas:
    """Lay the chest in the film's middle."""
    height = profile.height + 0.44
    scale = min(columns / 2.15, rows / (height + 0.55)) * pose.scale
    x = columns / 2 - (0.08 - pose.shift_x) * scale
    y = (rows - height * scale) * 0.5 + pose.shift_y * scale
    return Canvas(columns, rows, scale, x, y, pose.angle)


def draw_floor(canvas: Canvas, profile: Profile) -> tuple[Field, Field]:
    """What lies below the two half diaphragms, and the stomach's gas."""
    floor, bubble = canvas.layer(), canvas.layer()
    for lift, value in ((0.10, 0.55), (0.0, 1.0)):
        floor.area(np.concatenate([profile.dome(lift), [[1.0, 3.4], [-1.0, 3.4]]]), value)
    size = 0.13 * profile.anatomy.gastric_bubble
    angle = np.linspace(0, 2 * math.pi, 24)
    shape = np.stack([1.7 * size * np.cos(angle), size * np.sin(angle)], axis=1)
    bubble.area(moved(shape, -0.1, profile.height + 0.24))
    return floor.field(), bubble.field(3.0)


def lateral_density(canvas: Canvas, profile: Profile, findings: Findings) -> Field:
    """What the X-rays cross on the way to each pixel of a lateral film."""
    anatomy = profile.anatomy
    lung, heart = canvas.layer(), canvas.layer()
    lung.area(profile.lung())
    heart.area(profile.heart_outline())
    below, gas = draw_floor(canvas, profile)
    hub, airway = draw_hub(canvas, profile)
    inside, bulk = lung.field(), heart.field(4.5)
    air = inside * (0.55 + 0.45 * lung.haze(0.12)) * (1 - 0.6 * bulk) * (1 - 0.75 * below)
    if findings.pneumothorax > 0:
        apex = ramp(canvas.grid[1], 0.25 + 0.3 * findings.pneumothorax, 0.0)
        air *= 1 + canvas.enlarge(np.float32(0.35 * findings.pneumothorax) * apex)
    air *= 1.0 - side_air_lost(canvas, profile, findings)
    density = draw_trunk(canvas, profile)
    density *= 0.58 + 0.023 * canvas.enlarge(canvas.clouds(generator(anatomy.seed, 12)))
    density += 0.13 * bulk * (1 - 0.6 * below) + 0.2 * below - 0.1 * gas
    density += 0.16 * anatomy.bone * draw_vertebrae(canvas) + 0.12 * hub - 0.12 * airway
    density += 0.09 * anatomy.bone * draw_side_ribs(canvas, profile)
    density += 0.10 * side_markings(canvas, profile, findings) * inside - 0.37 * air
    if findings.devices > 0:
        density += 0.28 * draw_side_devices(canvas, profile, findings.devices)
    return density
