"""Fixed priors on the plane: a curve with Gaussian noise about it.

    p(z) = int p(t) N(z; c(t), s^2 I) dt

    pinwheel   ten arcs, t ~ N(1, 0.15^2), c(t) = t (cos a, sin a), a = 2 pi j / 10 + 0.25 exp(t), s = 0.005
    swissroll  c(t) = 3 sqrt(t) (cos a, sin a), a = 4.5 pi sqrt(t), t uniform on (0, 1), s = 0.1
    square     the perimeter of [-1, 1]^2, uniform, s = 0.06

The integral over t is taken by quadrature with nodes closer than about s, the trapezoidal rule in arc length where p(t)
vanishes at the ends and Gauss-Legendre where not: exact to some hundred-thousandths of a nat wherever the density
matters (tested against nodes twice as dense). Of the 4,480 nodes of the pinwheel only those that hold the integral are
summed for a point: a window about the best one of every sixteenth node, on each of the two nearest arms. That changes
log p by less than 1e-9 where it is above -500 (its peak is near 3; tested). In the hub, where it is near -1200 and ten
arms are equally far, two of them hold at least a fifth of the sum. Draws take t from p(t) itself.
The paper draws the noise of pinwheel and square across the curve alone; here it has both directions, so that the
density is positive everywhere and smooth at the ends and corners. Source: Piriyakulkij, Wang, Kuleshov (AAAI 2025).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from genovi.model.densities import LOG_2PI, Noise, log_sum_exp
from genovi.model.prior import Prior

ARMS = 10
_TWIST = 0.25
_RADIAL = 0.15
_TAILS = 5.0  # standard deviations of t that the nodes reach
_TURNS = 4.5 * math.pi
_STRIDE = 16  # of the search for the best node; divides the nodes of an arm
_WINDOW = 48  # nodes of an arm that are summed
_NEAR = 2  # arms that are summed
_VALUES_AT_ONCE = 2**22  # distances between points and nodes


@dataclass(frozen=True)
class _Curve:
    """Shape of a curve.

    std: s. nodes: of the quadrature on each piece. pieces: equal parts of the mixture. clusters: pieces are clusters.
    narrow: so narrow that a point sees few of the nodes, which then have to be equidistant.
    """

    std: float
    nodes: int
    pieces: int
    clusters: bool
    narrow: bool = False


CURVES = {
    "pinwheel": _Curve(0.005, 448, ARMS, True, narrow=True),
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
        return log_sum_exp(self._pieces(z), dim=-1)

    def _pieces(self, z: Tensor) -> Tensor:
        """log-density of z with each piece of the curve, shape (..., pieces); -inf for pieces far from a narrow one."""
        flat = z.reshape(-1, 2)
        rows = max(1, _VALUES_AT_ONCE // len(self.points))
        pieces = self._near if self.curve.narrow else self._all
        return torch.cat([pieces(part) for part in flat.split(rows)]).reshape(*z.shape[:-1], self.curve.pieces)

    def _all(self, z: Tensor) -> Tensor:
        """Sums over all nodes of each piece, shape (n, pieces) for z of shape (n, 2)."""
        distance = torch.cdist(z, self.points, compute_mode="donot_use_mm_for_euclid_dist")
        joint = self.log_weight + self._constant - 0.5 * (distance / self.curve.std).square()
        return log_sum_exp(joint.unflatten(-1, (self.curve.pieces, -1)), dim=-1)

    def _near(self, z: Tensor) -> Tensor:
        """Sums over windows of the nearest pieces."""
        nodes, pieces = self.curve.nodes, self.curve.pieces
        with torch.no_grad():
            # which node is best: its log-density but for |z|^2, which is the same for all
            some = self.points[::_STRIDE] / self.curve.std
            offset = self.log_weight[::_STRIDE] - 0.5 * some.square().sum(-1)
            scores = nn.functional.linear(z / self.curve.std, some, offset)
            height, best = scores.unflatten(-1, (pieces, -1)).max(dim=-1)
            near = height.topk(_NEAR, dim=-1).indices
            start = (best.gather(-1, near) * _STRIDE - _WINDOW // 2).clamp(0, nodes - _WINDOW) + near * nodes
            window = start[..., None] + torch.arange(_WINDOW, device=z.device)
        apart = z[:, None, None] - self.points[window]
        joint = self.log_weight[window] + self._constant - 0.5 * (apart / self.curve.std).square().sum(-1)
        sums = log_sum_exp(joint, dim=-1)
        return torch.full_like(height, -math.inf).scatter(-1, near, sums)

    @property
    def _constant(self) -> float:
        return -2 * math.log(self.curve.std) - LOG_2PI

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
