"""--chr and --region, with an index and without one."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_same, bgzf, matrix_of, needs, real_data, run_tool, simulate_structure, write_vcf
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import OPEN

from genovi.errors import ConfigError, DataError
from genovi.genotypes import pieces
from genovi.genotypes.choosing import Choice, Region, choose, parse_regions
from genovi.genotypes.filtering import apply_qc, filter_sources
from genovi.genotypes.indexes import look_up
from genovi.genotypes.matrix import GenotypeMatrix, InputFacts
from genovi.genotypes.memory import UNBOUNDED
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes, open_sources

INDEXES = {"tbi": ("--tbi",), "csi": ("--csi",), "fine csi": ("--csi", "--min-shift", "9")}


def test_regions_as_typed() -> None:
    assert parse_regions(["chr6:25000000-34000000, X", "2:7", "MT:5-"]) == (
        Region("6", 25_000_000, 34_000_000),
        Region("X"),
        Region("2", 7, 7),
        Region("MT", 5),
    )
    assert [str(one) for one in parse_regions(["6:1-2,X,3:4-"])] == ["6:1-2", "X", "3:4-"]


@pytest.mark.parametrize("text", ["", ",", "6:", "6:a-b", "6:9-3", "6:0-4", "6:1-2-3", "6:25M-34M", ":1-2", "6:-5"])
def test_senseless_regions_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--region"):
        parse_regions([text])


def test_chr_and_region_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="--chr and --region"):
        QCConfig(chromosomes=("1",), regions=(Region("1"),))


def test_both_ends_are_inside_and_pos_decides() -> None:
    matrix = matrix_of(np.zeros((6, 2), dtype=np.int8))
    variants = replace(
        matrix.variants,
        chrom=np.array(["1", "1", "1", "chr1", "2", "2"], dtype=object),
        pos=np.array([9, 10, 20, 21, 10, 15]),
        ref=np.array(["A" * 5, "A", "A", "A", "A", "A"], dtype=object),  # the first reaches into the region
    )
    choice = Choice((Region("1", 10, 20), Region("2", 15, 15), Region("1", 20, 21)))
    assert choice.mask(variants).tolist() == [False, True, True, True, False, True]


def cohort(seed: int, n_variants: int = 3000, n_per: int = 20) -> GenotypeMatrix:
    """Variants at positions that fill several levels of bins, on three contigs."""
    matrix, _ = simulate_structure(seed, 1, n_per, n_variants, 0.1, missing=0.02)
    rng = np.random.default_rng(seed)
    third = n_variants // 3
    pos = np.concatenate([np.sort(rng.integers(1, top, size=third)) for top in (30_000, 3_000_000, 240_000_000)])
    chrom = np.repeat(np.array(["1", "chr7", "scaffold_9"], dtype=object), third)
    return replace(matrix, variants=replace(matrix.variants, chrom=chrom, pos=pos))


def indexed(matrix: GenotypeMatrix, folder: Path, kind: str, name: str = "a") -> tuple[Path, Path]:
    """A BGZF VCF or BCF without and with an index."""
    bcftools = needs("bcftools")
    suffix = "bcf" if kind.startswith("bcf") else "vcf.gz"
    plain, with_index = folder / f"{name}.{suffix}", folder / f"{name}_indexed.{suffix}"
    vcf = write_vcf(folder / f"{name}.text", matrix)
    run_tool(bcftools, "view", "-Ob" if kind.startswith("bcf") else "-Oz", "-o", plain, vcf)
    shutil.copy(plain, with_index)
    run_tool(
        bcftools, "index", *(("--csi",) if kind.startswith("bcf") else INDEXES[kind.split(maxsplit=1)[1]]), with_index
    )
    return plain, with_index


def chosen(path: Path, config: QCConfig) -> tuple[GenotypeMatrix, dict[str, object]]:
    with open_sources([path]) as sources:
        matrix, report = filter_sources(sources, config, UNBOUNDED)
    return matrix, report.to_dict()


SOME = [
    (Region("1"),),
    (Region("chr7".removeprefix("chr")),),
    (Region("7", 1000, 1_500_000),),
    (Region("scaffold_9", 100_000_000, 100_500_000), Region("1", 29_000), Region("7", 2_999_000, 2_999_999)),
    (Region("1", 1, 16_384), Region("1", 16_385, 16_385)),
]


@pytest.mark.parametrize("kind", ["vcf tbi", "vcf csi", "vcf fine csi", "bcf csi"])
def test_an_index_changes_nothing_but_the_time(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    matrix = cohort(1)
    plain, with_index = indexed(matrix, tmp_path, kind)
    for regions in SOME:
        config = replace(OPEN, regions=regions)
        one, other = chosen(plain, config), chosen(with_index, config)
        assert_same(one[0], other[0])
        assert one[1] == other[1]
        expected, report = apply_qc(matrix, config)
        assert_same(one[0], expected)
        assert one[1]["steps"] == report.to_dict()["steps"]
        assert one[1]["n_variants"] == {"before": 3000, "after": expected.n_variants}
    assert not [one for one in caplog.records if "index" in one.message]


@pytest.mark.parametrize("kind", ["vcf tbi", "bcf csi"])
def test_whose_chromosome_23_is_shows_with_and_without_an_index(tmp_path: Path, kind: str) -> None:
    for names in (("22", "23", "27", "X"), ("21", "22", "X", "Y")):
        matrix, _ = simulate_structure(2, 1, 20, 400, 0.1)
        chrom, pos = np.repeat(np.array(names, dtype=object), 100), np.tile(np.arange(100) + 1, 4)
        matrix = replace(matrix, variants=replace(matrix.variants, chrom=chrom, pos=pos))
        for path in indexed(matrix, tmp_path, kind, names[0]):
            filtered, _ = chosen(path, replace(OPEN, regions=(Region("23"),)))
            assert set(filtered.variants.chrom) == {"23" if "23" in names else "X"}
            filtered, _ = chosen(path, replace(OPEN, chromosomes=("23", "27")))
            assert set(filtered.variants.chrom) == ({"23", "27"} if "27" in names else {"X"})


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_any_region_by_an_index(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("index")
    matrix = cohort(seed, 3 * int(rng.integers(1, 500)), int(rng.integers(1, 60)))
    kind = ["vcf tbi", "vcf csi", "vcf fine csi", "bcf csi"][rng.integers(4)]
    _, path = indexed(matrix, folder, kind)
    regions = []
    for _ in range(int(rng.integers(1, 5))):
        row = rng.integers(matrix.n_variants)
        at = int(matrix.variants.pos[row])
        first = max(1, at - int(rng.choice([0, 1, 1000, 10**7])))
        regions.append(
            Region(matrix.variants.chrom[row].removeprefix("chr"), first, at + int(rng.choice([0, 5, 10**6])))
        )
    choice = Choice(tuple(regions))
    expected = matrix.take_variants(choice.mask(matrix.variants))
    try:
        unique = apply_qc(expected, replace(OPEN, autosomes_only=False))[0]
    except DataError:  # nothing is left, as where the only site of a small region does not vary
        with pytest.raises(DataError, match="no variants left"):
            chosen(path, replace(OPEN, regions=choice.regions))
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_SIZE", int(rng.choice([100, 5000, 1 << 20])))
        found, _ = chosen(path, replace(OPEN, regions=choice.regions))
    assert_same(found, unique)


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    matrix = cohort(2, 9000, 100)
    _, path = indexed(matrix, tmp_path, "vcf tbi")
    content = bytearray(path.read_bytes())
    at = len(content) - 5000  # somewhere in scaffold_9
    content[at : at + 400] = bytes(400)
    times = os.stat(f"{path}.tbi").st_mtime
    path.write_bytes(content)
    os.utime(path, (times, times))
    found, _ = chosen(path, replace(OPEN, chromosomes=("1",)))
    assert set(found.variants.chrom) == {"1"}
    with pytest.raises(DataError, match="corrupt BGZF block"):
        chosen(path, replace(OPEN, chromosomes=("scaffold_9",)))


def test_an_index_that_cannot_be_trusted_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    matrix = cohort(3)
    plain, path = indexed(matrix, tmp_path, "vcf tbi")
    index = Path(f"{path}.tbi")
    good = index.read_bytes()
    config = replace(OPEN, chromosomes=("7",))
    expected = chosen(plain, config)
    os.utime(index, (0, 0))
    _check(path, config, expected, caplog, "older than the file")
    for bad, said in ((good[:40], "damaged"), (b"nonsense" * 9, "is no index"), (b"", "damaged")):
        index.write_bytes(bad)
        _check(path, config, expected, caplog, said)
    gff = tmp_path / "x.gff.gz"
    run_tool("sh", "-c", f"printf '7\\ta\\tb\\t5\\t9\\n' | bgzip > {gff} && tabix -p gff {gff}")
    shutil.copy(f"{gff}.tbi", index)
    _check(path, config, expected, caplog, "not of a VCF")


def _check(
    path: Path,
    config: QCConfig,
    expected: tuple[GenotypeMatrix, dict[str, object]],
    caplog: pytest.LogCaptureFixture,
    said: str,
) -> None:
    caplog.clear()
    found = chosen(path, config)
    assert_same(found[0], expected[0])
    assert found[1] == expected[1]
    assert said in caplog.text
    assert "is not used" in caplog.text


def test_an_index_of_another_file_is_found_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, path = indexed(cohort(4), tmp_path, "vcf tbi")
    other, _ = indexed(cohort(4, 3300), tmp_path, "vcf tbi", "b")
    config = replace(OPEN, chromosomes=("7",))
    expected = chosen(other, config)
    shutil.copy(f"{path}.tbi", f"{other}.tbi")
    _check(other, config, expected, caplog, "of another file")
    index = Path(f"{path}.tbi")
    counts = gzip.decompress(index.read_bytes())
    assert counts.count(struct.pack("<2Q", 1000, 0)) == 3
    index.write_bytes(bgzf(counts.replace(struct.pack("<2Q", 1000, 0), struct.pack("<2Q", 999, 0))))
    with pytest.raises(DataError, match=r"index counts 999 records .*the file has 1000 .*bcftools index --force"):
        chosen(path, config)


def test_odd_calls_count_where_they_are_chosen(tmp_path: Path) -> None:
    text = (
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\n"
        "1\t5\t.\tA\tC\t.\t.\t.\tGT\t0/.\t1\n2\t5\t.\tA\tC\t.\t.\t.\tGT\t./0\t0/1\nX\tbad\t.\n"
    )
    (tmp_path / "a.vcf").write_text(text.replace("X\tbad\t.\n", "X\t7\tnot a record\n"))
    with open_sources([tmp_path / "a.vcf"]) as sources:
        _, report = filter_sources(sources, replace(OPEN, chromosomes=("2",)), UNBOUNDED)
    assert report.calls["half_calls"] == 1
    assert report.calls["haploid_calls"] == 0
    assert report.n_variants == (3, 1)
    (tmp_path / "b.vcf").write_text(text)
    with pytest.raises(DataError, match=r"3 columns, expected 11 .*line 5"), open_sources([tmp_path / "b.vcf"]) as both:
        filter_sources(both, replace(OPEN, chromosomes=("2",)), UNBOUNDED)


@pytest.mark.real
def test_bcftools_finds_the_same_records(tmp_path: Path) -> None:
    bcftools = needs("bcftools")
    for name in ("hipster/hipster.vcf.bgz", "bcf/unphased.bcf", "kgp1_chr22/kgp1_chr22.phased.vcf.gz"):
        path = tmp_path / Path(name).name
        run_tool(bcftools, "view", "-Ob" if path.suffix == ".bcf" else "-Oz", "-o", path, real_data(name))
        run_tool(bcftools, "index", path)
        whole = open_genotypes([path])
        middle = whole.n_variants // 2
        chrom, first = whole.variants.chrom[middle], int(whole.variants.pos[middle])
        text = f"{chrom}:{first}-{first + 100_000}"
        out = tmp_path / f"{path.name}.part.vcf"
        run_tool(bcftools, "view", "--targets", text, "-o", out, path)
        regions = parse_regions([text])
        config = replace(OPEN, regions=regions, autosomes_only=False)
        found, report = chosen(path, config)
        expected, _ = apply_qc(open_genotypes([out]), replace(OPEN, autosomes_only=False))
        assert_same(found, expected)
        assert report["n_variants"]["before"] == whole.n_variants  # type: ignore[index]
        assert look_up(path, Choice(regions), dict(enumerate(_contigs(path)))) is not None


def _contigs(path: Path) -> list[str]:
    header = InputFacts.merge([open_genotypes([path]).facts])
    return list(header.contig_lengths) or ["?"]


def test_nothing_to_choose() -> None:
    assert choose(None, None) is None
