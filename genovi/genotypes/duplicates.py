"""Which variants are the first of their position, told table by table in little memory."""

from __future__ import annotations

import numpy as np

from genovi.genotypes.runs import runs


class OutOfOrderError(Exception):
    """Positions of a chromosome are not in order, although that was assumed."""


class Positions:
    """Positions seen so far.

    Args:
        in_order: Assume that positions of each chromosome never fall: then the last one alone is remembered. Else all
            are, 8 bytes each.
    """

    def __init__(self, in_order: bool) -> None:
        self._in_order = in_order
        self._last: dict[str, int] = {}
        self._seen: dict[str, list[np.ndarray]] = {}

    def are_first(self, chroms: np.ndarray, pos: np.ndarray) -> np.ndarray:
        """Which variants are the first of their position, here and in all tables before.

        Args:
            chroms: Normalised names, shape (n,), object (str).
            pos: shape (n,), int64.

        Returns:
            shape (n,), bool.

        Raises:
            OutOfOrderError: positions fall, and ``in_order`` was assumed.
        """
        first = np.empty(len(pos), dtype=bool)
        for chrom, start, stop in runs(chroms):
            here = pos[start:stop]
            first[start:stop] = self._ordered(chrom, here) if self._in_order else self._any(chrom, here)
        return first

    def _ordered(self, chrom: str, pos: np.ndarray) -> np.ndarray:
        before = np.empty(len(pos), dtype=np.int64)
        before[0] = self._last.get(chrom, np.iinfo(np.int64).min)
        before[1:] = pos[:-1]
        if np.any(pos < before):
            raise OutOfOrderError
        self._last[chrom] = int(pos[-1])
        return pos != before

    def _any(self, chrom: str, pos: np.ndarray) -> np.ndarray:
        new, places = np.unique(pos, return_index=True)
        runs = self._seen.setdefault(chrom, [])
        fresh = np.ones(len(new), dtype=bool)
        for run in runs:
            at = np.minimum(np.searchsorted(run, new), len(run) - 1)
            fresh &= run[at] != new
        first = np.zeros(len(pos), dtype=bool)
        first[places[fresh]] = True
        if fresh.any():
            runs.append(new[fresh])
        # runs that double in size: each position is sorted again a few times at most
        while len(runs) > 1 and 2 * len(runs[-1]) > len(runs[-2]):
            runs[-2:] = [np.sort(np.concatenate(runs[-2:]))]
        return first
