"""Likelihood p(G|z) of genotypes, and allele frequencies along the latent space.

    p(G | z) = prod_{j observed} Binomial(g_j; 2, f_j(z)),      logit f_j(z) = b_j + a_j . h(z)

    g_j   dosage of the counted allele at variant j, 0, 1 or 2; a missing genotype has no factor
    f_j   frequency of the counted allele in those who live at z
    h     decoder, d -> k numbers; a_j, b_j: slopes and offset of variant j

Variants are taken as independent given z, which linkage pruning makes nearly true, and genotypes as in Hardy-Weinberg
equilibrium at every z. It starts at h = 0, so that f_j is the allele frequency p_j of the training samples everywhere,
and with a_j the least-squares slopes of their genotypes on their components x,

    a_j = (X'X)^-1 X' (g_j - 2 p_j) / (2 p_j (1 - p_j)),

since d f / d logit = f (1 - f). A step of training may look at a random subset S of the M variants: M / |S| times the
sum over S has the sum over all as its expectation.

With A(z) = sum_j log(1 + exp logit_j) and u = sum_j g_j a_j this is an exponential family,

    log p(G | z) = u . h(z) + sum_j g_j b_j - 2 A(z) + sum_j log C(2, g_j),

so that many samples and many z are compared by one product of matrices; without the samples' missing genotypes in A.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from genovi.model.densities import Noise
from genovi.model.likelihood import Likelihood, Pairs
from genovi.model.networks import initialise, perceptron
from genovi.model.rows import Data, GenotypeRows, Sites, spans, with_genotypes

_UNIT = 0.1  # of slopes and offsets: Adam moves every weight at one rate, which is too fast for the sum of k of them
_RIDGE = 1.0  # in units of one sample, for components that hardly vary
_LOG_2 = math.log(2)


class BinomialLikelihood(Likelihood):
    """Decoder of allele frequencies.

    Args:
        latent_dim: d.
        hidden: Width of the decoder.
        scale: Standard deviation of each component, shape (k,).
        sites: The variants.
        generator: Draws the initial weights.
    """

    refined_points: ClassVar[Mapping[int, int]] = {1: 512, 2: 64}  # every point costs the logits of all variants
    most_dreams: ClassVar[int | None] = 64  # so do dreams

    def __init__(self, latent_dim: int, hidden: int, scale: Tensor, sites: Sites, generator: torch.Generator) -> None:
        super().__init__()
        k = len(scale)
        self.decoder = perceptron([latent_dim, hidden, hidden, hidden, k])
        initialise(self.decoder, generator)
        last = self.decoder[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        frequency = sites.centre / 2
        self.offset = nn.Parameter(torch.logit(frequency) / _UNIT)
        self.slope = nn.Parameter(sites.projection * (scale / sites.projection.norm(dim=0).clamp_min(1e-6)) / _UNIT)
        self.register_buffer("scale", scale)
        self.register_buffer("log_noise", torch.zeros_like(scale), persistent=False)
        self.register_buffer("centre", sites.centre, persistent=False)
        self.register_buffer("projection", sites.projection, persistent=False)
        self.centre: Tensor
        self.projection: Tensor

    @property
    def n_variants(self) -> int:
        """M."""
        return len(self.centre)

    @torch.no_grad()
    def start(self, rows: GenotypeRows) -> None:
        """Offsets and slopes from training samples; the frequencies are (count + 1/2) / (alleles + 1), never 0 or 1."""
        white = rows.x / self.scale
        moment = white.T @ white + _RIDGE * torch.eye(white.shape[1]).to(white)
        for sites, dosage, observed in rows.blocks(len(rows)):
            alleles = 2 * (torch.full_like(dosage, 1.0) if observed is None else observed)
            frequency = (dosage.sum(0) + 0.5) / (alleles.sum(0) + 1)
            slope = torch.linalg.solve(moment, white.T @ (dosage - alleles * frequency)).T
            self.offset[sites] = torch.logit(frequency) / _UNIT
            self.slope[sites] = slope / (2 * frequency * (1 - frequency))[:, None] / _UNIT

    def logits(self, h: Tensor, sites: slice | Tensor) -> Tensor:
        """logit f_j of decoded points, shape (..., k), at variants: shape (..., n_sites)."""
        slope, offset = self.parameters_of(sites)
        return h @ slope.T + offset

    def parameters_of(self, sites: slice | Tensor) -> tuple[Tensor, Tensor]:
        """a_j, shape (n_sites, k), and b_j, shape (n_sites,)."""
        return self.slope[sites] * _UNIT, self.offset[sites] * _UNIT

    def log_density(self, data: Data, z: Tensor, whitener: Tensor | None = None) -> Tensor:
        """log p(G | z), shape (..., n); ``whitener`` is of components and not used. An estimate for chosen variants."""
        rows = with_genotypes(data)
        h = self.decoder(z)
        total = torch.zeros_like(h[..., 0])
        for sites, dosage, observed in rows.blocks(h[..., 0].numel()):
            slope, offset = self.parameters_of(sites)
            volume = softplus(h @ slope.T + offset)
            if observed is not None:
                volume = volume * observed
            linear = (h * (dosage @ slope)).sum(-1) + dosage @ offset
            total = total + linear - 2 * volume.sum(-1) + _LOG_2 * (dosage == 1).to(h.dtype).sum(-1)
        return total * rows.weight

    def mean(self, z: Tensor) -> Tensor:
        """Components that are expected of new samples at z, shape (..., k)."""
        total = torch.zeros((*z.shape[:-1], len(self.scale)), dtype=z.dtype, device=z.device)
        for sites, frequency in self._frequencies(z):
            total = total + (2 * frequency - self.centre[sites]) @ self.projection[sites]
        return total

    def sample(self, z: Tensor, noise: Noise) -> Tensor:
        total = torch.zeros((*z.shape[:-1], len(self.scale)), dtype=z.dtype, device=z.device)
        for sites, frequency in self._frequencies(z):
            total = total + (noise.copies(frequency) - self.centre[sites]) @ self.projection[sites]
        return total

    def noisier(self, data: Data, noise: Noise) -> Data:
        return data

    def frequencies(self, z: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Frequency of the counted allele at z, shape (..., d): shape (..., M), or of the variants ``chosen`` alone."""
        if chosen is not None:
            return torch.sigmoid(self.logits(self.decoder(z), chosen))
        return torch.cat([frequency for _, frequency in self._frequencies(z)], dim=-1)

    def genotypes(self, z: Tensor, noise: Noise) -> Iterator[tuple[slice, Tensor]]:
        """Draw genotypes of samples at z, shape (n, d), block by block: variants, and dosages of shape (n, size)."""
        for sites, frequency in self._frequencies(z):
            yield sites, noise.copies(frequency)

    def _frequencies(self, z: Tensor) -> Iterator[tuple[slice, Tensor]]:
        h = self.decoder(z)
        for sites in spans(self.n_variants, h[..., 0].numel()):
            yield sites, torch.sigmoid(self.logits(h, sites))

    def pairs(self, z: Tensor) -> Pairs:
        return _BinomialPairs(self, z)


class _BinomialPairs(Pairs):
    """Points z with h(z) and, once a complete sample asks for it, 2 A(z)."""

    def __init__(self, likelihood: BinomialLikelihood, z: Tensor) -> None:
        self.likelihood = likelihood
        self.h = likelihood.decoder(z)
        self.volume: Tensor | None = None

    def log_density(self, data: Data, excess: Tensor | None) -> Tensor:
        rows = with_genotypes(data)
        h = self.h.double()
        u, constant = h.new_zeros(len(rows), h.shape[1]), h.new_zeros(len(rows))
        # of samples with missing genotypes, what of 2 A(z) is theirs: as many logits as for all samples together
        lost = h.new_zeros(len(rows), len(h))
        for sites, dosage, observed in rows.blocks(len(h)):
            slope, offset = (part.double() for part in self.likelihood.parameters_of(sites))
            heterozygous = (dosage == 1).double().sum(1)
            u += dosage.double() @ slope
            constant += dosage.double() @ offset + _LOG_2 * heterozygous
            if observed is not None:
                lost += 2 * ((1 - observed) @ softplus(self.likelihood.logits(self.h, sites)).T).double()
        return u @ h.T + constant[:, None] - (self._volume() - lost)

    def _volume(self) -> Tensor:
        if self.volume is None:
            total = torch.zeros(len(self.h), dtype=torch.float64, device=self.h.device)
            for sites in spans(self.likelihood.n_variants, len(self.h)):
                total += 2 * softplus(self.likelihood.logits(self.h, sites)).sum(-1).double()
            self.volume = total
        return self.volume
