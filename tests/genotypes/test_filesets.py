"""The fast way through a regular table against the slow one, line by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genovi.errors import DataError
from genovi.genotypes.filesets import VariantRows, regular_columns, regular_variants, table_rows

cells = st.text(alphabet="ab1#é\x0b\x1c\xa0", min_size=1, max_size=3)
gaps = st.sampled_from(["\t", " ", "  \t"])
ends = st.sampled_from(["\n", "\r\n", " \n", "\n\n"])


@given(st.lists(st.tuples(st.lists(cells, min_size=2, max_size=4), gaps, ends), max_size=4), st.booleans())
def test_the_fast_way_gives_the_same_or_nothing(lines: list[tuple[list[str], str, str]], is_cut: bool) -> None:
    text = "".join(gap.join(row) + end for row, gap, end in lines)
    text = text.rstrip("\r\n") if is_cut else text
    fast = regular_columns(text, 3)
    if fast is not None:
        slow = [row for _, row in table_rows(Path("x"), text, (3,), "a b c")]
        assert fast == [list(column) for column in zip(*slow, strict=True)]


@pytest.mark.parametrize("text", ["a b c\n", "a\tb\tc", " a  b c \r\nd e f\r\n", "a b c\nd e f"])
def test_regular_tables_go_the_fast_way(text: str) -> None:
    rows = [line.split() for line in text.splitlines()]
    assert regular_columns(text, 3) == [list(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("text", ["", "a b\nc d e f\n", "a b c\n\n", "a b c d\ne f\n", "a b c # d\n", "a b é\n"])
def test_others_do_not(text: str) -> None:
    assert regular_columns(text, 3) is None


@pytest.mark.parametrize("position", ["x", "1.5", "9" * 30])
def test_positions_that_are_none_are_left_to_the_slow_way(position: str) -> None:
    columns = [["1"], [position], ["rs"], ["a"], ["<del>"]]
    places = {"chrom": 0, "pos": 1, "identifier": 2, "ref": 3, "alt": 4}
    assert regular_variants(columns, **places) is None
    with pytest.raises(DataError, match=r"whole number \(x\.bim, line 4\)"):
        VariantRows(Path("x.bim")).add(4, "1", position, "rs", "A", "C")
    table = regular_variants([["1"], ["7"], ["rs"], ["a"], ["<del>"]], **places)
    assert table is not None
    assert (table.ref[0], table.alt[0], table.pos.dtype) == ("A", "<del>", np.int64)
    assert regular_variants(None, **places) is None
