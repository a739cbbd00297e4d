"""A model applied to the same people in other files: formats, alleles, strands, orders, halves of the sites."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from helpers import needs, real_data, run_tool, simulate_structure, write_vcf

from genovi.applying import embed_run, plan_embed
from genovi.embedding import Embedding
from genovi.errors import MismatchError
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.suitability import Demands
from genovi.genotypes.writing import write_plink1
from genovi.model.config import ModelConfig
from genovi.pipeline import RunConfig, train_run
from genovi.provenance import Provenance
from genovi.summaries import EmbedSummary
from genovi.trained import TrainedModel
from genovi.training.config import TrainingConfig
from genovi.training.monitor import Monitor

QUICK = RunConfig(
    qc=QCConfig(),
    model=ModelConfig(hidden=32, steps=2, components=6),
    training=TrainingConfig(epochs=0, steps=300, batch_size=64, device="cpu", threads=1),
    pcs=None,
    seed=1,
)


def train(inputs: list[Path], out: Path, config: RunConfig = QUICK) -> Path:
    provenance = Provenance.start(seed=config.seed, command="genovi train")
    train_run(
        inputs, out, config, labels=None, provenance=provenance, monitor=Monitor(), log_lines=lambda: "", force=False
    )
    return out


def embed(run: Path, inputs: list[Path], prefix: Path, **demands: object) -> EmbedSummary:
    wanted = Demands(**demands)  # type: ignore[arg-type]
    provenance = Provenance.start(command="genovi embed")
    return embed_run(run, inputs, prefix, demands=wanted, device="cpu", provenance=provenance, force=True)


def rows(prefix: Path) -> bytes:
    return prefix.with_name(prefix.name + ".embedding.tsv").read_bytes()


@dataclass(frozen=True)
class World:
    """A model of simulated people, and the file of new ones, placed."""

    run: Path
    new: Path
    matrix: GenotypeMatrix
    placed: bytes


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    matrix, _ = simulate_structure(8, 3, 40, 900, 0.12, 0.01)
    new = np.arange(120) % 4 == 0
    train([write_vcf(folder / "old.vcf", matrix.take_samples(~new))], folder / "run")
    people = matrix.take_samples(new)
    embed(folder / "run", [write_vcf(folder / "new.vcf", people)], folder / "placed")
    return World(folder / "run", folder / "new.vcf", people, rows(folder / "placed"))


CONVERSIONS = {
    "bed": (["--make-bed"], "{}.bed"),
    "bed, major allele as REF": (["--maj-ref", "force", "--make-bed"], "{}.bed"),
    "pgen, major allele as REF": (["--maj-ref", "force", "--make-pgen"], "{}.pgen"),
    "vcf, major allele as REF": (["--maj-ref", "force", "--export", "vcf", "bgz"], "{}.vcf.gz"),
    "bcf": (["--export", "bcf"], "{}.bcf"),
}


@pytest.mark.parametrize("name", CONVERSIONS)
def test_what_plink2_makes_of_a_file_is_placed_alike(world: World, tmp_path: Path, name: str) -> None:
    words, made = CONVERSIONS[name]
    if made.endswith(".pgen"):
        pytest.importorskip("pgenlib")
    run_tool(needs("plink2"), "--vcf", world.new, *words, "--out", tmp_path / "other")
    found = embed(world.run, [tmp_path / made.format("other")], tmp_path / "placed").match
    assert rows(tmp_path / "placed") == world.placed
    assert (found.counts()["swapped"] > 200) == ("major" in name)
    assert found.usable == 1  # A/T and C/G sites too: all others are on one strand


def other_strand(matrix: GenotypeMatrix, which: np.ndarray) -> GenotypeMatrix:
    pairs = str.maketrans("ACGT", "TGCA")
    v = matrix.variants
    ref, alt = (
        np.array([a.translate(pairs) if w else a for a, w in zip(column, which, strict=True)], dtype=object)
        for column in (v.ref, v.alt)
    )
    return replace(matrix, variants=replace(v, ref=ref, alt=alt))


def test_a_file_on_the_other_strand_is_placed_alike(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    everything = np.ones(world.matrix.n_variants, dtype=bool)
    path = write_vcf(tmp_path / "new.vcf", other_strand(world.matrix, everything))
    with caplog.at_level(logging.INFO, "genovi"):
        found = embed(world.run, [path], tmp_path / "placed").match
    assert rows(tmp_path / "placed") == world.placed
    assert found.counts()["flipped"] == len(found.variants)
    assert found.usable == 1
    assert "581 of 581 sites are on the other strand" in caplog.text


def test_mixed_strands_lose_the_palindromes_alone(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    half = np.arange(world.matrix.n_variants) % 2 == 0
    path = write_vcf(tmp_path / "new.vcf", other_strand(world.matrix, half))
    with caplog.at_level(logging.INFO, "genovi"):
        found = embed(world.run, [path], tmp_path / "mixed").match
    np.testing.assert_array_equal(found.used, ~found.palindromic)
    assert f"not known: {found.palindromic.sum()} of" in caplog.text
    without = world.matrix.take_variants(
        ~np.isin(world.matrix.variants.id, found.variants.id[found.palindromic]).astype(bool)
    )
    embed(world.run, [write_vcf(tmp_path / "less.vcf", without)], tmp_path / "less")
    assert rows(tmp_path / "mixed") == rows(tmp_path / "less")


def test_a_plan_reads_and_matches(world: World, tmp_path: Path) -> None:
    lines = plan_embed(world.run, [world.new])
    assert lines[0].startswith("would embed 30 samples with 100.0 % of the model's")
    few = write_vcf(tmp_path / "few.vcf", world.matrix.take_variants(np.arange(200)))
    with pytest.raises(MismatchError, match="--min-overlap"):
        plan_embed(world.run, [few])
    assert "with 2" in plan_embed(world.run, [few], Demands(0.1))[0]


def test_a_model_of_split_records_places_the_same_file_alike(tmp_path: Path) -> None:
    """With a third allele at every fifth site, which training without splitting would have dropped."""
    matrix, _ = simulate_structure(9, 3, 40, 600, 0.12)
    lines = write_vcf(tmp_path / "plain.vcf", matrix).read_text().splitlines()
    rng = np.random.default_rng(1)
    for i, line in enumerate(lines):
        if line.startswith("#") or i % 5:
            continue
        fields = line.split("\t")
        third = next(base for base in "ACGT" if base not in (fields[3], fields[4]))
        fields[4] += f",{third}"
        for person in rng.integers(9, len(fields), size=2):
            fields[person] = "0/2"
        lines[i] = "\t".join(fields)
    path = tmp_path / "third.vcf"
    path.write_text("\n".join(lines) + "\n")
    run = train([path], tmp_path / "split", replace(QUICK, qc=QCConfig(split_multiallelic=True)))
    plain = train([path], tmp_path / "unsplit")
    n_split, n_plain = (len(TrainedModel.load(one).standardiser.variants) for one in (run, plain))
    assert n_split > n_plain + 60
    summary = embed(run, [path], tmp_path / "again")
    assert summary.match.usable == 1
    assert summary.again.all()
    before, after = Embedding.read_tsv(run / "embedding.tsv"), Embedding.read_tsv(tmp_path / "again.embedding.tsv")
    np.testing.assert_allclose(after.mean, before.mean, atol=1e-3)


def distance(full: Embedding, part: Embedding) -> np.ndarray:
    """Distance of positions in standard deviations of the second, an upper bound of Mahalanobis' over the axes."""
    assert part.std is not None
    return np.sqrt((((full.mean - part.mean) / part.std) ** 2).sum(axis=1))


@pytest.mark.real
def test_the_same_people_as_plink_and_as_eigenstrat_are_placed_alike(tmp_path: Path) -> None:
    folder = real_data("ho249")
    bed = folder / "HumanOrigins249_tiny.bed"
    matrix = open_genotypes([bed])
    write_plink1(matrix.take_samples(np.arange(249) % 5 != 0), tmp_path / "old")
    run = train([tmp_path / "old.bed"], tmp_path / "run")
    first = embed(run, [bed], tmp_path / "plink")
    second = embed(run, [folder / "HumanOrigins249_tiny.eigenstratgeno"], tmp_path / "eigenstrat")
    np.testing.assert_array_equal(first.embedding.mean, second.embedding.mean)
    np.testing.assert_array_equal(first.embedding.std, second.embedding.std)  # type: ignore[arg-type]
    assert first.match.counts() == second.match.counts()
    run_tool(
        needs("plink2"), "--bfile", bed.with_suffix(""), "--maj-ref", "force", "--export", "vcf", "bgz",
        "--out", tmp_path / "other",
    )  # fmt: skip
    third = embed(run, [tmp_path / "other.vcf.gz"], tmp_path / "vcf")
    np.testing.assert_array_equal(first.embedding.mean, third.embedding.mean)


@pytest.mark.verification
@pytest.mark.real
def test_company_and_order_do_not_move_a_real_person(tmp_path: Path) -> None:
    """Complete people and such with gaps, to a hundredth of a standard deviation: sums run in another order."""
    matrix = open_genotypes([real_data("kgp3") / "kgp3.bed"])
    old = np.arange(matrix.n_samples) % 4 != 0
    write_plink1(matrix.take_samples(old), tmp_path / "old")
    run = train([tmp_path / "old.bed"], tmp_path / "run")
    people = matrix.take_samples(~old)
    kept = np.arange(people.n_variants) % 3 > 0
    for name, query in (("complete", people), ("gaps", people.take_variants(kept))):
        write_plink1(query, tmp_path / name)
        together = embed(run, [tmp_path / f"{name}.bed"], tmp_path / name).embedding
        few = np.array([600, 3, 77, 411])
        write_plink1(query.take_samples(few), tmp_path / "few")
        apart = embed(run, [tmp_path / "few.bed"], tmp_path / "few").embedding
        assert apart.std is not None
        assert together.std is not None
        assert (np.abs(apart.mean - together.mean[few]) < 0.01 * apart.std).all()
        np.testing.assert_allclose(apart.std, together.std[few], rtol=0.01)
        np.testing.assert_array_equal(apart.cluster, together.cluster[few])  # type: ignore[index]


@pytest.mark.real
def test_real_people_land_near_themselves_by_either_half_of_the_chromosomes(tmp_path: Path) -> None:
    files = {i: real_data("kgp_by_chromosome") / f"1KG_phase3_subset_chr{i}.vcf.gz" for i in range(1, 23)}
    matrix = open_genotypes(list(files.values()), split_multiallelic=True)
    old = np.arange(matrix.n_samples) % 5 != 0
    write_plink1(matrix.take_samples(old).take_variants(np.char.find(matrix.variants.alt.astype(str), ",") < 0),
                 tmp_path / "old")  # fmt: skip
    run = train([tmp_path / "old.bed"], tmp_path / "run")
    new = [name for name, known in zip(matrix.samples, old, strict=True) if not known]
    full = embed(run, list(files.values()), tmp_path / "all")
    ours = np.isin(full.embedding.samples, new)
    assert full.match.usable > 0.99
    for parity in (0, 1):
        part = embed(run, [files[i] for i in range(1, 23) if i % 2 == parity], tmp_path / "half", min_overlap=0.3)
        assert 0.35 < part.match.usable < 0.65
        moved = distance(full.embedding, part.embedding)[ours]
        assert (moved < 2.45).mean() >= 0.8  # the 95 % ellipse of two dimensions; 20 people
    with pytest.raises(MismatchError, match="--min-overlap"):
        embed(run, [files[21]], tmp_path / "one")


@pytest.mark.real
def test_sites_of_another_panel_are_refused(tmp_path: Path) -> None:
    """The 805 sites are none of kgp3's, although the people are the same: nobody gets a place."""
    run = train([real_data("kgp3_805") / "kgp3_805.phased.vcf.gz"], tmp_path / "run")
    with pytest.raises(MismatchError, match=r"only 0\.\d % of the model's") as caught:
        embed(run, [real_data("kgp3") / "kgp3.bed"], tmp_path / "x")
    assert caught.value.exit_code == 4
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
