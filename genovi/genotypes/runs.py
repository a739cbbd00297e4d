"""Runs of equal names: a column of chromosomes is a few names, each many times in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TypeVar

import numpy as np

_T = TypeVar("_T")


def runs(names: np.ndarray) -> Iterator[tuple[str, int, int]]:
    """Each run of equal names: the name, its first place and the place after its last.

    Args:
        names: shape (n,), object (str).
    """
    listed = names.tolist()
    if listed and listed.count(listed[0]) == len(listed):  # as most often, and soon told
        yield listed[0], 0, len(listed)
    elif listed:
        starts = (np.flatnonzero(names[1:] != names[:-1]) + 1).tolist()
        for start, stop in pairwise([0, *starts, len(names)]):
            yield names[start], start, stop


def for_each_name(function: Callable[[str], _T], names: np.ndarray, kind: type[_T]) -> np.ndarray:
    """``function`` of each name, asked once for each distinct one, shape (n,).

    Args:
        function: Of a name.
        names: shape (n,), object (str).
        kind: Type of what it gives; ``str`` makes an array of objects.
    """
    values = np.empty(len(names), dtype=object if kind is str else kind)
    known: dict[str, _T] = {}
    for name, start, stop in runs(names):
        if name not in known:
            known[name] = function(name)
        values[start:stop] = known[name]
    return values
