"""Generated VCFs: genovi, cyvcf2, scikit-allel and plink2 see the same genotypes. Mutated VCFs: read or refused.

Where the others have conventions of their own they are told so here: scikit-allel and cyvcf2 give alleles, from which
dosages follow by the rules of ``genovi.genotypes.vcf``; plink2 gets what it models, diploid calls of two alleles.
"""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers import bgzf, needs
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from vcfs import HEADER, SOURCES, check_alike, mutated, read, record

from genovi.genotypes import pieces
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.reading import open_genotypes

DECLARED = HEADER.replace(
    "#CHROM",
    "".join(f"##contig=<ID={name}>\n" for name in ("1", "chr2", "X", "scaffold_9"))
    + "".join(f'##FORMAT=<ID={key},Number=1,Type=String,Description="x">\n' for key in ("GT", "DP", "GQ", "PL"))
    + "#CHROM",
)
SEEDS = st.integers(0, 2**32 - 1)


def generated(rng: np.random.Generator, plain: bool) -> tuple[str, np.ndarray]:
    """A VCF, and its alleles: shape (n_variants, n_samples, 2), -1 where missing, -2 beyond a haploid call.

    ``plain`` ones have diploid, complete or missing calls of two alleles, as plink2 models them.
    """
    n_samples, n_variants = int(rng.integers(1, 40)), int(rng.integers(1, 12))
    text = DECLARED + "\t".join(f"s{i}" for i in range(n_samples)) + "\n"
    alleles = np.empty((n_variants, n_samples, 2), dtype=np.int64)
    chrom = "1" if plain else str(rng.choice(["1", "chr2", "X", "scaffold_9"]))
    for i in range(n_variants):
        alt = str(rng.choice(["C", "G,T", "<DEL>", "*", "CAT", "G,<*>,T"])) if not plain else "C"
        alleles[i] = rng.integers(0, 2 + alt.count(","), size=(n_samples, 2))
        missing = rng.random((n_samples, 1 if plain else 2)) < rng.choice([0.0, 0.1, 0.6])
        alleles[i][np.broadcast_to(missing, (n_samples, 2))] = -1
        if not plain and rng.random() < 0.3:
            alleles[i, rng.random(n_samples) < 0.5, 1] = -2
        keys = str(rng.choice(["GT", "GT", "GT:DP", "GT:DP:GQ:PL"] + ([] if plain else ["DP:GT", "DP:GQ:GT:PL"])))
        text += record(*(written(rng, a, keys) for a in alleles[i]), chrom=chrom, pos=10 + i, alt=alt, format_=keys)
    return text, alleles


def written(rng: np.random.Generator, alleles: np.ndarray, keys: str) -> str:
    """A sample column; fields after GT may be left out."""
    names = ["." if a == -1 else str(a) for a in alleles if a != -2]
    parts = {"GT": str(rng.choice(["/", "|"])).join(names), "DP": str(rng.integers(200)), "GQ": ".", "PL": "0,21,333"}
    columns = [parts[key] for key in keys.split(":")]
    stop = keys.split(":").index("GT") + 1
    return ":".join(columns[: stop if rng.random() < 0.1 else None])


def dosages_of(alleles: np.ndarray, has_alt: bool = True) -> np.ndarray:
    """Dosages by the rules of the reader, the slow way, shape (n_variants, n_samples)."""
    dosages = np.full(alleles.shape[:2], -1)
    for place in np.ndindex(dosages.shape):
        called = [int(a) for a in alleles[place] if a != -2]
        if all(a in (0, 1) for a in called) and has_alt:
            dosages[place] = sum(called) * 2 // len(called)
    return dosages


def read_as(text: str, rng: np.random.Generator, folder: Path, monkeypatch: pytest.MonkeyPatch) -> GenotypeMatrix:
    """Read the text in one of the compressions, cut into pieces of any size."""
    compress = (bytes, gzip.compress, bgzf)[rng.integers(3)]
    with monkeypatch.context() as patch:
        patch.setattr(pieces, "_SIZE", int(rng.choice([50, 1000, 1 << 20])))
        return read(compress(text.encode()), folder)


@given(SEEDS)
@settings(max_examples=60)
def test_genotypes_are_those_that_were_written(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    text, alleles = generated(rng, plain=False)
    matrix = read_as(text, rng, tmp_path_factory.mktemp("vcf"), pytest.MonkeyPatch())
    np.testing.assert_array_equal(matrix.dosages(), dosages_of(alleles))


@given(SEEDS)
@settings(max_examples=40)
def test_cyvcf2_and_scikit_allel_read_the_same(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    import allel
    from cyvcf2 import VCF

    rng = np.random.default_rng(seed)
    text, _ = generated(rng, plain=False)
    folder = tmp_path_factory.mktemp("vcf")
    ours = read_as(text, rng, folder, pytest.MonkeyPatch()).dosages()
    (folder / "y.vcf").write_text(text)
    records = [record.genotype.array()[:, :-1] for record in VCF(str(folder / "y.vcf"))]
    width = max(one.shape[1] for one in records)
    by_cyvcf2 = [np.pad(one, ((0, 0), (0, width - one.shape[1])), constant_values=-2) for one in records]
    np.testing.assert_array_equal(ours, dosages_of(np.array(by_cyvcf2)))
    # scikit-allel writes -1 for a missing allele and beyond a haploid call alike: only complete calls can be compared.
    by_allel = allel.read_vcf(str(folder / "y.vcf"), fields=["calldata/GT"])["calldata/GT"]
    complete = (by_allel >= 0).all(axis=2)
    np.testing.assert_array_equal(ours[complete], dosages_of(by_allel)[complete])
    missing = (by_allel < 0).all(axis=2)
    assert (ours[missing] == -1).all()


@given(SEEDS)
@settings(max_examples=12)
def test_plink2_reads_the_same(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    plink2 = needs("plink2")
    rng = np.random.default_rng(seed)
    text, alleles = generated(rng, plain=True)
    assume((alleles >= 0).any())
    folder = tmp_path_factory.mktemp("vcf")
    ours = read_as(text, rng, folder, pytest.MonkeyPatch())
    (folder / "y.vcf").write_text(text)
    command = [plink2, "--vcf", str(folder / "y.vcf"), "--make-bed", "--threads", "1", "--out", str(folder / "y")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    np.testing.assert_array_equal(open_genotypes([folder / "y.bed"]).dosages(), ours.dosages())
    np.testing.assert_array_equal(ours.dosages(), dosages_of(alleles))


def fuzz(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Read a mutated file: a GenoviError of one line, or genotypes that the line-by-line reader gives, too."""
    compress = data.draw(st.sampled_from([bytes, bgzf, lambda text: gzip.compress(text, mtime=0)]))
    source = data.draw(st.sampled_from(SOURCES))
    content = mutated(data, compress(source)) if data.draw(st.booleans()) else compress(mutated(data, source))
    check_alike(content, tmp_path_factory.mktemp("fuzz"))


@given(st.data())
@settings(max_examples=300)
def test_mutated_files_are_refused_or_read_alike(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    fuzz(tmp_path_factory, data)


@pytest.mark.verification
@given(st.data())
@settings(max_examples=20_000)
def test_many_mutated_files(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    fuzz(tmp_path_factory, data)
