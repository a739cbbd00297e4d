"""Filtering while reading gives what filtering after reading does, whatever the memory and the batches."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import assert_same, bgzf, matrix_of, real_data, simulate_structure, write_vcf
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import OPEN, assert_alike, at_once, streamed
from vcfs import HEADER, record

from genovi.errors import ResourceError
from genovi.genotypes import batches, keeping, pieces
from genovi.genotypes.filtering import apply_qc, filter_sources
from genovi.genotypes.hardyweinberg import HardyWeinberg
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable
from genovi.genotypes.memory import MemoryPlan
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.querying import read_query
from genovi.genotypes.reading import describe, open_genotypes, open_sources
from genovi.genotypes.writing import write_plink1

REAL = ["kgp3/kgp3.vcf.gz", "kgp1_chr22/kgp1_chr22.phased.vcf.gz", "hipster/hipster.vcf.bgz", "bcf/unphased.bcf",
        "anole/anole.vcf.gz", "wolves/wolvesadmix.bed", "ho249/HumanOrigins249_tiny.eigenstratgeno"]  # fmt: skip


SEEDS = st.integers(0, 2**32 - 1)


def generated(rng: np.random.Generator, folder: Path) -> list[Path]:
    """One to three VCFs of the same samples, with everything that a step may take."""
    n_samples = int(rng.integers(4, 14))
    names = [f"s{i}" for i in range(n_samples)]
    holes = rng.choice([0.0, 0.02, 0.3, 0.7], size=n_samples, p=[0.6, 0.2, 0.1, 0.1])
    contigs = [["1", "2", "X"], ["chr1", "chr22", "chrUn_x_random"], ["1", "scaffold_9"], ["GL000191.1", "3"]]
    contigs = contigs[rng.integers(len(contigs))]
    pos = 1000
    paths = []
    for number in range(int(rng.integers(1, 4))):
        order = rng.permutation(n_samples) if rng.random() < 0.4 else np.arange(n_samples)
        text = HEADER + "\t".join(names[i] for i in order) + "\n"
        here = sorted(rng.integers(0, len(contigs), size=int(rng.integers(0 if number else 1, 30))).tolist())
        for place in here:
            pos = int(rng.integers(1, pos)) if rng.random() < 0.02 else pos + int(rng.integers(0, 4))
            alt = str(rng.choice(["C", "C", "C", "T", "G,T", "<DEL>", "CAT", "."]))
            frequency = rng.choice([0.0, 0.02, 0.3, 0.9])
            alleles = (rng.random((n_samples, 2)) < frequency).astype(int)
            gone = rng.random(n_samples) < np.maximum(holes, rng.choice([0.0, 0.0, 0.2]))
            calls = ["./." if out else f"{a}/{b}" for (a, b), out in zip(alleles, gone, strict=True)]
            if rng.random() < 0.05:
                calls[0] = str(rng.choice(["0/.", "1"]))
            line = record(*(calls[i] for i in order), chrom=contigs[place], pos=pos, alt=alt).split("\t")
            line[2] = f"rs{rng.integers(40)}" if rng.random() < 0.5 else "."
            text += "\t".join(line)
        path = folder / f"{number}.vcf"
        path.write_bytes(bgzf(text.encode()) if rng.random() < 0.5 else text.encode())
        paths.append(path)
    return paths


def config_of(rng: np.random.Generator) -> QCConfig:
    def some(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    return QCConfig(
        maf=some(0.0, 0.01, 0.2),
        geno=some(0.05, 0.3, 1.0),
        mind=some(0.1, 0.25, 0.6, 1.0),
        hwe=some(None, None, HardyWeinberg(0.2), HardyWeinberg(0.3, keep_fewhet=True)),
        king_cutoff=some(None, None, 0.2),
        indep_pairwise=some(None, (5, 2, 0.3)),
        keep=some(None, None, frozenset({"s0", "s1", "s3", "s5", "s7", "nobody"})),
        remove=some(None, None, frozenset({"s2", "nobody"})),
        extract=some(None, None, frozenset({f"rs{i}" for i in range(20)} | {"1:1003", "chr1:1004:A:C"})),
        exclude=some(None, None, frozenset({"rs3", "rs4", "1:1001", "X:1002:C:A"})),
        chromosomes=some(None, None, None, ("1",), ("chr2", "X"), ("scaffold_9",)),
        autosomes_only=some(True, True, False),
        build=some("auto", "GRCh37"),
    )


@given(SEEDS)
@settings(max_examples=150)
def test_filtering_while_reading_is_filtering_afterwards(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("stream")
    paths, config = generated(rng, folder), config_of(rng)
    expected = at_once(paths, config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_SIZE", int(rng.choice([60, 700, 1 << 20])))
        patch.setattr(batches, "BATCH_ROWS", int(rng.choice([1, 3, 1 << 14])))
        patch.setattr(keeping, "_CHUNK_BYTES", int(rng.choice([8, 1 << 20])))
        patch.setattr(keeping, "_BYTES_OF_VARIANT", 0)
        patch.setattr(keeping, "_BYTES_OF_NAME", 0)
        # how much waits, and how much stays in memory
        plan = MemoryPlan(*(int(n) if n >= 0 else None for n in rng.choice([-1, 0, 9, 50], size=2)), folder)
        found = streamed(paths, config, plan)
    assert_alike(expected, found, calls=config.choice is None)
    assert not [path for path in folder.iterdir() if path.suffix != ".vcf"]


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_real_files(tmp_path: Path, name: str) -> None:
    path = real_data(name)
    strict = QCConfig(mind=0.002, geno=0.01)  # so that samples of files with gaps fail
    for config in (QCConfig(), strict, replace(OPEN, maf=0.05, chromosomes=("20", "22"))):
        expected = at_once([path], config)
        for plan in (MemoryPlan(None, None, None), MemoryPlan(50_000, 40_000, tmp_path)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(keeping, "_BYTES_OF_VARIANT", 0)
                patch.setattr(keeping, "_BYTES_OF_NAME", 0)
                assert_alike(expected, streamed([path], config, plan), calls=config.choice is None)


@pytest.mark.real
def test_real_files_of_chromosomes(tmp_path: Path) -> None:
    paths = sorted(real_data("kgp_by_chromosome").glob("*.vcf.gz"))
    assert len(paths) == 23
    for config in (QCConfig(), QCConfig(mind=0.0, geno=0.0, split_multiallelic=True)):
        assert_alike(at_once(paths, config), streamed(paths, config, MemoryPlan(3 << 20, 9000, tmp_path)))


def test_what_exceeds_the_memory_goes_to_a_file_that_vanishes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    matrix, _ = simulate_structure(1, 3, 40, 2000, 0.1, missing=0.01)
    path = write_vcf(tmp_path / "a.vcf.gz", matrix, "bgzf")
    (tmp_path / "out").mkdir()
    with caplog.at_level(logging.INFO, logger="genovi"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "_BYTES_OF_NAME", 0)
        _, found, report, _ = streamed([path], QCConfig(), MemoryPlan(100_000, 1000, tmp_path / "out" / "new"))
    assert isinstance(found, GenotypeMatrix)
    assert isinstance(found.packed, np.memmap)
    assert "goes to a temporary file in" in caplog.text
    expected = apply_qc(matrix, QCConfig())
    assert_same(found, expected[0])
    assert report == expected[1].to_dict()
    assert not list((tmp_path / "out").iterdir())


def test_no_room_is_told_with_what_it_would_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, _ = simulate_structure(1, 3, 40, 2000, 0.1)
    path = write_vcf(tmp_path / "a.vcf.gz", matrix, "bgzf")
    plan = MemoryPlan(100_000, 1000, tmp_path)

    def refused(said: str, plan: MemoryPlan) -> None:
        with open_sources([path]) as sources, pytest.raises(ResourceError, match=said) as caught:
            filter_sources(sources, QCConfig(), plan)
        assert caught.value.exit_code == 5

    refused("names and places of the variants alone take more", replace(plan, kept=20_000))
    refused("there is no folder for a temporary file.*give more --memory", replace(plan, folder=None))
    monkeypatch.setattr(keeping.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 9))
    refused(r"takes about 0\.00 GiB, .*has 0\.0 GiB free.*--maf", plan)
    monkeypatch.undo()

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keeping.tempfile, "TemporaryFile", full)
    refused("cannot keep genotypes in a temporary file .*No space left on device", plan)


def test_second_readings_say_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dosages = np.random.default_rng(1).integers(0, 3, size=(300, 20)).astype(np.int8)
    dosages[:, 3] = -1
    matrix = matrix_of(dosages)
    pos = matrix.variants.pos.copy()
    pos[5] = 1
    chrom = matrix.variants.chrom.copy()
    chrom[-1] = "scaffold_1"
    matrix = replace(matrix, variants=replace(matrix.variants, pos=pos, chrom=chrom))
    path = write_vcf(tmp_path / "a.vcf", matrix)
    with caplog.at_level(logging.INFO, logger="genovi"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "BATCH_ROWS", 10)
        patch.setattr(pieces, "_SIZE", 1000)
        found = streamed([path], replace(OPEN, mind=0.1), MemoryPlan(None, 0, None))
    why = [one.message for one in caplog.records if one.message.startswith("reading once more")]
    assert [line.split("because ")[1] for line in why] == [
        "positions are not in order",
        "contigs are not all human",
        "1 samples fail --mind and must not count for --geno and --maf",
    ]
    assert_alike(at_once([path], replace(OPEN, mind=0.1)), found)


KEEP_ONE = (
    "import sys, logging; from pathlib import Path\n"
    "from genovi.genotypes.filtering import filter_sources\n"
    "from genovi.genotypes.memory import plan_memory\n"
    "from genovi.genotypes.quality import QCConfig\n"
    "from genovi.genotypes.reading import open_sources\n"
    "from genovi.provenance import peak_memory_mib\n"
    "with open_sources([Path(sys.argv[1])]) as sources:\n"
    "    m, q = filter_sources(sources, QCConfig(extract=frozenset(['1:50000'])), plan_memory(None, None))\n"
    "print(peak_memory_mib(), m.n_variants, q.n_variants[0])\n"
)


def peak_of(path: Path, n: int) -> float:
    """Peak memory, in MiB, of a process that keeps one of ``n`` variants."""
    result = subprocess.run([sys.executable, "-c", KEEP_ONE, path], capture_output=True, text=True, check=True)
    peak, kept, read = map(float, result.stdout.split())
    assert (kept, read) == (1, n)
    return peak


def test_reading_takes_no_more_memory_for_more_records(tmp_path: Path) -> None:
    """Of what is dropped nothing stays."""
    line = "\t".join(["1", "{}", "rs{}", "A", "C", ".", ".", ".", "GT", *["0/1"] * 50, *["0/0"] * 350]) + "\n"
    peaks = []
    for n in (1000, 60_000):
        text = HEADER + "\t".join(f"s{i}" for i in range(400)) + "\n"
        text += "".join(line.format(50_000 + i, i) for i in range(n))
        path = tmp_path / f"{n}.vcf.gz"
        path.write_bytes(bgzf(text.encode()))
        peaks.append(peak_of(path, n))
    # 60,000 rows are 6 MB packed, 96 MB of text, and 20 MB as Python strings
    assert peaks[1] < peaks[0] + 30


@pytest.mark.parametrize(
    "form",
    ["GENO", "pgen", *(pytest.param(form, marks=pytest.mark.verification) for form in ("TGENO", "digits"))],
)
def test_filesets_take_memory_for_their_variants_not_their_genotypes(tmp_path: Path, form: str) -> None:
    """20,000 samples: a variant is 5 kB packed, and some 0.5 kB of names."""
    n_samples, peaks = 20_000, []
    generator = np.random.default_rng(1)
    for n in (4000, 20_000):
        path = tmp_path / f"{n}.geno"
        width = n_samples // 4
        if form == "pgen":
            path = tmp_path / f"{n}.pgen"  # in the form of a .bed, which needs no plink2
            path.write_bytes(b"\x6c\x1b\x01" + generator.integers(0, 256, n * width, dtype=np.uint8).tobytes())
            variants = "#CHROM\tPOS\tID\tREF\tALT\n" + "".join(f"1\t{50_000 + i}\tv{i}\tA\tC\n" for i in range(n))
            (tmp_path / f"{n}.pvar").write_text(variants)
            (tmp_path / f"{n}.psam").write_text("#IID\n" + "".join(f"s{i}\n" for i in range(n_samples)))
        else:
            with open(path, "wb") as stream:
                if form == "digits":
                    stream.write((b"01" * (n_samples // 2) + b"\n") * n)
                else:
                    length = width if form == "GENO" else 48
                    stream.write(f"{form} {n_samples:7d} {n:7d}".encode().ljust(length, b"\0"))
                    stream.write(generator.integers(0, 256, n * width, dtype=np.uint8).tobytes())
            snps = "".join(f"v{i}\t1\t0\t{50_000 + i}\tC\tA\n" for i in range(n))
            (tmp_path / f"{n}.snp").write_text(snps)
            (tmp_path / f"{n}.ind").write_text("".join(f"s{i} U P\n" for i in range(n_samples)))
        peaks.append(peak_of(path, n))
        path.unlink()
    assert peaks[1] < peaks[0] + 40  # held whole, genotypes would be 76 MiB more


def test_long_readings_are_announced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    matrix, _ = simulate_structure(1, 3, 40, 2000, 0.1)
    path = write_vcf(tmp_path / "a.vcf.gz", matrix, "bgzf")
    clock = iter(range(0, 100_000, 10))
    with caplog.at_level(logging.INFO, logger="genovi"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "BATCH_ROWS", 50)
        patch.setattr(pieces, "_SIZE", 10_000)
        patch.setattr("genovi.genotypes.streaming.time.monotonic", lambda: float(next(clock)))
        streamed([path], QCConfig(), MemoryPlan(None, None, None))
    said = [one.message for one in caplog.records if one.message.startswith("reading will take")]
    assert len(said) == 1
    assert re.search(r"about \d+ (s|min): some 2,000 records, of which 5\.\d+e-05 GiB stay$", said[0])
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="genovi"):
        streamed([path], QCConfig(), MemoryPlan(None, None, None))
    assert "reading will take" not in caplog.text


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (lambda path, _: describe([path]), r"records$"),
        (lambda path, _: open_genotypes([path]), r"records, of which \S+ GiB stay$"),
        (lambda path, model: read_query([path], model), r"records, of which \S+ GiB stay$"),
    ],
    ids=["info", "whole", "embed"],
)
def test_every_long_reading_is_announced(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    reading: Callable[[Path, VariantTable], object],
    said: str,
) -> None:
    matrix, _ = simulate_structure(1, 3, 40, 2000, 0.1)
    path = write_vcf(tmp_path / "a.vcf.gz", matrix, "bgzf")
    clock = iter(range(0, 100_000, 10))
    monkeypatch.setattr(batches, "BATCH_ROWS", 50)
    monkeypatch.setattr(pieces, "_SIZE", 10_000)
    monkeypatch.setattr("genovi.genotypes.streaming.time.monotonic", lambda: float(next(clock)))
    with caplog.at_level(logging.INFO, logger="genovi"):
        reading(path, matrix.variants.take(np.arange(50)))
    (line,) = [one.message for one in caplog.records if one.message.startswith("reading will take")]
    assert re.search(r"about \d+ (s|min): some 2,000 " + said, line)


def bim_of(matrix: GenotypeMatrix, folder: Path) -> Path:
    write_plink1(matrix, folder / "a")
    return folder / "a.bim"


GOOD_CHANGES: list[Callable[[str], str]] = [
    lambda text: text,
    lambda text: text.replace("\t", " "),
    lambda text: text.replace("v70\t", "#70\t"),
    lambda text: text.replace("v70\t", "vé\t"),
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace("\n", "\n\n", 5),
    lambda text: text.removesuffix("\n"),
]
BAD_CHANGES: list[Callable[[str], str]] = [
    lambda text: text.replace("v70\t0\t", "v70\t0\tx"),
    lambda text: text.replace("v70\t", "v70\tmore\t"),
    lambda text: text[: len(text) // 2],
    lambda text: text + "1\tv\t0\t5\tA\tC\n",
]


@pytest.mark.parametrize("change", [*GOOD_CHANGES, *BAD_CHANGES])
def test_filesets_are_read_in_stretches(
    tmp_path: Path, change: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix, _ = simulate_structure(1, 2, 9, 130, 0.1, missing=0.02)
    bim = bim_of(matrix, tmp_path)
    bim.write_bytes(change(bim.read_text()).encode())
    monkeypatch.setattr("genovi.genotypes.plink1._BIM_BYTES", 500)
    monkeypatch.setattr(batches, "BATCH_ROWS", 7)
    for config in (OPEN, replace(OPEN, chromosomes=("2", "9"))):
        expected = at_once([bim], config)
        assert (expected[0] == "") == (change in GOOD_CHANGES)
        assert_alike(expected, streamed([bim], config, MemoryPlan(None, 20, None)))
