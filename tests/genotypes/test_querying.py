"""Keeping only what may be a model's variants gives what keeping everything gives, in memory for what is kept."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_same, bgzf, real_data
from hypothesis import given, settings
from hypothesis import strategies as st
from vcfs import HEADER

from genovi.errors import DataError, MismatchError
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable
from genovi.genotypes.querying import Query, read_query
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.suitability import Demands, Target, fit_to_model

FILES = ["kgp3/kgp3.vcf.gz", "kgp1_chr22/kgp1_chr22.phased.vcf.gz", "bcf/unphased.bcf", "wolves/wolvesadmix.bed",
         "ho249/HumanOrigins249_tiny.eigenstratgeno"]  # fmt: skip


def model_of(matrix: GenotypeMatrix, rng: np.random.Generator) -> VariantTable:
    """Some of the variants of ``matrix``, some moved, some renamed, some with other alleles."""
    some = matrix.variants.take(np.sort(rng.choice(matrix.n_variants, max(1, matrix.n_variants // 3), replace=False)))
    pos, names, ref, alt = some.pos.copy(), some.id.copy(), some.ref.copy(), some.alt.copy()
    moved, unnamed, exchanged = (rng.random(len(some)) < share for share in (0.2, 0.2, 0.3))
    pos[moved] += 1
    names[unnamed] = "."
    ref[exchanged], alt[exchanged] = some.alt[exchanged], some.ref[exchanged]
    return replace(some, pos=pos, id=names, ref=ref, alt=alt)


def check(path: Path, rng: np.random.Generator) -> None:
    whole = open_genotypes([path], split_multiallelic=True)
    model = model_of(whole, rng)
    kept, everything = read_query([path], model), Query.of(whole)
    assert kept.matrix.n_variants < whole.n_variants
    assert kept.matrix.facts == whole.facts
    assert (kept.build, kept.is_gvcf, kept.has_identifiers) == (
        everything.build, everything.is_gvcf, everything.has_identifiers,
    )  # fmt: skip
    target = Target(model, np.full(len(model), 0.3), "unknown", "run")
    for way in ("position", "id"):
        demands = Demands(0.0, way, "none")
        if way == "id" and not kept.has_identifiers:
            continue
        outcomes = []
        for query in (kept, everything):
            try:
                outcomes.append(fit_to_model(target, query, demands))
            except MismatchError as error:
                outcomes.append(str(error))
        one, other = outcomes
        if isinstance(one, str) or isinstance(other, str):
            assert one == other
            continue
        assert_same(one[0], other[0])
        np.testing.assert_array_equal(one[1].status, other[1].status)


@pytest.mark.real
@pytest.mark.parametrize("name", FILES)
def test_real_files(name: str) -> None:
    check(real_data(name), np.random.default_rng(1))


def line(chrom: str, pos: int, name: str, alt: str, calls: list[str]) -> str:
    return "\t".join([chrom, str(pos), name, "A", alt, ".", ".", ".", "GT", *calls]) + "\n"


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_generated_files(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    text = HEADER + "a\tb\tc\n"
    alts, names = ["C", "C", "T", "C,G", "<NON_REF>", "."], ["rs{0}", "rs{0}", ".", "rs{0};x{0}", "rs7"]
    for i in range(60):
        calls = rng.choice(["0/0", "0/1", "1/1", "./."], 3).tolist()
        chrom = str(rng.choice(["1", "chr1", "2", "X"]))
        text += line(
            chrom, 10 * int(rng.integers(1, 40)), str(rng.choice(names)).format(i), str(rng.choice(alts)), calls
        )
    path = tmp_path_factory.mktemp("query") / "new.vcf"
    path.write_text(text)
    check(path, rng)


def test_what_is_counted_of_records_that_are_not_kept(tmp_path: Path) -> None:
    header = HEADER + "a\n"
    chrom, names, ref, alt = (np.array([text], dtype=object) for text in ("1", ".", "A", "C"))
    model = VariantTable(chrom, np.array([5]), names, ref, alt)
    (tmp_path / "g.vcf").write_text(header + "".join(line("1", 100 + i, ".", "<NON_REF>", ["0/0"]) for i in range(9)))
    found = read_query([tmp_path / "g.vcf"], model)
    assert (found.matrix.n_variants, found.is_gvcf, found.has_identifiers) == (0, True, False)
    (tmp_path / "n.vcf").write_text(header + line("1", 249_000_000, "rs1", "C", ["0/0"]))
    found = read_query([tmp_path / "n.vcf"], model)
    assert (found.matrix.n_variants, found.is_gvcf, found.has_identifiers) == (0, False, True)
    assert found.build.build == "GRCh37"  # beyond the end of chromosome 1 in GRCh38
    (tmp_path / "none.vcf").write_text(header)
    with pytest.raises(DataError, match="no variants"):
        read_query([tmp_path / "none.vcf"], model)


def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    """Peak memory of a process that keeps one record of many."""
    script = (
        "import sys; import numpy as np; from pathlib import Path\n"
        "from genovi.genotypes.matrix import VariantTable\n"
        "from genovi.genotypes.querying import read_query\n"
        "from genovi.provenance import peak_memory_mib\n"
        "o = lambda text: np.array([text], dtype=object)\n"
        "model = VariantTable(o('1'), np.array([50000]), o('.'), o('A'), o('C'))\n"
        "print(read_query([Path(sys.argv[1])], model).matrix.n_variants, peak_memory_mib())\n"
    )
    peaks = []
    for n in (1000, 60_000):
        path = tmp_path / f"{n}.vcf.gz"
        calls = ["0/1"] * 50 + ["0/0"] * 350
        text = "".join(line("1", 50_000 + i, f"rs{i}", "C", calls) for i in range(n))
        path.write_bytes(bgzf((HEADER + "\t".join(f"s{i}" for i in range(400)) + "\n" + text).encode()))
        result = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
        kept, peak = map(float, result.stdout.split())
        assert kept == 1
        peaks.append(peak)
    # 60,000 rows are 6 MB packed, 96 MB of text, and 20 MB as Python strings
    assert peaks[1] < peaks[0] + 30
