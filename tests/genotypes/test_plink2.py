"""PLINK 2 filesets against plink2 itself, which writes them and says what they hold."""

from __future__ import annotations

import builtins
import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_same, matrix_of, needs, real_data, run_tool, simulate_structure, write_vcf

from genovi.errors import ConfigError, DataError
from genovi.genotypes import batches
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.writing import write_plink1

pytest.importorskip("pgenlib", reason="the extra 'pgen' is not installed")
zstandard = pytest.importorskip("zstandard", reason="the extra 'pgen' is not installed")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Filesets p (with .pvar) and z (with .pvar.zst) that plink2 wrote, and the PLINK 1 fileset b they came from."""
    program = needs("plink2")
    folder = tmp_path_factory.mktemp("plink2")
    write_plink1(simulate_structure(1, 2, 15, 40, 0.1, missing=0.1)[0], folder / "b")
    run_tool(program, "--bfile", folder / "b", "--make-pgen", "--out", folder / "p")
    run_tool(program, "--bfile", folder / "b", "--make-pgen", "vzs", "--out", folder / "z")
    return folder


@pytest.fixture
def fileset(written: Path, tmp_path: Path) -> Path:
    """A copy of p to break."""
    for suffix in (".pgen", ".pvar", ".psam"):
        shutil.copy(f"{written}/p{suffix}", tmp_path / f"p{suffix}")
    return tmp_path / "p"


@pytest.mark.parametrize("name", ["p", "p.pgen", "p.pvar", "p.psam", "z", "z.pgen", "z.pvar.zst"])
def test_plink2_counts_the_same_allele_as_plink1(written: Path, name: str) -> None:
    matrix = open_genotypes([written / name])
    assert_same(matrix, open_genotypes([written / "b"]))  # A1 of the .bim became ALT
    assert matrix.facts.formats == ("PLINK 2",)


def test_parts_of_one_fileset_count_once_and_several_are_one_input(written: Path) -> None:
    parts = [written / f"p{suffix}" for suffix in (".pgen", ".pvar", ".psam")]
    assert open_genotypes(parts).n_variants == 40
    assert open_genotypes([*parts, written / "b.bed"]).n_variants == 80


def test_what_plink2_exports_is_the_same_as_vcf(written: Path) -> None:
    run_tool(needs("plink2"), "--pfile", written / "p", "--export", "vcf", "id-paste=iid", "--out", written / "v")
    assert_same(open_genotypes([written / "p"]), open_genotypes([written / "v.vcf"]))


def test_blocks_do_not_show(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_ROWS", 7)
    assert_same(open_genotypes([written / "p"]), open_genotypes([written / "b"]))


@pytest.mark.real
def test_multiallelic_variants_and_header_are_as_in_the_vcf(tmp_path: Path) -> None:
    source = real_data("kgp_by_chromosome/1KG_phase3_subset_chr22.vcf.gz")
    run_tool(needs("plink2"), "--vcf", source, "--make-pgen", "--out", tmp_path / "p")
    here, there = open_genotypes([tmp_path / "p"]), open_genotypes([source])
    assert sum("," in alt for alt in here.variants.alt) == 30
    assert_same(here, there)
    assert here.facts.references == there.facts.references
    assert here.facts.contig_lengths["22"] == there.facts.contig_lengths["22"]


@pytest.mark.real
def test_real_array_data_are_the_same_as_plink1(tmp_path: Path) -> None:
    prefix = real_data("ho249/HumanOrigins249_tiny.bed").with_suffix("")
    run_tool(needs("plink2"), "--bfile", prefix, "--make-pgen", "--sort-vars", "n", "--out", tmp_path / "p")
    pgen, bed = open_genotypes([tmp_path / "p"]), open_genotypes([Path(f"{prefix}.bed")])
    place = {name: i for i, name in enumerate(bed.variants.id)}
    assert_same(pgen, bed.take_variants(np.array([place[name] for name in pgen.variants.id])))


def test_tables_without_header_are_those_of_plink1(fileset: Path, written: Path) -> None:
    shutil.copy(f"{written}/b.bim", f"{fileset}.pvar")
    shutil.copy(f"{written}/b.fam", f"{fileset}.psam")
    assert_same(open_genotypes([fileset]), open_genotypes([written / "b"]))


def test_columns_are_found_by_name(fileset: Path, written: Path) -> None:
    rows = [line.split("\t") for line in Path(f"{fileset}.pvar").read_text().splitlines() if line[:2] != "##"]
    Path(f"{fileset}.pvar").write_text("\n".join(" ".join([*row[:2], ".", *row[:1:-1]]) for row in rows).replace(
        "#CHROM POS .", "#CHROM POS QUAL", 1) + "\n")  # fmt: skip
    names = [f"x\tf\ts{i + 1}" for i in range(30)]
    Path(f"{fileset}.psam").write_text("\n".join(["## comment", "#FID\tSID\tIID", *names]) + "\n")
    assert_same(open_genotypes([fileset]), open_genotypes([written / "b"]))


def test_repeated_iids_become_family_and_individual(fileset: Path, caplog: pytest.LogCaptureFixture) -> None:
    Path(f"{fileset}.psam").write_text("#FID\tIID\n" + "".join(f"f{i}\ts{i // 2}\n" for i in range(30)))
    assert open_genotypes([fileset]).samples[:3] == ("f0_s0", "f1_s0", "f2_s1")
    assert "FID_IID" in caplog.text


@pytest.mark.parametrize("suffix", [".pgen", ".pvar", ".psam"])
def test_a_missing_part_is_named(fileset: Path, suffix: str) -> None:
    Path(f"{fileset}{suffix}").unlink()
    with pytest.raises(DataError, match=rf"no {suffix} file .*p{suffix}"):
        open_genotypes([Path(f"{fileset}{'.psam' if suffix == '.pgen' else '.pgen'}")])


def lines_of(change: Callable[[list[str]], list[str]]) -> Callable[[bytes], bytes]:
    return lambda data: "".join(change(data.decode().splitlines(keepends=True))).encode()


# File, what happens to it, and what is said.
BAD: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "empty": (".pgen", lambda data: b"", r"empty file .*p\.pgen"),
    "text": (".pgen", lambda data: b"0121\n", r"no|not a PLINK 2 \.pgen"),
    "cut header": (".pgen", lambda data: data[:9], r"ends inside its header"),
    "cut": (".pgen", lambda data: data[: len(data) // 2], r"truncated or damaged \.pgen"),
    "sample-major": (".pgen", lambda data: b"\x6c\x1b\x00" + data[3:], r"sample-major"),
    "index elsewhere": (".pgen", lambda data: b"\x6c\x1b\x20" + data[3:], r"\.pgi.*--make-pgen"),
    "unknown mode": (".pgen", lambda data: b"\x6c\x1b\x77" + data[3:], r"damaged"),
    "fewer variants": (".pvar", lines_of(lambda rows: rows[:-1]), r"40 variants x 30 samples.*\.pvar has 39 variants"),
    "fewer samples": (".psam", lines_of(lambda rows: rows[:-1]), r"40 variants x 30 samples.*\.psam 29"),
    "twice": (".psam", lines_of(lambda rows: [*rows[:-1], rows[-2]]), r"'0_s29' occurs twice"),
    "by SID alone": (
        ".psam",
        lambda data: b"#FID\tIID\tSID\n" + b"".join(b"f\tx\t%d\n" % i for i in range(30)),
        r"'f_x' occurs twice .*differ by SID alone",
    ),
    "no IID": (".psam", lambda data: b"#FID\tNAME\nf\ts1\n", r"no column IID"),
    "cut .psam": (".psam", lambda data: data + b"x\n", r"1 columns, expected 2.*p\.psam, line 32"),
    "no ALT": (".pvar", lambda data: data.replace(b"\tALT", b"\tX"), r"no column ALT.*line 1"),
    "position": (".pvar", lambda data: data.replace(b"\t50000\t", b"\tfar\t", 1), r"position 'far'.*line 2"),
    "cut .pvar": (".pvar", lambda data: data + b"3\t7", r"2 columns, expected at least 5.*line 42"),
    "no header": (".pvar", lambda data: b"1 2 3\n", r"3 columns and no header line .*line 1"),
    "no variants": (".pvar", lambda data: b"#CHROM\tPOS\tID\tREF\tALT\n", r"no variants"),
    "gzipped": (".psam", lambda data: gzip.compress(data), r"compressed.*gunzip"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_filesets_are_named(fileset: Path, name: str) -> None:
    suffix, change, message = BAD[name]
    path = Path(f"{fileset}{suffix}")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=message) as caught:
        open_genotypes([fileset])
    assert "\n" not in str(caught.value)


def test_every_cut_is_noticed(fileset: Path) -> None:
    path = Path(f"{fileset}.pgen")
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(DataError):
            open_genotypes([fileset])


def test_damaged_compression_is_named(written: Path, tmp_path: Path) -> None:
    for suffix in (".pgen", ".psam", ".pvar.zst"):
        shutil.copy(f"{written}/z{suffix}", tmp_path / f"z{suffix}")
    path = tmp_path / "z.pvar.zst"
    data = path.read_bytes()
    text = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    path.write_bytes(b"".join(zstandard.compress(part) for part in (text[:100], text[100:])))  # frames may be several
    assert_same(open_genotypes([path]), open_genotypes([written / "b"]))
    path.write_bytes(data[:-20])
    with pytest.raises(DataError, match=r"truncated file.*z\.pvar\.zst"):
        open_genotypes([path])
    path.write_bytes(data[:20] + b"\xff" * 40 + data[60:])
    with pytest.raises(DataError, match=r"damaged Zstandard data .*z\.pvar\.zst"):
        open_genotypes([path])


@pytest.mark.parametrize(("package", "name"), [("pgenlib", "p"), ("zstandard", "z")])
def test_a_missing_extra_says_what_to_type(
    written: Path, monkeypatch: pytest.MonkeyPatch, package: str, name: str
) -> None:
    load = builtins.__import__

    def without(wanted: str, *rest: object, **more: object) -> object:
        if wanted == package:
            raise ImportError(wanted)
        return load(wanted, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=rf"{package}, which is not installed .*pip install 'genovi-popgen\[pgen\]'"):
        open_genotypes([written / name])


def test_a_prefix_of_two_filesets_is_refused(fileset: Path) -> None:
    write_plink1(matrix_of(np.zeros((2, 3), dtype=np.int8)), fileset)
    with pytest.raises(ConfigError, match=r"p\.bed and .*p\.pgen; name the file"):
        open_genotypes([fileset])
    assert open_genotypes([Path(f"{fileset}.pgen")]).n_variants == 40
    assert open_genotypes([Path(f"{fileset}.fam")]).n_variants == 2


def test_the_name_does_not_make_a_vcf_a_pgen(tmp_path: Path) -> None:
    matrix = matrix_of(np.ones((2, 3), dtype=np.int8))
    assert_same(open_genotypes([write_vcf(tmp_path / "x.pgen", matrix)]), matrix)
