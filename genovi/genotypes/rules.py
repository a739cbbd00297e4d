"""What a reading of genotypes goes by: Rules, what is Known of the input before, and the Sink of what passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from genovi.genotypes.matrix import VariantTable


class Sink(Protocol):
    """Where rows go that passed."""

    @property
    def n_bytes(self) -> int:
        """Bytes of all rows so far."""

    def append(self, rows: np.ndarray, variants: VariantTable, share: float) -> None:
        """Take rows and their variants, with the share of the input that has been read."""


@dataclass(frozen=True)
class Rules:
    """What passes, beside what ``QCConfig`` says.

    Attributes:
        kinds: Kinds of variants that stay, as ``genovi.genotypes.kinds`` names them.
        kinds_name: Name of that step.
        unique: Of the variants of a position that pass all other steps keep the first alone.
        varying: Drop variants without variation.
        mute: Do not record --mind, --geno and --maf where they are switched off.
    """

    kinds: frozenset[str] = frozenset({"SNP"})
    kinds_name: str = "biallelic SNPs"
    unique: bool = True
    varying: bool = True
    mute: bool = False


@dataclass(frozen=True, eq=False)
class Missing:
    """Share of missing genotypes of each sample, shape (n_samples,), float64, and whether it exceeds --mind, bool."""

    share: np.ndarray
    failing: np.ndarray


@dataclass(frozen=True)
class Known:
    """What is known of the input as a whole; None where nothing is.

    Attributes:
        human: Whether all its contigs are human.
        in_order: Whether positions of each chromosome may be assumed to be in order.
        missing: Which samples fail --mind, among those that --keep and --remove leave.
    """

    human: bool | None = None
    in_order: bool = True
    missing: Missing | None = None


class TryAgainError(Exception):
    """What was assumed does not hold: read again, knowing this."""

    def __init__(self, known: Known) -> None:
        super().__init__("read again")
        self.known = known
