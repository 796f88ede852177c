"""The outlines of one frontal film: a patient's build, moved by breath, view and findings."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from etl.simulate.anatomy import Anatomy, Findings, Pose
from etl.simulate.canvas import Field, Points, curve, loop

SIDES = (-1, 1)  # the patient's right, left

WALL_DEPTH = (-0.06, 0.0, 0.05, 0.14, 0.28, 0.5, 0.75, 1.0, 1.25)
WALL_WIDTH = (0.32, 0.48, 0.60, 0.75, 0.87, 0.95, 0.985, 1.0, 1.0)


@dataclass(frozen=True)
class Chest:
    """Sizes of one frontal film, in the patient's units."""

    anatomy: Anatomy
    width: float
    height: float
    tops: tuple[float, float]  # y of the right and left dome
    shift: float  # the mediastinum's move to the patient's left
    heart: float

    @classmethod
    def of(cls, anatomy: Anatomy, findings: Findings, pose: Pose) -> Self:
        height = anatomy.lung_height * pose.breath * (1 - 0.04 * findings.edema)
        tops = [height + anatomy.dome_right, height + anatomy.dome_left]
        loss = 0.2 * findings.atelectasis * height
        tops[(anatomy.atelectasis_side + 1) // 2] -= 0.8 * loss
        tension = max(0.0, findings.pneumothorax - 0.5)
        tops[(anatomy.pneumothorax_side + 1) // 2] += 0.2 * tension
        large = max(0.0, findings.effusion - 0.6) * anatomy.effusion_side
        shift = 0.12 * findings.atelectasis * anatomy.atelectasis_side
        shift -= 0.22 * tension * anatomy.pneumothorax_side + 0.2 * large
        portable = 1.13 if pose.view == "AP" else 1.0
        return cls(
            anatomy=anatomy,
            width=anatomy.chest_width * (1.0 + 0.02 * (pose.breath - 1.0)),
            height=height,
            tops=(tops[0], tops[1]),
            shift=0.6 * shift,
            heart=anatomy.heart_size * portable * (1.0 + 0.45 * findings.cardiomegaly),
        )

    def wall(self, y: Field | Points | float) -> Points:
        """Half the width of the rib cage's inside at y."""
        depth = np.asarray(y) / self.height
        return self.width * np.interp(depth, WALL_DEPTH, WALL_WIDTH)

    def dome(self, side: int, share: Points | float) -> Points:
        """y of a half diaphragm at a share of the half chest's width."""
        away = (np.asarray(share) - 0.46) / 0.54
        fall = np.where(away > 0, 0.34 * np.abs(away) ** 2.3, 0.13 * away**2)
        return self.tops[(side + 1) // 2] + fall

    def lung(self, side: int) -> Points:
        """A lung's outline, the heart not yet taken out of it."""
        y = np.linspace(0.14 * self.height, float(self.dome(side, 0.985)), 12)
        wall = np.stack([self.wall(y), y], axis=1)
        share = np.linspace(0.96, 0.1, 16)
        floor = np.stack([share * self.width, self.dome(side, share)], axis=1)
        h = self.height
        inner = curve([(0.10, 0.75 * h), (0.14, 0.4 * h), (0.17, 0.16 * h), (0.22, 0.06 * h)])
        apex = curve([(0.28, 0.012), (0.40, -0.025), (0.54, 0.02), (0.67, 0.08 * h)])
        apex[:, 0] *= self.width
        outline = np.concatenate([wall, floor, inner, apex])
        outline[:, 0] *= side
        return outline

    def spine(self, y: Points | float) -> Points:
        """x of the spine's middle at y."""
        return self.anatomy.spine_bend * np.sin(2.1 * np.asarray(y) + self.anatomy.spine_phase)

    def heart_outline(self) -> Points:
        """The heart's shadow; its apex points to the patient's left."""
        h, low = self.height, max(self.tops) + 0.12
        tilt = self.anatomy.heart_tilt
        knots = [
            (0.02, 0.44 * h),
            (0.20, 0.46 * h),
            (0.29, 0.56 * h),
            (0.40, 0.68 * h),
            (0.53, 0.82 * h + tilt),
            (0.58, 0.95 * h + tilt),
            (0.50, low),
            (0.10, low + 0.06),
            (-0.20, low),
            (-0.28, 0.9 * h),
            (-0.29, 0.78 * h),
            (-0.23, 0.62 * h),
            (-0.15, 0.5 * h),
        ]
        outline = loop(knots)
        x = outline[:, 0] * self.heart + self.shift + 0.02
        free = 0.72 * self.wall(outline[:, 1])
        beyond = np.maximum(np.abs(x) - free, 0.0)  # a huge heart yields to the chest wall
        outline[:, 0] = np.sign(x) * (np.abs(x) - beyond + 0.24 * np.tanh(beyond / 0.24))
        return outline

    def mediastinum_outline(self) -> Points:
        """Great vessels above the heart: superior vena cava, aortic knob, pulmonary trunk."""
        h, aorta = self.height, self.anatomy.aorta
        knots = [
            (-0.13, -0.5),
            (0.12, -0.5),
            (0.12, 0.10 * h),
            (0.155, 0.17 * h),
            (0.16 + 0.085 * aorta, 0.235 * h),
            (0.165 + 0.075 * aorta, 0.30 * h),
            (0.17, 0.36 * h),
            (0.225, 0.42 * h),
            (0.23, 0.52 * h),
            (0.17, 0.7 * h),
            (0.15, h + 0.5),
            (-0.14, h + 0.5),
            (-0.15, 0.7 * h),
            (-0.17, 0.5 * h),
            (-0.165, 0.3 * h),
            (-0.15, 0.12 * h),
        ]
        outline = loop(knots)
        outline[:, 0] += self.shift * np.clip(outline[:, 1] / h, 0.0, 1.0)
        return outline

    def hilum(self, side: int) -> tuple[float, float]:
        """Where a lung's vessels start; the left lies higher."""
        return side * 0.20 + self.shift, (0.47 if side < 0 else 0.43) * self.height
