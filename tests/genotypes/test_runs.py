from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from genovi.genotypes.runs import for_each_name, runs

columns = st.lists(st.sampled_from(["1", "10", "chr1", "X", "Zoë"]), max_size=40)


def objects(names: list[str]) -> np.ndarray:
    array = np.empty(len(names), dtype=object)
    array[:] = ["".join(list(name)) for name in names]  # equal names need not be one object
    return array


@given(columns)
def test_runs_are_the_names_in_order_and_as_long_as_can_be(names: list[str]) -> None:
    found = list(runs(objects(names)))
    assert [name for name, start, stop in found for _ in range(start, stop)] == names
    assert [start for _, start, _ in found] == [0, *(stop for *_, stop in found[:-1])][: len(found)]
    assert all(one[0] != other[0] for one, other in pairwise(found))


@given(columns)
def test_each_name_is_asked_for_once(names: list[str]) -> None:
    asked: list[str] = []

    def length(name: str) -> int:
        asked.append(name)
        return len(name)

    assert for_each_name(length, objects(names), int).tolist() == [len(name) for name in names]
    assert asked == list(dict.fromkeys(names))
    assert for_each_name(str.upper, objects(names), str).tolist() == [name.upper() for name in names]
