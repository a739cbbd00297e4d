"""EIGENSTRAT filesets: the same data as PLINK 1 and EIGENSTRAT, EIGENSOFT's convertf, and round trips of all forms."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_same, matrix_of, needs, real_data, run_tool, simulate_structure, write_vcf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genovi.errors import DataError
from genovi.genotypes import ancestrymaps, batches, eigenstrat
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.writing import write_plink1

FORMS = {"EIGENSTRAT": "EIGENSTRAT", "GENO": "PACKEDANCESTRYMAP", "TGENO": "PACKEDANCESTRYMAP (transposed)"}


def packed_bits(codes: np.ndarray, length: int) -> bytes:
    """Rows of two-bit codes, the first in the highest bits, padded to ``length`` bytes."""
    full = np.zeros((len(codes), 4 * length), dtype=np.uint8)
    full[:, : codes.shape[1]] = codes
    quads = full.reshape(len(codes), length, 4)
    return (quads[..., 0] << 6 | quads[..., 1] << 4 | quads[..., 2] << 2 | quads[..., 3]).astype(np.uint8).tobytes()


def write_eigenstrat(matrix: GenotypeMatrix, prefix: Path, form: str) -> Path:
    """Write a fileset as the format's description says; returns the path of the .geno."""
    dosages, table = matrix.dosages(), matrix.variants
    codes = np.where(dosages < 0, 3, dosages).astype(np.uint8)
    if form == "EIGENSTRAT":
        lines = np.array(list("0129"))[codes]
        content = "".join("".join(line) + "\n" for line in lines).encode()
    else:
        n_variants, n_samples = codes.shape
        length = max(48, -(-n_samples // 4)) if form == "GENO" else -(-n_variants // 4)
        hashes = [int(eigenstrat._hash(names)) for names in (matrix.samples, table.id.tolist())]
        header = f"{form} {n_samples:7d} {n_variants:7d} {hashes[0]:x} {hashes[1]:x}".encode()
        content = header.ljust(length if form == "GENO" else 48, b"\0")
        content += packed_bits(codes if form == "GENO" else codes.T, length)
    Path(f"{prefix}.geno").write_bytes(content)
    rows = zip(table.id, table.chrom, table.pos, table.alt, table.ref, strict=True)
    Path(f"{prefix}.snp").write_text("".join(f"  {i}\t{c} 0.0 {p} {a} {r}\n" for i, c, p, a, r in rows))
    Path(f"{prefix}.ind").write_text("".join(f"{name} U pop\n" for name in matrix.samples))
    return Path(f"{prefix}.geno")


@given(
    hnp.arrays(np.int8, st.tuples(st.integers(1, 9), st.integers(1, 13)), elements=st.integers(-1, 2)),
    st.sampled_from(sorted(FORMS)),
    st.integers(1, 200),
)
def test_every_form_is_read(
    tmp_path_factory: pytest.TempPathFactory, dosages: np.ndarray, form: str, block: int
) -> None:
    matrix = matrix_of(dosages)
    geno = write_eigenstrat(matrix, tmp_path_factory.mktemp("eigenstrat") / "with.dots", form)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ancestrymaps, "_UNPACKED_BYTES", block)
        patch.setattr(batches, "BATCH_BYTES", block)
        read = open_genotypes([geno])
    assert_same(read, matrix)
    assert read.facts.formats == (FORMS[form],)


@pytest.mark.parametrize("form", FORMS)
def test_records_longer_than_the_smallest(tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture) -> None:
    matrix = matrix_of(np.random.default_rng(1).integers(-1, 3, size=(203, 205)).astype(np.int8))
    for name in (
        write_eigenstrat(matrix, tmp_path / "x", form),
        tmp_path / "x",
        tmp_path / "x.snp",
        tmp_path / "x.ind",
    ):
        assert_same(open_genotypes([name]), matrix)
    assert "written with another" not in caplog.text


@pytest.mark.real
def test_the_first_allele_of_real_data_is_a1_of_their_fileset() -> None:
    folder = real_data("ho249")
    eigen = open_genotypes([folder / "HumanOrigins249_tiny.eigenstratgeno"])
    assert_same(eigen, open_genotypes([folder / "HumanOrigins249_tiny.bed"]))
    assert (eigen.n_samples, eigen.n_variants) == (249, 9259)
    assert np.any(eigen.dosages() == -1)


@pytest.mark.parametrize("form", ["EIGENSTRAT", "PACKEDANCESTRYMAP"])
def test_what_convertf_makes_of_plink_files_is_the_same(
    tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    convertf = needs("convertf")
    matrix, _ = simulate_structure(1, 2, 110, 40, 0.1, missing=0.1)
    write_plink1(matrix, tmp_path / "b")
    keys = {"genotypename": "b.bed", "snpname": "b.bim", "indivname": "b.fam", "outputformat": form}
    keys |= {"genotypeoutname": "e.geno", "snpoutname": "e.snp", "indivoutname": "e.ind", "familynames": "NO"}
    places = {key: value if key in ("outputformat", "familynames") else tmp_path / value for key, value in keys.items()}
    (tmp_path / "par").write_text("".join(f"{key}: {value}\n" for key, value in places.items()))
    run_tool(convertf, "-p", tmp_path / "par")
    assert_same(open_genotypes([tmp_path / "e"]), matrix)
    assert "written with another" not in caplog.text


def test_the_hash_is_that_of_eigensoft() -> None:
    # By hand: "b" = 98, "ab" = 97 * 23 + 98 = 2329; both: 17 * 98 xor 2329.
    assert eigenstrat._hash(["b", "ab"]) == (17 * 98) ^ 2329
    assert eigenstrat._hash(["x" * 40] * 9) < 2**32


def test_numbers_of_chromosomes_are_eigensofts(tmp_path: Path) -> None:
    geno = write_eigenstrat(matrix_of(np.zeros((4, 3), dtype=np.int8)), tmp_path / "x", "GENO")
    snp = tmp_path / "x.snp"
    rows = [f"v{i} {chrom} 0 5 a t" for i, chrom in enumerate((23, 24, 90, 91))]
    snp.write_text("# comment\n" + "\r\n".join(rows))
    variants = open_genotypes([geno]).variants
    assert variants.chrom.tolist() == ["23", "24", "MT", "XY"]
    assert (variants.alt[0], variants.ref[0]) == ("A", "T")


@pytest.mark.parametrize("suffix", [".ind", ".snp"])
def test_tables_of_other_files_are_noticed_by_their_hashes(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    geno = write_eigenstrat(matrix_of(np.zeros((4, 3), dtype=np.int8)), tmp_path / "x", "GENO")
    path = Path(f"{tmp_path}/x{suffix}")
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    open_genotypes([geno])
    assert f"written with another {suffix}" in caplog.text


@pytest.mark.parametrize("form", FORMS)
def test_any_name_will_do(tmp_path: Path, form: str) -> None:
    matrix = matrix_of(np.ones((4, 3), dtype=np.int8))
    geno = write_eigenstrat(matrix, tmp_path / "x", form).rename(tmp_path / "x.genotypes")
    assert_same(open_genotypes([geno]), matrix)
    assert_same(open_genotypes([write_vcf(tmp_path / "y.geno", matrix)]), matrix)


@pytest.mark.parametrize("end", ["", "\r\n"])
def test_ends_of_lines(tmp_path: Path, end: str) -> None:
    matrix = matrix_of(np.random.default_rng(1).integers(-1, 3, size=(5, 7)).astype(np.int8))
    geno = write_eigenstrat(matrix, tmp_path / "x", "EIGENSTRAT")
    text = geno.read_text()
    geno.write_bytes((text.rstrip("\n") if end == "" else text.replace("\n", end)).encode())
    assert_same(open_genotypes([geno]), matrix)


# Form, file, what happens to it, and what is said.
BAD: dict[str, tuple[str, str, Callable[[bytes], bytes], str]] = {
    "cut text": ("EIGENSTRAT", ".geno", lambda data: data[:-20], r"4 genotypes, expected 7 .*line 10"),
    "lost line": ("EIGENSTRAT", ".geno", lambda data: data[:-8], r"11 variants, expected 12"),
    "long line": (
        "EIGENSTRAT",
        ".geno",
        lambda data: data[:16] + b"0" + data[16:],
        r"8 genotypes, expected 7 .*line 3",
    ),
    "shifted": ("EIGENSTRAT", ".geno", lambda data: data[:6] + b"\n1" + data[8:], r"6 genotypes, expected 7 .*line 1"),
    "letter": ("EIGENSTRAT", ".geno", lambda data: data[:30] + b"3" + data[31:], r"'3' is none of .*line 4"),
    "other text": (
        "EIGENSTRAT",
        ".geno",
        lambda data: b"rs1 s1 0\n",
        r"not a genotype file of an EIGENSTRAT.*convertf",
    ),
    "empty": ("EIGENSTRAT", ".geno", lambda data: b"", r"empty file .*x\.geno"),
    "gzipped": ("EIGENSTRAT", ".geno", gzip.compress, r"compressed; decompress it with `gunzip`"),
    "cut packed": ("GENO", ".geno", lambda data: data[:-1], r"truncated: 623 bytes, expected 624"),
    "cut transposed": ("TGENO", ".geno", lambda data: data[:-1], r"truncated: 68 bytes, expected 69"),
    "long": ("GENO", ".geno", lambda data: data + b"\0", r"too long: 625 bytes, expected 624"),
    "cut header": ("GENO", ".geno", lambda data: data[:9], r"header does not say"),
    "fewer samples": ("GENO", ".ind", lambda data: data[:-9], r"12 variants x 7 samples.*\.ind 6 samples"),
    "fewer variants": (
        "TGENO",
        ".snp",
        lambda data: data[: data.rindex(b"  v")],
        r"12 variants x 7 .*\.snp has 11 variants",
    ),
    "fewer lines": ("EIGENSTRAT", ".snp", lambda data: data[: data.rindex(b"  v")], r"12 variants, expected 11"),
    "twice": (
        "GENO",
        ".ind",
        lambda data: data.replace(b"s2 ", b"s1 "),
        r"'s1' occurs twice .*; rename one of them in the \.ind",
    ),
    "columns": ("GENO", ".ind", lambda data: data + b"s8\n", r"1 columns, expected 3 or 4 .*x\.ind, line 8"),
    "no alleles": ("GENO", ".snp", lambda data: b"v1 1 0 5\n", r"no alleles .*x\.snp, line 1"),
    "position": ("GENO", ".snp", lambda data: data.replace(b" 50000 ", b" 5e4 ", 1), r"position '5e4'.*line 1"),
    "no samples": ("GENO", ".ind", lambda data: b"\n", r"empty file .*x\.ind"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_filesets_are_named(tmp_path: Path, name: str) -> None:
    form, suffix, change, message = BAD[name]
    matrix = matrix_of(np.random.default_rng(1).integers(-1, 3, size=(12, 7)).astype(np.int8))
    geno = write_eigenstrat(matrix, tmp_path / "x", form)
    path = Path(f"{tmp_path}/x{suffix}")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=message) as caught:
        open_genotypes([geno])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".geno", ".snp", ".ind"])
def test_a_missing_part_is_named(tmp_path: Path, suffix: str) -> None:
    write_eigenstrat(matrix_of(np.zeros((4, 3), dtype=np.int8)), tmp_path / "x", "GENO")
    Path(f"{tmp_path}/x{suffix}").unlink()
    with pytest.raises(DataError, match=rf"no {suffix} file .*x{suffix}"):
        open_genotypes([tmp_path / ("x.ind" if suffix == ".geno" else "x.geno")])
