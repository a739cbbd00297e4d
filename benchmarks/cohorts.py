"""The same defaults on small cohorts: genovi beside PCA and UMAP, judged by labels that training never saw.

    python benchmarks/cohorts.py [--out DIR] [--seeds 1 2] [--cohorts NAME ...]

Besides whole data sets, people of 1000 Genomes (kgp3) drawn at random and its continents, as cohorts of their own from
quality control on. Needs the folder of real data, $GENOVI_REAL_DATA. Writes DIR/cohorts.md: means over seeds, ± half
the range.
"""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genovi.baselines import pca_embedding, umap_embedding
from genovi.embedding import Embedding
from genovi.evaluation import evaluate
from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.labels import SampleLabels, join_groups, match, read_labels
from genovi.model.config import ModelConfig
from genovi.pipeline import RunConfig, train_run
from genovi.provenance import Provenance
from genovi.seeding import Seeds
from genovi.structure.pca import fit_axes
from genovi.structure.standardise import Standardiser
from genovi.training.config import TrainingConfig
from genovi.training.monitor import Monitor

REPO = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("GENOVI_REAL_DATA", REPO.parent / "shared" / "data"))


@dataclass(frozen=True)
class Cohort:
    """Files of a cohort, relative to the folder of real data.

    Attributes:
        genotypes: Read by genovi.
        labels: Of the samples.
        groups: Maps populations to groups; None where ``labels`` has them or nobody has.
        people: So many samples drawn at random; None for all.
        continent: Those with this ``super_pop``; None for all.
    """

    genotypes: str
    labels: str
    groups: str | None = None
    people: int | None = None
    continent: str | None = None


KGP3 = ("kgp3/kgp3.bed", "kgp3/labels.tsv")
COHORTS = {
    "anole": Cohort("anole/anole.vcf.gz", "anole/punctatus_n46_meta.csv"),
    "hapmap3": Cohort("hapmap3/hapmap3.bed", "hapmap3/labels.tsv"),
    "ho249": Cohort("ho249/HumanOrigins249_tiny.bed", "ho249/HumanOrigins249_tiny.fam", "ho249/HO_superpopulations"),
    "kgp1_chr22": Cohort("kgp1_chr22/kgp1_chr22.phased.vcf.gz", "kgp1_chr22/labels.tsv"),
    **{f"kgp3, {n} people": Cohort(*KGP3, people=n) for n in (120, 250, 400, 600)},
    **{f"kgp3, {name}": Cohort(*KGP3, continent=name) for name in ("AFR", "EAS", "EUR")},
}
_DRAWN = 7  # seed of the people drawn
_NAMES = ("PCA, 2 PCs", "PCA, 15 PCs", "UMAP on 15 PCs", "genovi")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cohorts", nargs="+", choices=COHORTS, default=list(COHORTS), metavar="NAME")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    logging.getLogger("genovi").setLevel(logging.ERROR)
    lines = [
        "| cohort | samples x variants, PCs | method | NN, populations | NMI, populations | NN, groups | NMI, groups |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in arguments.cohorts:
        matrix, labels = read(COHORTS[name])
        for line in compare(name, matrix, labels, arguments.seeds, arguments.out):
            print(line, flush=True)
            lines.append(line)
        (arguments.out / "cohorts.md").write_text("\n".join(lines) + "\n")


def read(cohort: Cohort) -> tuple[GenotypeMatrix, SampleLabels]:
    """Genotypes before quality control, and labels."""
    matrix, labels = open_genotypes([DATA / cohort.genotypes]), read_labels(DATA / cohort.labels)
    if cohort.groups:
        labels = join_groups(labels, DATA / cohort.groups, on="pop")
    if cohort.people:
        drawn = np.random.default_rng(_DRAWN).permutation(matrix.n_samples)[: cohort.people]
        matrix = matrix.take_samples(np.sort(drawn))
    if cohort.continent:
        there = np.array(match(labels, matrix.samples).column("super_pop")) == cohort.continent
        matrix = matrix.take_samples(np.flatnonzero(there))
    return matrix, labels


def compare(name: str, matrix: GenotypeMatrix, labels: SampleLabels, seeds: list[int], out: Path) -> list[str]:
    """Table lines of one cohort."""
    cleaned, _ = apply_qc(matrix, QCConfig())
    _, scores = fit_axes(cleaned, Standardiser.fit(cleaned), 15, Seeds(seeds[0]))
    found: dict[str, list[list[float]]] = {method: [] for method in _NAMES}
    for seed in seeds:
        run = train_run(
            [matrix],
            out / name.replace(", ", "-").replace(" ", "-"),
            RunConfig(QCConfig(), ModelConfig(), TrainingConfig(), None, seed),
            labels=None,
            provenance=Provenance.start(seed=seed, command="benchmarks/cohorts.py"),
            monitor=Monitor(),
            log_lines=str,
            force=True,
        )
        embeddings = [
            pca_embedding(scores, cleaned.samples, 2),
            pca_embedding(scores, cleaned.samples, 15),
            umap_embedding(scores, cleaned.samples, Seeds(seed)),
            run.embedding,
        ]
        for method, embedding in zip(_NAMES, embeddings, strict=True):
            found[method].append(judged(embedding, labels))
    shape = f"{cleaned.n_samples} x {cleaned.n_variants}, {run.model.axes.n_axes}"
    return [row(name, shape, method, np.array(values)) for method, values in found.items()]


def judged(embedding: Embedding, labels: SampleLabels) -> list[float]:
    """Accuracy of neighbours and NMI of the mixture, of populations and of groups if there are any."""
    scores = evaluate(embedding, labels)
    each = [part for part in (scores.populations, scores.groups) if part]
    return [value for part in each for value in (part.knn_accuracy, part.mixture.nmi)]


def row(name: str, shape: str, method: str, values: np.ndarray) -> str:
    """One line; ``values`` has a row for each seed."""
    cells = [f"{v.mean():.3f}" + (f" ± {np.ptp(v) / 2:.3f}" if np.ptp(v) > 0 else "") for v in values.T]
    cells += [""] * (4 - len(cells))
    return f"| {' | '.join([name, shape, method, *cells])} |"


if __name__ == "__main__":
    main()
