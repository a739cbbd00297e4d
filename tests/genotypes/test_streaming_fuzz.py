"""Mutated files and indexes: filtering while reading ends as filtering afterwards does, in genotypes or in words."""

from __future__ import annotations

import gzip
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import assert_same, bgzf, needs, run_tool, simulate_structure, write_vcf
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import OPEN, assert_alike, at_once, streamed
from vcfs import HEADER, SOURCES, mutated, record

from genovi.errors import GenoviError
from genovi.genotypes import batches, keeping, pieces
from genovi.genotypes.choosing import Region
from genovi.genotypes.filtering import filter_sources
from genovi.genotypes.memory import UNBOUNDED, MemoryPlan
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_sources

MIXED = (HEADER + "a\tb\tc\td\n").encode() + b"".join(
    record("0/1", "./." if i % 5 == 0 else "1|1", "0/0", "1/0", chrom="12X"[i // 8], pos=10 + i - i % 2).encode()
    for i in range(24)
)
CONFIGS = [
    QCConfig(indep_pairwise=None),
    replace(OPEN, mind=0.15, geno=0.3),
    replace(OPEN, autosomes_only=False, extract=frozenset({"1:12", "2:18", "."})),
    replace(OPEN, keep=frozenset("abd"), remove=frozenset("d")),
]


def fuzz_files(folder: Path, data: st.DataObject) -> None:
    compress = data.draw(st.sampled_from([bytes, bgzf, lambda text: gzip.compress(text, mtime=0)]))
    source = data.draw(st.sampled_from([MIXED, *SOURCES]))
    inside = data.draw(st.booleans())
    content = compress(mutated(data, source)) if inside else mutated(data, compress(source))
    (folder / "x.vcf").write_bytes(content)
    (folder / "y.vcf").write_bytes(source)
    paths = [folder / "x.vcf", folder / "y.vcf"][: data.draw(st.integers(1, 2))]
    config = data.draw(st.sampled_from(CONFIGS))
    expected = at_once(paths, config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_SIZE", data.draw(st.sampled_from([1, 90, 1 << 20])))
        patch.setattr(batches, "BATCH_ROWS", data.draw(st.sampled_from([1, 3, 1 << 14])))
        patch.setattr(keeping, "_BYTES_OF_VARIANT", 0)
        patch.setattr(keeping, "_BYTES_OF_NAME", 0)
        found = streamed(paths, config, MemoryPlan(data.draw(st.sampled_from([None, 2])), 3, folder))
    if found[0].startswith("no samples left") and "--mind" not in found[0]:
        return  # said before anything is read
    assert_alike(expected, found)


@given(st.data())
@settings(max_examples=150)
def test_mutated_files_are_filtered_alike(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    fuzz_files(tmp_path_factory.mktemp("fuzz"), data)


@pytest.mark.verification
@given(st.data())
@settings(max_examples=20_000)
def test_many_mutated_files_are_filtered_alike(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    fuzz_files(tmp_path_factory.mktemp("fuzz"), data)


@pytest.fixture(scope="module")
def with_indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VCF and a BCF of three contigs with their indexes."""
    folder = tmp_path_factory.mktemp("indexed")
    matrix, _ = simulate_structure(1, 1, 30, 2200, 0.1, 0.01)
    vcf, bcf = folder / "a.vcf.gz", folder / "a.bcf"
    write_vcf(vcf, matrix, "bgzf")
    run_tool(needs("bcftools"), "view", "-Ob", "-o", bcf, vcf)
    run_tool(needs("bcftools"), "index", "--tbi", vcf)
    run_tool(needs("bcftools"), "index", "--csi", bcf)
    return folder


def fuzz_indexes(with_indexes: Path, folder: Path, data: st.DataObject) -> None:
    """A mutated index leads to the same records, to a warning and the same records, or to one line."""
    name, suffix = data.draw(st.sampled_from([("a.vcf.gz", ".tbi"), ("a.bcf", ".csi")]))
    index = gzip.decompress((with_indexes / f"{name}{suffix}").read_bytes())
    (folder / "plain").mkdir(exist_ok=True)
    for path in (folder / name, folder / "plain" / name):
        shutil.copy(with_indexes / name, path)
    raw = data.draw(st.booleans())
    content = mutated(data, bgzf(index)) if raw else bgzf(mutated(data, index))
    (folder / f"{name}{suffix}").write_bytes(content)
    os.utime(folder / f"{name}{suffix}")
    chrom = data.draw(st.sampled_from(["1", "5", "22"]))
    first = data.draw(st.integers(1, 5_500_000))
    whole = data.draw(st.booleans())
    region = Region(chrom) if whole else Region(chrom, first, first + data.draw(st.sampled_from([0, 70_000, 10**7])))
    config = replace(OPEN, regions=(region,))
    outcomes = []
    for path in (folder / "plain" / name, folder / name):
        try:
            with open_sources([path]) as sources:
                outcomes.append(filter_sources(sources, config, UNBOUNDED))
        except GenoviError as error:
            assert "\n" not in str(error)
            outcomes.append(str(error).replace(str(folder / "plain"), str(folder)))
    if isinstance(outcomes[0], tuple) and isinstance(outcomes[1], tuple):
        # What a damaged index says of the number of records, and where it does not lead, cannot be known.
        seen = outcomes[1][0]
        assert set(seen.variants.id) <= set(outcomes[0][0].variants.id)
        if whole:
            assert_same(seen, outcomes[0][0])


@given(st.data())
@settings(max_examples=60)
def test_mutated_indexes(with_indexes: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    fuzz_indexes(with_indexes, tmp_path_factory.mktemp("fuzz"), data)


@pytest.mark.verification
@given(st.data())
@settings(max_examples=10_000)
def test_many_mutated_indexes(
    with_indexes: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    fuzz_indexes(with_indexes, tmp_path_factory.mktemp("fuzz"), data)
