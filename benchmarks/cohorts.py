"""The same defaults on small cohorts: genovi beside PCA and UMAP, judged by labels that training never saw.

    python benchmarks/cohorts.py [--out DIR] [--seed 1]

Needs the folder of real data, $GENOVI_REAL_DATA. Writes DIR/cohorts.md.
"""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from genovi.baselines import pca_embedding, umap_embedding
from genovi.embedding import Embedding
from genovi.evaluation import evaluate
from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.labels import SampleLabels, join_groups, read_labels
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
    """Files of a cohort, relative to the folder of real data; ``groups`` maps populations to groups."""

    genotypes: str
    labels: str
    groups: str | None = None


COHORTS = {
    "anole": Cohort("anole/anole.vcf.gz", "anole/punctatus_n46_meta.csv"),
    "hapmap3": Cohort("hapmap3/hapmap3.bed", "hapmap3/labels.tsv"),
    "ho249": Cohort("ho249/HumanOrigins249_tiny.bed", "ho249/HumanOrigins249_tiny.fam", "ho249/HO_superpopulations"),
    "kgp1_chr22": Cohort("kgp1_chr22/kgp1_chr22.phased.vcf.gz", "kgp1_chr22/labels.tsv"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    logging.getLogger("genovi").setLevel(logging.ERROR)
    lines = [
        "| cohort | samples x variants, PCs | method | NN, populations | NMI, populations | NN, groups | NMI, groups |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, cohort in COHORTS.items():
        labels = read_labels(DATA / cohort.labels)
        if cohort.groups:
            labels = join_groups(labels, DATA / cohort.groups, on="pop")
        for line in compare(name, DATA / cohort.genotypes, labels, arguments.seed, arguments.out):
            print(line, flush=True)
            lines.append(line)
    (arguments.out / "cohorts.md").write_text("\n".join(lines) + "\n")


def compare(name: str, genotypes: Path, labels: SampleLabels, seed: int, out: Path) -> list[str]:
    """Table lines of one cohort."""
    run = train_run(
        [genotypes],
        out / name,
        RunConfig(QCConfig(), ModelConfig(), TrainingConfig(), None, seed),
        labels=None,
        provenance=Provenance.start(seed=seed, command="benchmarks/cohorts.py"),
        monitor=Monitor(),
        log_lines=str,
        force=True,
    )
    matrix, _ = apply_qc(open_genotypes([genotypes]), QCConfig())
    _, scores = fit_axes(matrix, Standardiser.fit(matrix), 15, Seeds(seed))
    shape = f"{matrix.n_samples} x {matrix.n_variants}, {run.model.axes.n_axes}"
    methods = {
        "PCA, 2 PCs": pca_embedding(scores, matrix.samples, 2),
        "UMAP on 15 PCs": umap_embedding(scores, matrix.samples, Seeds(seed)),
        "genovi": run.embedding,
    }
    return [row(name, shape, method, embedding, labels) for method, embedding in methods.items()]


def row(name: str, shape: str, method: str, embedding: Embedding, labels: SampleLabels) -> str:
    scores = evaluate(embedding, labels)
    cells = []
    for judged in (scores.populations, scores.groups):
        cells += [f"{judged.knn_accuracy:.3f}", f"{judged.mixture.nmi:.3f}"] if judged else ["", ""]
    return f"| {' | '.join([name, shape, method, *cells])} |"


if __name__ == "__main__":
    main()
