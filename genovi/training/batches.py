"""Mini-batches and the split into training and held-out samples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from genovi.model.rows import Data, GenotypeRows
from genovi.seeding import Seeds
from genovi.training.config import held_out_of


def split_samples(n: int, holdout: float, seeds: Seeds) -> tuple[np.ndarray, np.ndarray]:
    """Indices of training and held-out samples, drawn without looking at anything but ``n``."""
    order = seeds.numpy("split").permutation(n)
    count = held_out_of(n, holdout)
    return np.sort(order[count:]), np.sort(order[:count])


class Batches:
    """Endless epochs of shuffled mini-batches of equal size; leftovers of an epoch return in the next shuffle.

    Args:
        x: Training data, components of shape (n, k).
        size: Samples in a batch; n if that is smaller.
        generator: Shuffles.
        n_variants: Variants that each batch of genotypes looks at, drawn anew for each; 0 or too many for all.
    """

    def __init__(self, x: Data, size: int, generator: torch.Generator, n_variants: int = 0) -> None:
        self.x = x
        self.n_variants = n_variants
        self.size = min(size, len(x))
        self.per_epoch = max(1, len(x) // self.size)
        self.generator = generator
        self.order = torch.arange(len(x), device=generator.device)
        self.position = 0  # batches of this epoch that were handed out

    def epoch(self) -> Iterator[Data]:
        """The batches of one epoch, or those that are left of it."""
        if self.position == 0:
            self.order = torch.randperm(len(self.x), generator=self.generator, device=self.generator.device)
        # sent to a GPU once for all batches, which would have it wait at each; genotypes are read by the CPU
        order = self.order if isinstance(self.x, GenotypeRows) else self.order.to(self.x.device)
        while self.position < self.per_epoch:
            start = self.position * self.size
            self.position += 1
            yield self._thinned(self.x[order[start : start + self.size]])
        self.position = 0

    def _thinned(self, x: Data) -> Data:
        """``x`` at a random subset of its variants."""
        if not isinstance(x, GenotypeRows) or not 0 < self.n_variants < x.genotypes.n_variants:
            return x
        drawn = torch.randperm(x.genotypes.n_variants, generator=self.generator, device=self.generator.device)
        return x.at(drawn[: self.n_variants].sort().values.cpu().numpy())
