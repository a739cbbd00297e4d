"""The demo data: unchanged, consistent, readable by other tools, plainly simulated, and reproducible."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers import REPO, needs

from genovi.labels import match, read_labels

DATA = REPO / "data"
VCFS = ("demo_train.vcf.gz", "demo_new.vcf.gz")


def records(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header lines and cells of a compressed VCF."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return [s for s in lines if s.startswith("##")], [s.split("\t") for s in lines if not s.startswith("##")]


def maker() -> ModuleType:
    """``data/make_demo.py`` as a module."""
    pytest.importorskip("msprime", reason="msprime makes the demo data")
    spec = importlib.util.spec_from_file_location("make_demo", DATA / "make_demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_demo"] = module
    spec.loader.exec_module(module)
    return module


def test_checksums_and_size() -> None:
    listed = {}
    for line in (DATA / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        listed[name] = digest
        assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == digest, name
    assert set(listed) == {"demo.panel", *VCFS, *(f"{name}.tbi" for name in VCFS)}
    assert sum((DATA / name).stat().st_size for name in listed) <= 5_000_000


def test_panel_and_vcfs_agree() -> None:
    labels = read_labels(DATA / "demo.panel")
    assert len(labels.samples) == 1040
    assert list(labels.columns) == ["pop", "super_pop", "gender"]
    groups = Counter(dict(zip(labels.column("pop"), labels.column("super_pop"), strict=True)).values())
    assert groups == {"AFR": 7, "AMR": 4, "EAS": 5, "EUR": 5, "SAS": 5}
    samples: list[str] = []
    variants = []
    for name, per_population in zip(VCFS, (32, 8), strict=True):
        header, rows = records(DATA / name)
        assert any(line.startswith("##source=SIMULATED") for line in header)
        matched = match(labels, rows[0][9:])
        assert not matched.unmatched
        assert set(Counter(matched.column("pop")).values()) == {per_population}
        samples += matched.samples
        variants.append([row[:5] for row in rows[1:]])
    assert sorted(samples) == sorted(labels.samples)
    assert all(sample.startswith("SIM") for sample in samples)
    assert variants[0] == variants[1]


def test_variants_are_sorted_snps_on_grch38_autosomes() -> None:
    header, rows = records(DATA / VCFS[0])
    lengths = {}
    for line in header:
        if line.startswith("##contig"):
            fields = dict(item.split("=") for item in line.removeprefix("##contig=<").rstrip(">").split(","))
            assert fields["assembly"] == "GRCh38"
            lengths[fields["ID"]] = int(fields["length"])
    assert list(lengths) == [f"chr{c}" for c in range(1, 23)]
    assert lengths["chr1"] == 248_956_422
    places = [(list(lengths).index(row[0]), int(row[1])) for row in rows[1:]]
    assert places == sorted(set(places))
    assert all(1 <= int(row[1]) <= lengths[row[0]] for row in rows[1:])
    assert {row[0] for row in rows[1:]} == set(lengths)
    assert all(row[3] in "ACGT" and row[4] in "ACGT" and row[3] != row[4] for row in rows[1:])
    assert {cell for row in rows[1:] for cell in row[9:]} == {"0/0", "0/1", "1/1", "./."}


def test_missing_genotypes_are_few_but_there() -> None:
    missing = np.concatenate(
        [np.array([[cell == "./." for cell in row[9:]] for row in records(DATA / name)[1][1:]]) for name in VCFS],
        axis=1,
    )
    assert 0.005 < missing.mean() < 0.01
    assert (missing.mean(axis=0) > 0.045).sum() == 3
    assert 25 < (missing.mean(axis=1) > 0.06).sum() <= 60


def test_bcftools_and_tabix_read_the_files() -> None:
    bcftools, tabix = needs("bcftools"), needs("tabix")
    for name in VCFS:
        run = subprocess.run(
            [bcftools, "view", "-H", "-r", "chr22", str(DATA / name)], capture_output=True, text=True, check=True
        )
        assert run.stderr == ""
        expected = [row for row in records(DATA / name)[1][1:] if row[0] == "chr22"]
        assert [line.split("\t")[:2] for line in run.stdout.splitlines()] == [row[:2] for row in expected]
        listed = subprocess.run([tabix, "-l", str(DATA / name)], capture_output=True, text=True, check=True)
        assert listed.stdout.split() == [f"chr{c}" for c in range(1, 23)]


def test_simulation_is_deterministic() -> None:
    make_demo = maker()
    first, second = make_demo.simulate(40), make_demo.simulate(40)
    assert np.array_equal(first.dosages, second.dosages)
    assert first.populations == list(read_labels(DATA / "demo.panel").column("pop"))
    frequency = np.where(first.dosages < 0, 0, first.dosages).mean(axis=1) / 2
    assert frequency.min() > make_demo.MIN_MAF / 2
    assert frequency.max() < 1


@pytest.mark.verification
def test_make_demo_reproduces_the_genotypes(tmp_path: Path) -> None:
    pytest.importorskip("msprime", reason="msprime makes the demo data")
    needs("bgzip")
    needs("tabix")
    subprocess.run([sys.executable, str(DATA / "make_demo.py"), "--out", str(tmp_path)], check=True)
    assert (tmp_path / "demo.panel").read_bytes() == (DATA / "demo.panel").read_bytes()
    for name in VCFS:
        assert gzip.decompress((tmp_path / name).read_bytes()) == gzip.decompress((DATA / name).read_bytes())
