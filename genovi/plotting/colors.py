"""Colours as lightness, chroma and hue, and as "#rrggbb".

OKLCH: lightness L in [0, 1], chroma C, hue h in degrees (B. Ottosson, "A perceptual color space for image processing",
2020). Equal steps in it look equally large.
"""

from __future__ import annotations

import math

Lch = tuple[float, float, float]

_TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def to_hex(color: Lch) -> str:
    """OKLCH to "#rrggbb"; chroma is reduced until the colour can be shown."""
    lightness, chroma, angle = color
    while True:
        rgb = _linear_rgb(lightness, chroma, angle)
        if chroma < 1e-3 or all(-1e-4 <= value <= 1 + 1e-4 for value in rgb):
            break
        chroma *= 0.97
    return "#" + "".join(f"{round(255 * _gamma(min(max(value, 0.0), 1.0))):02x}" for value in rgb)


def to_lch(color: str) -> Lch:
    """OKLCH of "#rrggbb"."""
    linear = [_linear(int(color[i : i + 2], 16) / 255) for i in (1, 3, 5)]
    lms = [math.cbrt(sum(a * b for a, b in zip(row, linear, strict=True))) for row in _TO_LMS]
    lightness, a, b = (sum(x * y for x, y in zip(row, lms, strict=True)) for row in _TO_LAB)
    return lightness, math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360


def mixed_with_white(color: str, share: float) -> str:
    """``color`` with that share of white, in sRGB, as ink at lower strength looks on paper."""
    parts = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(value + share * (255 - value)):02x}" for value in parts)


def _linear_rgb(lightness: float, chroma: float, angle: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(math.radians(angle)), chroma * math.sin(math.radians(angle))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _gamma(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
