"""What a simulated film shows: the patient's build, which stays, and the findings, which change."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

SEED_BITS = (1 << 63) - 1


def generator(seed: int, *stream: int) -> np.random.Generator:
    """Random numbers that depend on the seed and the named stream alone."""
    return np.random.default_rng([seed & SEED_BITS, *stream])


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """A patient's build. Lengths in units of half a typical chest's width; sides: -1 right, 1 left.

    The patient's right is the film's left.
    """

    seed: int
    chest_width: float
    lung_height: float
    rib_spacing: float
    rib_slope: float
    spine_bend: float
    spine_phase: float
    heart_size: float
    heart_tilt: float
    aorta: float
    fat: float
    breast: float
    bone: float
    dome_right: float
    dome_left: float
    clavicle_lift: float
    gastric_bubble: float
    effusion_side: int  # 0: both
    atelectasis_side: int
    pneumothorax_side: int
    consolidation_side: int
    consolidation_x: float  # share of the half chest
    consolidation_y: float  # share of the lung's height

    @classmethod
    def of(cls, seed: int) -> Self:
        """The build that belongs to a patient's seed."""
        rng = generator(seed, 1)
        female = rng.random() < 0.48

        def about(mean: float, spread: float) -> float:
            return mean + spread * float(np.clip(rng.standard_normal(), -2.0, 2.0))

        return cls(
            seed=seed,
            chest_width=about(0.96 if female else 1.02, 0.035),
            lung_height=about(1.56 if female else 1.64, 0.06),
            rib_spacing=about(0.168, 0.006),
            rib_slope=about(1.0, 0.13),
            spine_bend=about(0.0, 0.035),
            spine_phase=float(rng.uniform(0.0, 6.28)),
            heart_size=about(1.0, 0.07),
            heart_tilt=about(0.0, 0.05),
            aorta=about(1.0, 0.13),
            fat=float(rng.uniform(0.0, 1.0)),
            breast=float(rng.uniform(0.3, 1.0)) if female else 0.0,
            bone=about(1.0, 0.15),
            dome_right=about(0.0, 0.02),
            dome_left=about(0.09, 0.03),
            clavicle_lift=about(0.0, 0.05),
            gastric_bubble=float(rng.uniform(0.3, 1.0)),
            effusion_side=int(rng.choice([-1, -1, 0, 1])),
            atelectasis_side=int(rng.choice([-1, 1])),
            pneumothorax_side=int(rng.choice([-1, 1])),
            consolidation_side=int(rng.choice([-1, -1, 1])),
            consolidation_x=float(rng.uniform(0.5, 0.7)),
            consolidation_y=float(rng.uniform(0.3, 0.85)),
        )


@dataclass(frozen=True, kw_only=True)
class Findings:
    """How severe each finding is on one film, 0 (absent) to 1."""

    edema: float = 0.0
    effusion: float = 0.0
    consolidation: float = 0.0
    atelectasis: float = 0.0
    pneumothorax: float = 0.0
    cardiomegaly: float = 0.0
    devices: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"severity of {field.name} must be within 0 and 1, got {value}")


SEVERITIES = tuple(field.name for field in fields(Findings))


@dataclass(frozen=True, kw_only=True)
class Pose:
    """What differs between two films of one patient: position, breath, exposure."""

    view: str
    aspect: float  # rows / columns
    scale: float
    shift_x: float
    shift_y: float
    angle: float  # radians
    breath: float
    exposure: float
    contrast: float
    noise: float
    collimated: tuple[float, float, float, float]  # left, top, right, bottom, share of the film
    marker: bool

    @classmethod
    def of(cls, view: str, film_seed: int) -> Self:
        """The pose of one film; portable AP films vary most."""
        rng = generator(film_seed, 2)
        portable = view == "AP"
        aspects = {"AP": (0.83, 0.83, 0.83, 1.0, 1.2), "PA": (1.2, 1.2, 1.0, 0.83)}
        aspect = float(rng.choice(aspects.get(view, (1.2, 1.2, 1.2, 1.0))))
        wobble = 1.0 if portable else 0.5
        edges = rng.uniform(0.0, 0.035, 4) * (rng.random(4) < 0.4)
        return cls(
            view=view,
            aspect=aspect,
            scale=float(rng.normal(1.0, 0.02)),
            shift_x=float(np.clip(rng.normal(0.0, 0.05 * wobble), -0.12, 0.12)),
            shift_y=float(np.clip(rng.normal(0.0, 0.05 * wobble), -0.1, 0.1)),
            angle=float(np.clip(rng.normal(0.0, 0.03 * wobble), -0.07, 0.07)),
            breath=float(rng.normal(0.87 if portable else 1.0, 0.025)),
            exposure=float(np.clip(rng.normal(1.0, 0.07), 0.86, 1.16)),
            contrast=float(rng.normal(0.92 if portable else 1.0, 0.04)),
            noise=float(rng.uniform(0.006, 0.012) * (1.4 if portable else 1.0)),
            collimated=(float(edges[0]), float(edges[1]), float(edges[2]), float(edges[3])),
            marker=bool(rng.random() < 0.85),
        )
