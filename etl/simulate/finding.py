"""What findings do to a frontal film. Each returns the share of lung air lost, or density added."""

import numpy as np

from etl.simulate.anatomy import Findings, generator
from etl.simulate.canvas import Canvas, Field, Layer, curve, ramp
from etl.simulate.chest import SIDES, Chest


def edema_haze(canvas: Canvas, chest: Chest, severity: float) -> Field:
    """Bat-wing haze about the hila, spreading to the bases."""
    x, y = canvas.grid
    total = np.zeros_like(x + y)
    spread = 0.24 + 0.2 * severity
    for side in SIDES:
        hilum_x, hilum_y = chest.hilum(side)
        across = (x - np.float32(hilum_x + side * 0.2)) / np.float32(spread)
        down = (y - np.float32(hilum_y + 0.16)) / np.float32(1.55 * spread)
        total += np.exp(-(across * across + down * down))
    clouds = canvas.clouds(generator(chest.anatomy.seed, 5))
    mottled = total * np.clip(1.0 + 0.32 * clouds, 0.2, 1.6)
    return np.clip((0.22 + 0.62 * mottled) * np.float32(severity), 0.0, 0.85)


def kerley_lines(canvas: Canvas, chest: Chest, severity: float) -> Field:
    """Short level lines that touch the wall at the bases; from moderate edema on."""
    layer = canvas.layer()
    rng = generator(chest.anatomy.seed, 6)
    for side in SIDES:
        for _ in range(round(11 * max(0.0, severity - 0.25))):
            y = float(rng.uniform(0.66, 1.04)) * chest.height
            wall = float(chest.wall(y)) - 0.03
            reach = float(rng.uniform(0.07, 0.15))
            line = np.array([[side * wall, y], [side * (wall - reach), y + 0.012]])
            layer.line(line, 0.0, 0.9)
    return layer.field(0.6)


def effusion_fluid(canvas: Canvas, chest: Chest, severity: float) -> Field:
    """Fluid from the base up, its surface rising to the wall (meniscus)."""
    x, y = canvas.grid
    total = np.zeros_like(x + y)
    both = chest.anatomy.effusion_side == 0
    for side in SIDES:
        if not both and side != chest.anatomy.effusion_side:
            continue
        amount = severity * (0.8 if both and side > 0 else 1.0)
        angle = float(chest.dome(side, 0.97))
        share = np.clip(np.float32(side) * x / np.float32(chest.width), 0.0, 1.0)
        climb = 0.10 + 0.30 * amount
        level = angle - 0.10 - 1.05 * amount + climb * (1.0 - share**4)
        within = ramp(np.float32(side) * x, -0.02, 0.06)
        soft = 0.035 + 0.05 * amount
        depth = ramp(y - level.astype(np.float32), -soft, soft)
        veil = 0.28 * amount * ramp(y, 0.1, chest.height)
        total += within * np.maximum(depth, veil)
    fluid: Field = np.float32(0.97) * np.clip(total, 0.0, 1.0)
    return fluid


def consolidation_centre(chest: Chest) -> tuple[float, float]:
    """Where a patient's consolidation lies."""
    anatomy = chest.anatomy
    y = anatomy.consolidation_y * chest.height
    return anatomy.consolidation_side * anatomy.consolidation_x * float(chest.wall(y)), y


def consolidation_patch(canvas: Canvas, chest: Chest, severity: float) -> Field:
    """A fluffy patch."""
    anatomy = chest.anatomy
    x, y = canvas.grid
    centre_x, centre_y = consolidation_centre(chest)
    radius = 0.16 + 0.26 * severity
    clouds = canvas.clouds(generator(anatomy.seed, 7))
    across, down = (x - np.float32(centre_x)) / radius, (y - np.float32(centre_y)) / radius
    away = np.sqrt(across**2 + (0.85 * down) ** 2) + np.float32(0.22) * clouds
    patch = ramp(away.astype(np.float32), 1.35, 0.45)
    filled: Field = patch * np.float32(0.3 + 0.6 * severity)
    return filled


def open_bronchi(canvas: Canvas, chest: Chest, severity: float) -> Field:
    """The bronchi that stay dark within a consolidation (air bronchogram)."""
    anatomy, bronchi = chest.anatomy, canvas.layer()
    rng = generator(anatomy.seed, 8)
    x, y = consolidation_centre(chest)
    spread = 0.7 * (0.16 + 0.26 * severity)
    hilum_x, hilum_y = chest.hilum(anatomy.consolidation_side)
    for _ in range(4):
        end = (x + rng.uniform(-spread, spread), y + rng.uniform(-spread, spread))
        middle = (0.5 * (hilum_x + end[0]) + 0.03, 0.5 * (hilum_y + end[1]))
        bronchi.line(curve([(hilum_x, hilum_y), middle, end]), 0.028)
    return bronchi.field()


def atelectasis_bands(canvas: Canvas, chest: Chest, severity: float) -> Field:
    """Plates above a raised half diaphragm."""
    side = chest.anatomy.atelectasis_side
    rng = generator(chest.anatomy.seed, 9)
    bands = canvas.layer()
    top = chest.tops[(side + 1) // 2]
    for number in range(1 + round(2 * severity)):
        y = top - 0.07 - 0.14 * number + float(rng.uniform(-0.03, 0.03))
        start, end = float(rng.uniform(0.22, 0.34)), float(rng.uniform(0.72, 0.92))
        tilt = float(rng.uniform(-0.09, 0.14))
        line = curve([(side * start, y - tilt), (side * 0.5 * (start + end), y), (side * end, y)])
        bands.line(line, 0.024 + 0.03 * severity, 0.65 + 0.35 * severity)
    return bands.field(1.6)


def atelectasis_haze(canvas: Canvas, chest: Chest, severity: float) -> Field:
    """Air lost at the base of the side that shrinks."""
    side = chest.anatomy.atelectasis_side
    top = chest.tops[(side + 1) // 2]
    x, y = canvas.grid
    base = ramp(y, top - 0.45, top + 0.15) * ramp(np.float32(side) * x, 0.0, 0.12)
    return np.float32(0.68 * severity) * base


def collapsed_lung(canvas: Canvas, chest: Chest, severity: float) -> tuple[Field, Field, Field]:
    """Pneumothorax: (the space without lung, the lung left, the visceral pleura's line)."""
    side = chest.anatomy.pneumothorax_side
    lung = chest.lung(side)
    hilum_x, hilum_y = chest.hilum(side)
    gap = 0.05 + 0.46 * severity
    high = np.clip((1.1 * chest.height - lung[:, 1]) / chest.height, 0.0, 1.0)
    outer = np.clip((side * lung[:, 0] - 0.15) / 0.3, 0.0, 1.0)
    shrink = (1.0 - gap * high * (0.35 + 0.65 * outer))[:, None]
    pulled = np.array([hilum_x, hilum_y]) + (lung - [hilum_x, hilum_y]) * shrink
    space, kept, line = canvas.layer(), canvas.layer(), canvas.layer()
    space.area(lung)
    space.area(pulled, 0.0)
    kept.area(pulled)
    free = pulled[side * pulled[:, 0] > 0.3]
    upper = free[(free[:, 1] < 0.8 * chest.height)]
    order = np.argsort(np.arctan2(upper[:, 1] - hilum_y, side * (upper[:, 0] - hilum_x)))
    line.line(upper[order], 0.014)
    return space.field(), kept.haze(0.02), line.field(0.8)


def draw_devices(canvas: Canvas, chest: Chest, severity: float) -> Field:
    """ECG leads, then a central line, a stomach tube, an airway tube, a chest drain."""
    layer = canvas.layer()
    if severity > 0.05:
        draw_leads(layer, chest)
    if severity > 0.25:
        draw_central_line(layer, chest)
    h = chest.height
    if severity > 0.45:
        stomach = curve([(0.03, -1.2), (0.03, 0.2), (0.06 + chest.shift, 0.7 * h), (0.12, h),
                         (0.3, h + 0.26), (0.5, h + 0.4)])  # fmt: skip
        layer.line(stomach, 0.026, 0.36)
        layer.line(stomach[-9:], 0.03, 0.9)
    if severity > 0.6:
        tip = 0.36 * h - 0.17
        for edge in (-0.042, 0.042):
            layer.line(curve([(edge + 0.05, -1.2), (edge, -0.4), (edge - 0.01, tip)]), 0.018, 0.38)
    if severity > 0.8:
        drain = -chest.anatomy.consolidation_side
        tube = [(drain * 1.4, 0.95 * h), (drain * 0.98, 0.86 * h), (drain * 0.6, 0.6 * h),
                (drain * 0.5, 0.3 * h)]  # fmt: skip
        layer.line(curve(tube), 0.06, 0.2)
        layer.line(curve(tube), 0.012, 0.45)
    return layer.field(0.7)


def draw_leads(layer: Layer, chest: Chest) -> None:
    """Electrodes on the chest and the wires that leave the film."""
    rng = generator(chest.anatomy.seed, 10)
    w, h = chest.width, chest.height
    spots = ((-0.78, 0.02), (0.74, 0.04), (-0.72, 0.92), (0.8, 0.95), (0.12, 0.6))
    for x, y in spots:
        x, y = x * w + rng.uniform(-0.08, 0.08), y * h + rng.uniform(-0.06, 0.06)
        way = [(x, y), (x + 0.25, y + 0.18), (x + 0.55, y + rng.uniform(0.2, 0.6)),
               (1.9, 1.1 * h + rng.uniform(-0.3, 0.3)), (2.6, 1.3 * h)]  # fmt: skip
        layer.line(curve(way), 0.014, 0.33)
        layer.disc(x, y, 0.06, 0.2)
        layer.disc(x, y, 0.032, 1.0)
        layer.disc(x, y, 0.014, 0.55)


def draw_central_line(layer: Layer, chest: Chest) -> None:
    """From the right neck vein to the right atrium's door."""
    h, x = chest.height, 0.6 * chest.shift
    path = [
        (-0.42, -0.75),
        (-0.30, -0.42),
        (-0.2, 0.0),
        (-0.14 + x, 0.3 * h),
        (-0.13 + x, 0.52 * h),
    ]
    layer.line(curve(path), 0.024, 0.38)


def air_kept(canvas: Canvas, chest: Chest, findings: Findings) -> Field:
    """Share of lung air that edema, consolidation and atelectasis leave."""
    kept = np.ones_like(sum(canvas.grid))
    for severity, lost in (
        (findings.edema, edema_haze),
        (findings.consolidation, consolidation_patch),
        (findings.atelectasis, atelectasis_haze),
    ):
        if severity > 0:
            kept *= 1.0 - lost(canvas, chest, severity)
    return canvas.enlarge(kept)
