"""Posterior: the interface of every q(z|x), and the path that a draw takes.

A posterior may draw auxiliary variables y before z. What it has to report of a draw is

    chain   = log r(y | z, x) - log q(z | y, x),      r: a density of y that the posterior brings along
    entropy = -log q(y | x)

for the first variable drawn and the rest (all of it is in ``entropy`` where z is the only one), so that

    w = log p(x|z) + log p(z) + chain + entropy,        E_q[w] <= log p(x)

whatever q and r are: Agakov and Barber (ICONIP 2004); Ranganath, Tran, Blei (ICML 2016); Piriyakulkij, Wang, Kuleshov
(AAAI 2025), section 3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genovi.model.densities import Noise, log_sum_exp

START_LOG_STD = -2.0  # posteriors begin narrow, so that the decoder sees where samples are


@dataclass(frozen=True)
class Path:
    """A draw from q with the parts of its log-weight that belong to the posterior.

    Attributes:
        z: y_0, shape (..., batch, d).
        chain: sum_t log r(y_t | y_{t-1}) - log q(y_{t-1} | y_t, x), shape (..., batch); 0 without a chain.
        entropy: -log q(y_T | x), shape (..., batch); NaN where q has no density.
        values: All variables in the order of drawing, y_T .. y_0, shape (..., batch, d) each.
    """

    z: Tensor
    chain: Tensor
    entropy: Tensor
    values: tuple[Tensor, ...]


class Posterior(nn.Module, ABC):
    """A distribution over z (and auxiliary variables) given x."""

    @abstractmethod
    def draw(self, x: Tensor, noise: Noise, draws: int | None = None) -> Path:
        """Reparametrised paths for each row of ``x`` (whitened data, shape (batch, k)).

        One path each, or ``draws`` of them along a new first axis.
        """

    @abstractmethod
    def forward(self, x: Tensor, values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """``chain`` and ``entropy`` of given ``values``, which need not have been drawn from this posterior."""

    @abstractmethod
    def sleep_loss(self, x: Tensor, z: Tensor, noise: Noise) -> Tensor:
        """-log q(y_{0:T} | x) of y drawn from r(. | z), shape (batch,); up to a constant, the sleep term."""

    @abstractmethod
    def head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation, shape (batch, d), of the Gaussian that the encoder sees z in."""

    @abstractmethod
    def log_marginal(self, x: Tensor, z: Tensor, noise: Noise, paths: int) -> Tensor:
        """log q(z | x) of z, shape (draws, batch, d), auxiliary variables integrated out; shape (draws, batch).

        Exact where there are none. Otherwise log (1/M) sum_m q(z | y_m, x) over M = ``paths`` fresh y_m: the average
        is unbiased, so its logarithm is too low, by less the more paths there are.
        """

    def learned_reverse(self) -> list[str]:
        """Names of the parameters of r, which are not parameters of q; none where r is fixed."""
        return []


def repeat(mean: Tensor, draws: int | None) -> Tensor:
    """``mean``, or a view of it with a new first axis of size ``draws``."""
    return mean if draws is None else mean.expand(draws, *mean.shape)


def log_mean(log_values: Tensor) -> Tensor:
    """Logarithm of the mean over the first axis."""
    return log_sum_exp(log_values, dim=0) - torch.log(log_values.new_tensor(float(len(log_values))))
