"""Do positions of incomplete samples move as little as their uncertainty says? Coverage on people of 1000 Genomes.

    python benchmarks/incomplete.py [--out DIR] [--seeds 1 2]

Needs kgp3 of the folder of real data, $GENOVI_REAL_DATA. For each seed a model is trained with the defaults on 80 % of
the people (split by that seed, stratified by population). 250 of the others are embedded complete, and with genotypes
taken out: 10, 50 and 90 % of them at random (each person loses others), and the even chromosomes for everybody.

The reference is the posterior of the complete person. Coverage is the share of it, on average over people, that lies in
the 95 % ellipse of the posterior of the incomplete one: (z - m)' C^-1 (z - m) < 5.991 with that one's mean m and
covariance C. 0.95 is right; less says too much, more too little. "Inside" is how many complete means lie in the
ellipse, "moved" the median distance between both means, in units of the incomplete posterior's standard deviations, and
SD the median of these. The lines "training people" embed people of the training set, whose own noise is in the axes, as
if they were new.
Writes DIR/incomplete.md.
"""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import StratifiedShuffleSplit

from genovi.encoding import Components
from genovi.genotypes.matching import align, match_variants
from genovi.genotypes.matrix import GenotypeMatrix, pack
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.writing import write_plink1
from genovi.labels import match, read_labels
from genovi.model.config import ModelConfig
from genovi.pipeline import RunConfig, train_run
from genovi.provenance import Provenance
from genovi.structure.projection import project
from genovi.trained import TrainedModel
from genovi.training.config import TrainingConfig
from genovi.training.monitor import Monitor

REPO = Path(__file__).resolve().parents[1]
KGP3 = Path(os.environ.get("GENOVI_REAL_DATA", REPO.parent / "shared" / "data"), "kgp3")
CHI2_95 = 5.991  # two degrees of freedom
DRAWS = 256
PEOPLE = 250


@dataclass(frozen=True)
class Posterior:
    """Draws for n samples, their weights, and the Gaussian of the same moments."""

    z: torch.Tensor
    weights: torch.Tensor
    mean: torch.Tensor
    covariance: torch.Tensor

    @staticmethod
    def of(trained: TrainedModel, matrix: GenotypeMatrix, seed: int, *, training: bool = False) -> Posterior:
        """Of samples that are all complete, or all incomplete."""
        projection = project(trained.axes, trained.standardiser, matrix, training=training)
        ((_, x, excess),) = Components.of(projection, trained.noise_scale).parts()
        sample = trained.model.posterior_sample(x, DRAWS, seed, excess)
        return Posterior(sample.z, sample.weights, *sample.moments())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    logging.getLogger("genovi").setLevel(logging.ERROR)
    rows: dict[str, list[tuple[float, float, float, float]]] = {}
    for seed in arguments.seeds:
        for name, numbers in judge(seed, arguments.out):
            print(seed, name, *(f"{number:.4f}" for number in numbers), flush=True)
            rows.setdefault(name, []).append(numbers)
    text = table(rows)
    (arguments.out / "incomplete.md").write_text(text)
    print(text)


def judge(seed: int, out: Path) -> list[tuple[str, tuple[float, float, float, float]]]:
    """All lines of one split."""
    matrix = open_genotypes([KGP3 / "kgp3.bed"])
    population = match(read_labels(KGP3 / "labels.tsv"), matrix.samples).column("pop")
    splitter = StratifiedShuffleSplit(n_splits=1, test_size=0.2, random_state=seed)
    old, new = next(splitter.split(np.zeros(len(population)), population))
    new = new[:PEOPLE]  # in random order
    trained = train(matrix.take_samples(np.sort(old)), seed, out)

    def aligned(people: np.ndarray) -> GenotypeMatrix:
        part = matrix.take_samples(np.sort(people))
        return align(part, match_variants(trained.standardiser.variants, part.variants))

    people = aligned(new)
    rng = np.random.default_rng(seed)
    even = np.isin(trained.standardiser.variants.chrom, [str(number) for number in range(2, 23, 2)])
    masks = {
        f"new people, {share:.0%} missing".replace("%", " %"): rng.random((people.n_variants, len(new))) < share
        for share in (0.1, 0.5, 0.9)
    }
    masks["new people, even chromosomes missing"] = np.repeat(even[:, None], len(new), axis=1)
    complete = Posterior.of(trained, people, seed)
    lines = [
        (name, compare(complete, Posterior.of(trained, without(people, mask), seed))) for name, mask in masks.items()
    ]
    again = aligned(rng.permutation(old)[: len(new)])
    known = Posterior.of(trained, again, seed, training=True)
    lines.append(("training people as if new, complete", compare(known, Posterior.of(trained, again, seed))))
    for share in (0.1, 0.5):
        gaps = without(again, rng.random((again.n_variants, again.n_samples)) < share)
        name = f"training people as if new, {share:.0%} missing".replace("%", " %")
        lines.append((name, compare(known, Posterior.of(trained, gaps, seed))))
    return lines


def train(matrix: GenotypeMatrix, seed: int, out: Path) -> TrainedModel:
    """``genovi train`` with its defaults."""
    write_plink1(matrix, out / "incomplete.old")
    train_run(
        [out / "incomplete.old.bed"],
        out / f"incomplete.{seed}",
        RunConfig(QCConfig(), ModelConfig(), TrainingConfig(), None, seed),
        labels=None,
        provenance=Provenance.start(seed=seed, command="benchmarks/incomplete.py"),
        monitor=Monitor(),
        log_lines=str,
        force=True,
    )
    return TrainedModel.load(out / f"incomplete.{seed}")


def without(matrix: GenotypeMatrix, mask: np.ndarray) -> GenotypeMatrix:
    """``matrix`` with the genotypes of ``mask``, shape (n_variants, n_samples), missing."""
    dosages = matrix.dosages().copy()
    dosages[mask] = -1
    return GenotypeMatrix(pack(dosages), matrix.samples, matrix.variants)


def compare(full: Posterior, partial: Posterior) -> tuple[float, float, float, float]:
    """Coverage, share of means inside, median move, and median standard deviation of the incomplete posterior."""
    precision = torch.linalg.pinv(partial.covariance.double()).to(partial.covariance)

    def distance(z: torch.Tensor) -> torch.Tensor:
        centred = z - partial.mean
        return torch.einsum("...ni,nij,...nj->...n", centred, precision, centred)

    coverage = (full.weights * (distance(full.z) < CHI2_95)).sum(0).mean()
    moved = distance(full.mean)
    spread = partial.covariance.diagonal(dim1=-2, dim2=-1).sqrt().mean(-1)
    return (
        float(coverage),
        float((moved < CHI2_95).float().mean()),
        float(moved.sqrt().median()),
        float(spread.median()),
    )


def table(rows: dict[str, list[tuple[float, float, float, float]]]) -> str:
    """Mean over seeds, ± half the range."""
    lines = ["| people | coverage | inside | moved, in SD | SD |", "| --- | --- | --- | --- | --- |"]
    for name, values in rows.items():
        columns = np.array(values).T
        cells = [f"{column.mean():.3f} ± {np.ptp(column) / 2:.3f}" for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
