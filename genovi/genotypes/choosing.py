"""Which part of the genome is read: Choice, made of --chr or of --region."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from genovi.errors import ConfigError
from genovi.genotypes.matrix import VariantTable
from genovi.genotypes.regions import has_two_names, normalise_chromosome

_ANYWHERE = (-(2**62), 2**62)
_REGION = re.compile(r"(?P<chrom>.+):(?P<first>[0-9]{1,15})(?:-(?P<last>[0-9]{0,15}))?")
_LAST_NUMBER = 26  # of PLINK's for humans: MT
_FORM = "write it as 6:25000000-34000000"


@dataclass(frozen=True)
class Region:
    """A stretch of a chromosome.

    Attributes:
        chrom: Normalised name.
        first: First base pair, from 1 on.
        last: Last base pair, itself inside.
    """

    chrom: str
    first: int = _ANYWHERE[0]
    last: int = _ANYWHERE[1]

    def __str__(self) -> str:
        if (self.first, self.last) == _ANYWHERE:
            return self.chrom
        return f"{self.chrom}:{self.first}-{'' if self.last == _ANYWHERE[1] else self.last}"


@dataclass(frozen=True)
class Choice:
    """Records with POS in any of ``regions``; those whose REF merely reaches into one do not count.

    Attributes:
        regions: What is chosen.
        human: Whether 23 and X are one chromosome, as are 24 and Y, 25 and XY, 26 and MT.
    """

    regions: tuple[Region, ...]
    human: bool = True

    @cached_property
    def _spans(self) -> dict[str, list[Region]]:
        spans: dict[str, list[Region]] = {}
        for region in self.regions:
            spans.setdefault(normalise_chromosome(region.chrom, self.human), []).append(region)
        return spans

    @cached_property
    def _known(self) -> dict[str, list[Region]]:
        return {}

    @property
    def asked(self) -> frozenset[str]:
        """Contigs, as written in the files, that have been asked for with ``on``: all that have records."""
        return frozenset(self._known.copy())

    @property
    def depends_on_species(self) -> bool:
        """Whether what is chosen depends on ``human``."""
        return any(has_two_names(region.chrom) for region in self.regions)

    def on(self, chrom: str) -> list[Region]:
        """The regions on a contig that has records, by its name as written in a file."""
        found = self._known.get(chrom)
        if found is None:
            found = self._known[chrom] = self.listed(chrom)
        return found

    def listed(self, chrom: str) -> list[Region]:
        """As ``on``, of a contig that may have no records."""
        return self._spans.get(normalise_chromosome(chrom, self.human), [])

    def has(self, chrom: str, pos: int) -> bool:
        """Whether a record is chosen."""
        return any(region.first <= pos <= region.last for region in self.on(chrom))

    def mask_on(self, chrom: str, pos: np.ndarray) -> np.ndarray:
        """Which positions of one contig are chosen, shape (n,), bool."""
        inside = np.zeros(len(pos), dtype=bool)
        for region in self.on(chrom):
            inside |= (pos >= region.first) & (pos <= region.last)
        return inside

    def mask(self, variants: VariantTable) -> np.ndarray:
        """Which variants are chosen, shape (n_variants,), bool."""
        chosen = np.zeros(len(variants), dtype=bool)
        for name in dict.fromkeys(variants.chrom.tolist()):
            here = variants.chrom == name
            chosen[here] = self.mask_on(name, variants.pos[here])
        return chosen

    @property
    def whole(self) -> bool:
        """Whether all regions are whole chromosomes."""
        return all((region.first, region.last) == _ANYWHERE for region in self.regions)


def choose(chromosomes: Sequence[str] | None, regions: Sequence[Region] | None) -> Choice | None:
    """The choice that --chr or --region makes; None where neither is given.

    Numbers beyond 26 say that the genotypes are not human, until these are read.

    Raises:
        ConfigError: both are given.
    """
    if chromosomes is not None and regions is not None:
        raise ConfigError("--chr and --region are both given", why="a region names its chromosome", fix="give one")
    if chromosomes is not None:
        regions = [Region(normalise_chromosome(name)) for name in chromosomes]
    if regions is None:
        return None
    return Choice(tuple(regions), all(int(one.chrom) <= _LAST_NUMBER for one in regions if one.chrom.isdigit()))


def parse_regions(texts: Sequence[str]) -> tuple[Region, ...]:
    """Regions such as "2:1000-2000,chr3:5000-,X"; positions are 1-based, both ends are inside.

    Args:
        texts: What was typed, each one or several regions with commas between.

    Raises:
        ConfigError: a region makes no sense.
    """
    pieces = [piece.strip() for text in texts for piece in text.split(",")]
    regions = tuple(_region(piece) for piece in pieces if piece)
    if not regions:
        raise ConfigError("no region named", where="--region", fix=_FORM)
    return regions


def _region(text: str) -> Region:
    if ":" not in text:
        return Region(normalise_chromosome(text))
    found = _REGION.fullmatch(text)
    if found is None:
        raise ConfigError(f"{text!r} is not a region", where="--region", fix=_FORM)
    first = int(found["first"])
    last = first if found["last"] is None else int(found["last"] or _ANYWHERE[1])
    if not 1 <= first <= last:
        why = "it begins after its end" if first > last else "positions begin with 1"
        raise ConfigError(f"{text!r} is not a region", where="--region", why=why, fix=_FORM)
    return Region(normalise_chromosome(found["chrom"]), first, last)
