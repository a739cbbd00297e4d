"""Fixed priors on the plane: a curve with Gaussian noise about it.

    p(z) = int p(t) N(z; c(t), s^2 I) dt

    pinwheel   ten arcs, t ~ N(1, 0.15^2), c(t) = t (cos a, sin a), a = 2 pi j / 10 + 0.25 exp(t), s = 0.005
    swissroll  c(t) = 3 sqrt(t) (cos a, sin a), a = 4.5 pi sqrt(t), t uniform on (0, 1), s = 0.1
    square     the perimeter of [-1, 1]^2, uniform, s = 0.06

The integral over t is taken by quadrature with nodes closer than about s, the trapezoidal rule in arc length where p(t)
vanishes at the ends and Gauss-Legendre where not: exact to some hundred-thousandths of a nat wherever the density
matters (tested against nodes twice as dense). Draws take t from p(t) itself.
The paper draws the noise of pinwheel and square across the curve alone; here it has both directions, so that the
density is positive everywhere and smooth at the ends and corners. Source: Piriyakulkij, Wang, Kuleshov (AAAI 2025).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genovi.model.densities import LOG_2PI, Noise
from genovi.model.prior import Prior

ARMS = 10
_TWIST = 0.25
_RADIAL = 0.15
_TAILS = 5.0  # standard deviations of t that the nodes reach
_TURNS = 4.5 * math.pi
_ROWS_AT_ONCE = 2**22  # of distances between points and nodes


@dataclass(frozen=True)
class _Curve:
    """Shape of a curve.

    std: s. nodes: of the quadrature on each piece. pieces: equal parts of the mixture. clusters: pieces are clusters.
    """

    std: float
    nodes: int
    pieces: int
    clusters: bool


CURVES = {
    "pinwheel": _Curve(0.005, 440, ARMS, True),
    "swissroll": _Curve(0.1, 600, 1, False),
    "square": _Curve(0.06, 80, 4, False),
}


class CurvePrior(Prior):
    """Noise about a fixed curve; nothing is learned.

    Args:
        name: Key of ``CURVES``.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.curve = CURVES[name]
        points, weights = _nodes(name, self.curve.nodes)
        self.register_buffer("points", points, persistent=False)
        self.register_buffer("log_weight", weights.log(), persistent=False)
        self.register_buffer("log_std", torch.tensor(math.log(self.curve.std)), persistent=False)
        self.points: Tensor
        self.log_weight: Tensor
        self.log_std: Tensor

    def log_density(self, z: Tensor) -> Tensor:
        return torch.logsumexp(self._pieces(z), dim=-1)

    def _pieces(self, z: Tensor) -> Tensor:
        """log-density of z with each piece of the curve, shape (..., pieces)."""
        flat = z.reshape(-1, 2)
        rows = max(1, _ROWS_AT_ONCE // len(self.points))
        constant = self.log_weight - 2 * math.log(self.curve.std) - LOG_2PI
        parts = []
        for part in flat.split(rows):
            distance = torch.cdist(part, self.points, compute_mode="donot_use_mm_for_euclid_dist")
            joint = constant - 0.5 * (distance / self.curve.std).square()
            parts.append(torch.logsumexp(joint.unflatten(-1, (self.curve.pieces, -1)), dim=-1))
        return torch.cat(parts).reshape(*z.shape[:-1], self.curve.pieces)

    def sample(self, n: int, noise: Noise) -> Tensor:
        like = self.points.new_zeros(n, 1)
        uniform = torch.rand(n, generator=noise.generator, device=like.device).to(like)
        piece = (uniform * self.curve.pieces).long()
        along = uniform * self.curve.pieces - piece  # what is left of it is uniform, too
        t = 1 + _RADIAL * noise.like(like)[:, 0] if self.name == "pinwheel" else along
        return noise.draw(_place(self.name, piece, t), self.log_std)

    def cluster_probabilities(self, z: Tensor) -> Tensor:
        if not self.curve.clusters:
            return torch.ones_like(z[..., :1])
        return torch.softmax(self._pieces(z), dim=-1)


def _place(name: str, piece: Tensor, t: Tensor) -> Tensor:
    """c(t) on a piece of the curve, shape (n, 2)."""
    if name == "square":
        along, one = 2 * t - 1, torch.ones_like(t)
        sides = torch.stack([
            torch.stack([along, one], -1), torch.stack([one, -along], -1),
            torch.stack([-along, -one], -1), torch.stack([-one, along], -1),
        ])  # fmt: skip
        return sides[piece, torch.arange(len(t), device=t.device)]
    if name == "swissroll":
        radius, angle = 3 * t.sqrt(), _TURNS * t.sqrt()
    else:
        radius, angle = t, 2 * math.pi * piece / ARMS + _TWIST * torch.exp(t)
    return radius[:, None] * torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)


def _nodes(name: str, n: int) -> tuple[Tensor, Tensor]:
    """Points of the quadrature, shape (pieces * n, 2), float32, and their weights, sum 1."""
    x, w = np.polynomial.legendre.leggauss(n)
    unit, weight = 0.5 * (x + 1), 0.5 * w
    if name == "swissroll":  # in the square root of t, in which the curve is smooth
        t, weight = unit**2, 2 * unit * weight
    elif name == "pinwheel":
        fine = np.linspace(1 - _TAILS * _RADIAL, 1 + _TAILS * _RADIAL, 100_001)
        speed = np.sqrt(1 + (fine * _TWIST * np.exp(fine)) ** 2)  # |c'(t)|
        length = np.concatenate([[0], np.cumsum(0.5 * (speed[1:] + speed[:-1]) * np.diff(fine))])
        t = np.interp(np.linspace(0, length[-1], n), length, fine)
        weight = np.exp(-0.5 * ((t - 1) / _RADIAL) ** 2) / np.interp(t, fine, speed)
    else:
        t = unit
    pieces = CURVES[name].pieces
    weight = np.tile(weight / weight.sum() / pieces, pieces)
    piece = torch.arange(pieces).repeat_interleave(n)
    points = _place(name, piece, torch.as_tensor(np.tile(t, pieces)))
    return points.float(), torch.as_tensor(weight).float()
