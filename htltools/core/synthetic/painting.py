"""Parts of a phantom image: outlines, skin, patches and hair, as float32 arrays [H, W] or [3, H, W]."""

from dataclasses import dataclass, field

import numpy as np

ANGLES = 720  # at which an outline is sampled


@dataclass
class Outline:
    """An irregular ellipse: mean radius in pixels, aspect in (0, 1], harmonics [K, 2] of orders 2 to K + 1, angle in radians."""

    radius: float
    aspect: float
    harmonics: np.ndarray
    angle: float
    centre: np.ndarray = field(default_factory=lambda: np.zeros(2))  # x, y
    depth: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # [H, W], pixels inside the outline, negative outside; see `placed`

    @property
    def radii(self) -> np.ndarray:
        """Distance of the outline from its centre at each angle, [ANGLES], in pixels."""
        theta = np.arange(ANGLES) / ANGLES * 2 * np.pi - self.angle
        ellipse = self.aspect**0.5 / np.sqrt((np.cos(theta) * self.aspect) ** 2 + np.sin(theta) ** 2)
        orders = np.arange(2, len(self.harmonics) + 2)[:, None]
        waves = self.harmonics[:, :1] * np.cos(orders * theta) + self.harmonics[:, 1:] * np.sin(orders * theta)
        return self.radius * ellipse * np.clip(1 + (waves / (orders / 2)).sum(0), 0.5, 1.6)

    @property
    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest (x, y) of the outline, relative to its centre."""
        theta = np.arange(ANGLES) / ANGLES * 2 * np.pi
        points = self.radii * np.stack([np.cos(theta), np.sin(theta)])
        return points.min(1), points.max(1)

    def placed(self, centre: np.ndarray, width: int, height: int) -> "Outline":
        """The outline around a centre (x, y) in a frame, with its depth."""
        x = np.arange(width, dtype=np.float32) + np.float32(0.5 - centre[0])
        y = (np.arange(height, dtype=np.float32) + np.float32(0.5 - centre[1]))[:, None]
        step = (np.arctan2(y, x) * np.float32(ANGLES / (2 * np.pi))).astype(np.int32)  # negative steps count from the end
        depth = self.radii.astype(np.float32)[step] - np.sqrt(x**2 + y**2)
        return Outline(self.radius, self.aspect, self.harmonics, self.angle, np.asarray(centre), depth)


def patches(rng: np.random.Generator, width: int, height: int, cells: int) -> np.ndarray:
    """Smooth noise [H, W], about standard normal: `cells` random values across, bilinear in between."""
    down = max(2, round(cells * height / width))
    coarse = rng.standard_normal((down, cells), np.float32)
    return interpolated(interpolated(coarse, width).T, height).T


def interpolated(values: np.ndarray, length: int) -> np.ndarray:
    """Values [R, cells], linearly interpolated to [R, length]. (No matrix product: its rounding depends on the number of threads.)"""
    place = np.linspace(0, values.shape[1] - 1, length, dtype=np.float32)
    left = np.minimum(place.astype(np.int32), values.shape[1] - 2)
    return values[:, left] + (values[:, left + 1] - values[:, left]) * (place - left.astype(np.float32))


def sigmoid(values: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-values)), without overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * values)


def rgb(red: float, green: float, blue: float) -> np.ndarray:
    """A colour [3, 1, 1] in [0, 1]."""
    return np.array([red, green, blue], np.float32)[:, None, None]


def grid(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """x [1, W] and y [H, 1] from -1 to 1 across a frame."""
    return np.linspace(-1, 1, width, dtype=np.float32)[None, :], np.linspace(-1, 1, height, dtype=np.float32)[:, None]


def skin(rng: np.random.Generator, width: int, height: int, tone: float) -> np.ndarray:
    """Skin [3, H, W] in [0, 1]: tone 0 = light, 1 = dark; with a gradient, blotches and pores."""
    light, dark = rgb(0.91, 0.73, 0.64), rgb(0.42, 0.28, 0.21)
    base = light + (dark - light) * np.float32(tone) + rgb(*rng.standard_normal(3, np.float32) * 0.02)
    x, y = grid(width, height)
    slope = rng.standard_normal(2, np.float32) * 0.04
    relief = 1 + slope[0] * x + slope[1] * y + 0.025 * patches(rng, width, height, 6) + 0.02 * patches(rng, width, height, 64)
    relief += 0.015 * rng.standard_normal((height, width), np.float32)
    red = 0.02 * patches(rng, width, height, 10)
    return base * relief + red * rgb(0.4, -0.6, -0.4)


def hair(
    rng: np.random.Generator, width: int, height: int, *, count: int, thickness: int, around: np.ndarray | None, spread: float
) -> np.ndarray:
    """Opacity [H, W] in [0, 1] of `count` bent hairs, 2 * thickness + 1 pixels wide, anywhere or near a point (x, y)."""
    along = np.linspace(-1, 1, width + height)[None, :]
    angle = rng.uniform(0, np.pi) + rng.normal(size=(count, 1)) * 0.5
    middle = rng.uniform(0, 1, (count, 2)) * [width, height] if around is None else around + rng.normal(size=(count, 2)) * spread * 0.75
    length, bend = rng.uniform(0.3, 1, (count, 1)) * width / 2, rng.normal(size=(count, 1)) * 25
    x = middle[:, :1] + along * length * np.cos(angle) - along**2 * bend * np.sin(angle)
    y = middle[:, 1:] + along * length * np.sin(angle) + along**2 * bend * np.cos(angle)
    canvas = np.zeros((height + 2, width + 2), np.float32)
    reach = range(-thickness, thickness + 1)
    for dx, dy in ((dx, dy) for dx in reach for dy in reach if dx * dx + dy * dy <= thickness * thickness + 1):
        column, row = np.rint(x + dx).astype(int), np.rint(y + dy).astype(int)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        canvas[row[inside] + 1, column[inside] + 1] = 1
    return smoothed(canvas)


def smoothed(canvas: np.ndarray) -> np.ndarray:
    """A canvas [H + 2, W + 2] smoothed over 3 x 3 pixels: [H, W]."""
    rows = 0.25 * canvas[:-2] + 0.5 * canvas[1:-1] + 0.25 * canvas[2:]
    return 0.25 * rows[:, :-2] + 0.5 * rows[:, 1:-1] + 0.25 * rows[:, 2:]
