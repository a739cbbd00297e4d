"""GenotypeRows: samples as the binomial likelihood sees them, components for the encoder and genotypes for the decoder.

Genotypes stay packed wherever they are; only the block of variants and samples that a sum needs is ever unpacked.
``Data`` is what passes through a model: components alone, shape (n, k), or rows with genotypes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from genovi.errors import ConfigError

_VALUES_AT_ONCE = 2**23  # logits of a block


@dataclass(frozen=True, eq=False)
class Genotypes:
    """Genotypes of a set of samples at the variants of a model, in the model's order and coding.

    Attributes:
        read: Dosages of the counted allele at variants and samples, given by index: shape (n_variants, n_samples),
            int8, 0, 1, 2, or -1 where missing.
        n_variants: M.
    """

    read: Callable[[slice | np.ndarray, np.ndarray], np.ndarray]
    n_variants: int


@dataclass(frozen=True, eq=False)
class Sites:
    """The way from complete genotypes to components, x = sum_j (g_j - 2 p_j) projection_j.

    Attributes:
        centre: 2 p_j, shape (M,), float32.
        projection: In the unit of training scores, shape (M, k), float32.
    """

    centre: Tensor
    projection: Tensor


@dataclass(frozen=True, eq=False)
class GenotypeRows:
    """Some samples: indexed, cut and moved like the tensor of their components.

    Attributes:
        x: Noise-scaled components, shape (n, k).
        genotypes: Where their genotypes are.
        columns: Which of its samples they are, shape (n,), int64, on the CPU.
        chosen: Indices of the variants that sums go over, ascending; None for all.
    """

    x: Tensor
    genotypes: Genotypes
    columns: Tensor
    chosen: np.ndarray | None = None

    @staticmethod
    def of(x: Tensor, genotypes: Genotypes) -> GenotypeRows:
        """All samples of ``genotypes``, whose components are the rows of ``x``."""
        return GenotypeRows(x, genotypes, torch.arange(len(x)))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice | Tensor | np.ndarray) -> GenotypeRows:
        where = rows.cpu() if isinstance(rows, Tensor) else rows
        return replace(self, x=self.x[rows], columns=self.columns[where])

    @property
    def device(self) -> torch.device:
        """Of the components, and of the blocks that are unpacked."""
        return self.x.device

    def to(self, device: torch.device) -> GenotypeRows:
        """The same with components on ``device``."""
        return replace(self, x=self.x.to(device))

    def at(self, chosen: np.ndarray) -> GenotypeRows:
        """The same with sums over the variants ``chosen``, weighted to estimate those over all without bias."""
        return replace(self, chosen=chosen)

    @property
    def weight(self) -> float:
        """M / |S|, by which a sum over the chosen variants S is multiplied."""
        return 1.0 if self.chosen is None else self.genotypes.n_variants / len(self.chosen)

    def blocks(self, points: int) -> Iterator[tuple[slice | Tensor, Tensor, Tensor | None]]:
        """Variants, dosages and which genotypes are observed, a block of variants at once.

        Args:
            points: Logits that each variant needs, by which the size of a block is chosen.

        Yields:
            Variants as an index; dosages, shape (n, size), 0 where missing; 1 where observed and 0 where missing,
            same shape, or None where nothing is missing. In the type of the components.
        """
        n = self.genotypes.n_variants if self.chosen is None else len(self.chosen)
        columns = self.columns.numpy()
        for part in spans(n, max(points, len(self))):
            sites = part if self.chosen is None else self.chosen[part]
            read = np.ascontiguousarray(self.genotypes.read(sites, columns).T)
            dosages = torch.from_numpy(read).to(self.device)
            observed = (dosages >= 0).to(self.x.dtype) if read.min() < 0 else None
            index = sites if isinstance(sites, slice) else torch.from_numpy(sites).to(self.device)
            yield index, dosages.clamp_min(0).to(self.x.dtype), observed


Data = Tensor | GenotypeRows


def spans(n: int, points: int) -> Iterator[slice]:
    """Ranges of n variants with about as many as memory allows where each needs ``points`` numbers."""
    size = max(1, _VALUES_AT_ONCE // max(1, points))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def components(data: Data) -> Tensor:
    """x of ``data``, shape (n, k)."""
    return data if isinstance(data, Tensor) else data.x


def with_components(data: Data, x: Tensor) -> Data:
    """``data`` with other components."""
    return x if isinstance(data, Tensor) else replace(data, x=x)


def with_genotypes(data: Data) -> GenotypeRows:
    """``data`` as rows with genotypes.

    Raises:
        ConfigError: it has components alone.
    """
    if isinstance(data, Tensor):
        raise ConfigError("the binomial likelihood needs genotypes, not components alone")
    return data
