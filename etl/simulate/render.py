"""A chest film from a build, findings and a seed: a pure function, the same bytes every time."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from etl.simulate import finding, frontal
from etl.simulate.anatomy import Anatomy, Findings, Pose, generator
from etl.simulate.canvas import Canvas, Field
from etl.simulate.chest import Chest
from etl.simulate.lateral import Profile, lateral_density, side_canvas

WORKING_SIDE = 400  # pixels of the shorter side while drawing
FRONTAL_VIEWS = ("AP", "PA")
LATERAL_VIEWS = ("LATERAL", "LL")


def film_shape(view: str, size: int, film_seed: int) -> tuple[int, int]:
    """(rows, columns) of a film whose shorter side is ``size``."""
    aspect = Pose.of(view, film_seed).aspect
    if aspect >= 1:
        return round(size * aspect), size
    return size, round(size / aspect)


def render_film(
    anatomy: Anatomy, findings: Findings, view: str, size: int, film_seed: int
) -> NDArray[np.uint8]:
    """One grey film, (rows, columns), shorter side ``size``; ``film_seed`` moves no anatomy."""
    if view not in FRONTAL_VIEWS + LATERAL_VIEWS:
        raise ValueError(f"view must be one of {FRONTAL_VIEWS + LATERAL_VIEWS}, got {view!r}")
    pose = Pose.of(view, film_seed)
    rows, columns = film_shape(view, WORKING_SIDE, film_seed)
    if view in FRONTAL_VIEWS:
        canvas = frontal.frontal_canvas(anatomy, pose, columns, rows)
        density = frontal_density(canvas, anatomy, findings, pose)
    else:
        profile = Profile(anatomy, findings, pose)
        canvas = side_canvas(profile, pose, columns, rows)
        density = lateral_density(canvas, profile, findings)
    grey = develop(density, pose, generator(film_seed, 11))
    image = Image.fromarray(grey)
    burn_in(image, canvas, pose)
    height, width = film_shape(view, size, film_seed)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def frontal_density(canvas: Canvas, anatomy: Anatomy, findings: Findings, pose: Pose) -> Field:
    """What the X-rays cross on the way to each pixel; lung air takes density away."""
    chest = Chest.of(anatomy, findings, pose)
    inside, air = frontal.draw_lungs(canvas, chest)
    middle, left = frontal.draw_middle(canvas, chest)
    air *= left
    density = frontal_frame(canvas, chest, pose, middle)
    air *= finding.air_kept(canvas, chest, findings)
    markings = frontal_markings(canvas, chest, findings)
    if findings.pneumothorax > 0:
        space, lung, pleura = finding.collapsed_lung(canvas, chest, findings.pneumothorax)
        severity = np.float32(findings.pneumothorax)
        air *= 1.0 + (0.15 + 0.2 * severity) * space - 0.25 * severity * lung
        markings *= 1.0 - space
        markings += 0.75 * pleura
    if findings.effusion > 0:
        fluid = canvas.enlarge(finding.effusion_fluid(canvas, chest, findings.effusion))
        density += 0.10 * fluid * air
        air *= 1.0 - fluid
    density += 0.15 * markings * inside * (0.2 + 0.8 * air) - 0.40 * air
    if findings.consolidation > 0:
        bronchi = finding.open_bronchi(canvas, chest, findings.consolidation)
        density -= np.float32(0.08 * findings.consolidation) * bronchi * inside * left
    if findings.devices > 0:
        density += 0.5 * finding.draw_devices(canvas, chest, findings.devices)
    return density


def frontal_frame(canvas: Canvas, chest: Chest, pose: Pose, middle: Field) -> Field:
    """Everything but the lungs; bones and heart show less where the abdomen lies over them."""
    anatomy = chest.anatomy
    below, gas = frontal.draw_abdomen(canvas, chest)
    density = frontal.draw_body(canvas, chest, pose)
    density *= canvas.enlarge(0.54 + 0.022 * canvas.clouds(generator(anatomy.seed, 12)))
    density += 0.07 * frontal.draw_breasts(canvas, chest)
    density += (0.24 - 0.20 * below) * middle + 0.20 * below
    density += (0.085 - 0.03 * below) * frontal.draw_spine(canvas, chest) - 0.13 * gas
    density += (0.10 - 0.05 * below) * anatomy.bone * frontal.draw_ribs(canvas, chest)
    density += 0.16 * anatomy.bone * frontal.draw_shoulders(canvas, chest, pose)
    density -= 0.15 * frontal.draw_airway(canvas, chest)
    return density


def frontal_markings(canvas: Canvas, chest: Chest, findings: Findings) -> Field:
    """Vessels, thicker and blurred by edema; lines and bands of findings."""
    layer = canvas.layer()
    frontal.grow_vessels(layer, chest, 1.0 + 0.5 * findings.edema)
    markings = layer.field(0.7 + 1.9 * findings.edema) + 0.55 * frontal.draw_hila(canvas, chest)
    if findings.edema > 0.25:
        markings += 0.6 * finding.kerley_lines(canvas, chest, findings.edema)
    if findings.atelectasis > 0:
        markings += finding.atelectasis_bands(canvas, chest, findings.atelectasis)
    return markings


def develop(density: Field, pose: Pose, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Density to grey: the film saturates where little gets through; noise; collimator edges."""
    steep = np.float32(2.05 * pose.contrast * pose.exposure)
    grey = (1.0 - np.exp(-steep * np.maximum(density, 0.0))) * np.float32(1.1)
    grey *= np.sqrt(grey)  # brings the greys to where those of real films lie
    grey += np.float32(pose.noise) * rng.standard_normal(grey.shape, dtype=np.float32)
    rows, columns = grey.shape
    left, top, right, bottom = pose.collimated
    grey[: round(top * rows)] *= 0.15
    grey[rows - round(bottom * rows) :] *= 0.15
    grey[:, : round(left * columns)] *= 0.15
    grey[:, columns - round(right * columns) :] *= 0.15
    return np.clip(grey * 255.0 + 0.5, 0, 255).astype(np.uint8)


def burn_in(image: Image.Image, canvas: Canvas, pose: Pose) -> None:
    """The technician's side marker."""
    if not pose.marker:
        return
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(24)
    if pose.view == "AP":
        draw.text((canvas.columns - 44, 34), "L", fill=250, font=font)
        draw.text((canvas.columns - 66, 62), "PORT", fill=215, font=ImageFont.load_default(13))
    elif pose.view == "PA":
        draw.text((26, 34), "R", fill=250, font=font)
    else:
        draw.text((22, 40), "L", fill=250, font=font)
