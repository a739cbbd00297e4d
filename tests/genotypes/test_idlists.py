from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from helpers import matrix_of

from genovi.errors import DataError
from genovi.genotypes.idlists import VariantList, named_samples, read_id_list
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
        ("\ufeffa\nb\n", "samples", {"a", "b"}),
        ("\ufeff#FID IID\nf a\n", "samples", {"a"}),
        ("\ufeffrs1\nrs2\n", "variants", {"rs1", "rs2"}),
    ],
)
def test_lists_in_the_shapes_plink_takes(tmp_path: Path, text: str, kind: str, ids: set[str]) -> None:
    (tmp_path / "list").write_text(text)
    assert read_id_list(tmp_path / "list", kind) == ids
    (tmp_path / "list.gz").write_bytes(gzip.compress(text.encode()))
    assert read_id_list(tmp_path / "list.gz", kind) == ids


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("f1 a\nf2\tb\n", {"f1\ta", "f2\tb"}),
        ("a\nf2 b\n", {"a", "f2\tb"}),
        ("#FID IID SEX\nf1 a 1\n", {"f1\ta"}),
        ("#IID SEX\na 1\n", {"a"}),
        ("#IID FID\na f1\n", {"f1\ta"}),
        ("# a comment\nf1 a\n", {"f1\ta"}),
    ],
)
def test_families_where_they_are_asked_for(tmp_path: Path, text: str, ids: set[str]) -> None:
    (tmp_path / "list").write_text(text)
    assert read_id_list(tmp_path / "list", families=True) == ids
    assert read_id_list(tmp_path / "list") == {one.split("\t")[-1] for one in ids}


def test_variants_have_no_families(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("rs1 G\n#CHROM ID\n1 rs2\n")
    assert read_id_list(tmp_path / "list", "variants", families=True) == {"rs1", "rs2"}


def test_families_and_individuals_by_the_names_of_samples() -> None:
    ids = frozenset({"f1\t1", "f2\t2", "f1_3", "9"})
    assert named_samples(ids, ("f1_1", "f2_1", "f1_2", "f2_2", "f1_3")) == {"f1_1", "f2_2", "f1_3", "9"}
    assert named_samples(ids, ("1", "2", "f1_3")) == {"1", "2", "f1_3", "9"}


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
    found = VariantList(ids)
    listed, unmatched = found.matches(table, chroms), found.unmatched
    assert listed.tolist() == [True, True, True, True, False]
    assert unmatched == {"rs99", f"2:{table.pos[4]}:{table.ref[4]}:{other}"}
