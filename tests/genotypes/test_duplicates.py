from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genovi.genotypes.duplicates import OutOfOrderError, Positions

places = st.lists(st.lists(st.tuples(st.sampled_from(["1", "2", "X"]), st.integers(-2, 12)), max_size=12), max_size=6)


def told(batches: list[list[tuple[str, int]]], in_order: bool) -> list[bool]:
    positions = Positions(in_order)
    first: list[bool] = []
    for batch in batches:
        chroms = np.array([chrom for chrom, _ in batch], dtype=object)
        first += positions.are_first(chroms, np.array([pos for _, pos in batch], dtype=np.int64)).tolist()
    return first


@given(places)
def test_first_of_each_position(batches: list[list[tuple[str, int]]]) -> None:
    flat = [place for batch in batches for place in batch]
    expected = [place not in flat[:i] for i, place in enumerate(flat)]
    assert told(batches, in_order=False) == expected
    on = {chrom: [pos for name, pos in flat if name == chrom] for chrom in "12X"}
    if all(pos == sorted(pos) for pos in on.values()):
        assert told(batches, in_order=True) == expected
    else:
        with pytest.raises(OutOfOrderError):
            told(batches, in_order=True)


@given(places)
def test_positions_in_order_need_no_memory(batches: list[list[tuple[str, int]]]) -> None:
    ordered = [sorted(batch) for batch in batches[:1]]
    assert told(ordered, in_order=True) == told(ordered, in_order=False)


def test_many_positions_out_of_order() -> None:
    rng = np.random.default_rng(1)
    pos = rng.integers(0, 5000, size=20_000)
    seen: set[int] = set()
    expected = [not (one in seen or seen.add(one)) for one in pos.tolist()]  # type: ignore[func-returns-value]
    positions = Positions(in_order=False)
    chrom = np.full(100, "1", dtype=object)
    found = [positions.are_first(chrom, pos[i : i + 100]) for i in range(0, len(pos), 100)]
    assert np.concatenate(found).tolist() == expected
