"""OpenCV's bicubic resize of 8-bit grey, which reads four pixels whatever the scale.

It does not smooth before it shrinks, so fine detail becomes false detail; the films of EHRXDiff
were made with it. Written from the definition of cubic convolution (Keys 1981, a = -0.75), in
float32 as OpenCV's own packages compute it on x86 (docs/films.md says how close).
"""

import numpy as np
from numpy.typing import NDArray

SHARPNESS = -0.75  # the kernel's a; Pillow's is -0.5


def resize_cubic(grey: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """(rows, columns) uint8 from (height, width) uint8; beyond an edge its last pixel repeats."""
    height, width = grey.shape
    across, weights = cubic_taps(width, columns)
    wide = np.zeros((height, columns), np.float32)
    for tap in range(4):
        wide += np.take(grey, across[tap], axis=1) * weights[tap]
    down, weights = cubic_taps(height, rows)
    total = np.zeros((rows, columns), np.float32)
    for tap in range(4):
        total += wide[down[tap]] * weights[tap][:, None]
    return np.clip(np.rint(total), 0, 255).astype(np.uint8)


def cubic_taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Which four source pixels each target pixel reads, and their weights: both (4, target)."""
    centres = (np.arange(target) + 0.5) * (source / target) - 0.5
    first = np.floor(centres)
    past = centres - first  # 0 <= past < 1
    shares = np.stack([cubic_kernel(np.abs(past - tap)) for tap in range(-1, 3)])
    positions = np.clip(first.astype(np.intp) + np.arange(-1, 3)[:, None], 0, source - 1)
    return positions, shares.astype(np.float32)


def cubic_kernel(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of a pixel so many pixels away, 0 to 2."""
    a, d = SHARPNESS, distance
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * (d**3 - 5 * d**2 + 8 * d - 4)
    return np.where(d <= 1, near, far)
