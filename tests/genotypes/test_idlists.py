from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from helpers import matrix_of

from genovi.errors import DataError
from genovi.genotypes.idlists import match_variants, read_id_list
from genovi.genotypes.regions import normalise_chromosomes


@pytest.mark.parametrize(
    ("text", "kind", "ids"),
    [
        ("a\nb\n", "samples", {"a", "b"}),
        ("a\r\n\r\nb", "samples", {"a", "b"}),
        ("f1 a\nf2\tb\n", "samples", {"a", "b"}),
        ("#IID\na\nb\n", "samples", {"a", "b"}),
        ("#FID\tIID\tSEX\nf\ta\t1\nf\tb\t2\n", "samples", {"a", "b"}),
        ("#IID\tSEX\na\t1\nb\t2\n", "samples", {"a", "b"}),
        ("# a comment\nf1 a\nf2 b\n", "samples", {"a", "b"}),
        ("rs1\n1:5\n", "variants", {"rs1", "1:5"}),
        ("rs1 G 0.5\nrs2 A 0.1\n", "variants", {"rs1", "rs2"}),
        ("#CHROM\tPOS\tID\n1\t5\trs1\n", "variants", {"rs1"}),
    ],
)
def test_lists_in_the_shapes_plink_takes(tmp_path: Path, text: str, kind: str, ids: set[str]) -> None:
    (tmp_path / "list").write_text(text)
    assert read_id_list(tmp_path / "list", kind) == ids
    (tmp_path / "list.gz").write_bytes(gzip.compress(text.encode()))
    assert read_id_list(tmp_path / "list.gz", kind) == ids


@pytest.mark.parametrize("text", ["", "\n\n", "#IID\n"])
def test_empty_lists_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "list").write_text(text)
    with pytest.raises(DataError, match="no samples on the list"):
        read_id_list(tmp_path / "list")
    with pytest.raises(DataError, match="no such file"):
        read_id_list(tmp_path / "absent")


def test_variants_match_by_name_place_and_alleles() -> None:
    table = matrix_of(np.zeros((5, 1), dtype=np.int8)).variants
    chroms = normalise_chromosomes(np.array(["chr1", "1", "1", "chrX", "2"], dtype=object))
    a, b = table.ref[2], table.alt[2]
    other = next(base for base in "ACGT" if base not in (table.ref[4], table.alt[4]))
    ids = frozenset(
        {
            "v1",
            f"chr1:{table.pos[1]}",
            f"1:{table.pos[2]}:{b}:{a.lower()}",
            f"23:{table.pos[3]}",
            f"2:{table.pos[4]}:{table.ref[4]}:{other}",
            "rs99",
        }
    )
    listed, unmatched = match_variants(table, chroms, ids)
    assert listed.tolist() == [True, True, True, True, False]
    assert unmatched == {"rs99", f"2:{table.pos[4]}:{table.ref[4]}:{other}"}
