"""Ancestry embeddings of a real cohort: genovi (DDVI and plain VAE) against PCA, t-SNE and UMAP, in one process.

    python benchmarks/ancestry.py [GENOTYPES LABELS] [--out DIR] [--seeds 1 2 3]

Without files it takes 1000 Genomes (kgp3) from the folder of real data, $GENOVI_REAL_DATA.

One default configuration; labels are used for judging only. Transductive: fitted to everybody. Inductive: fitted to
80 %, the other 20 % embedded by the method's own way for new samples; five such splits, stratified by population and
the same for all methods, so that everybody is new once; each split has its own seed. PCs of all methods come from the
same quality control and the same projection, corrected for shrinkage. Writes DIR/ancestry.json and DIR/ancestry.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genovi.applying import embed_run
from genovi.baselines import pca_embedding, tsne_embedding, umap_embedding, umap_inductive
from genovi.comparison.data import stratified_folds
from genovi.embedding import Embedding
from genovi.evaluation import evaluate, inductive_knn
from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.matching import align, match_variants
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.writing import write_plink1
from genovi.labels import SampleLabels, match, read_labels
from genovi.model.config import ModelConfig
from genovi.pipeline import RunConfig, TrainSummary, train_run
from genovi.provenance import Provenance, version
from genovi.seeding import Seeds
from genovi.structure.pca import fit_axes
from genovi.structure.projection import project
from genovi.structure.standardise import Standardiser
from genovi.training.config import TrainingConfig
from genovi.training.monitor import Monitor

REPO = Path(__file__).resolve().parents[1]
PCS = 15
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kgp3 = Path(os.environ.get("GENOVI_REAL_DATA", REPO.parent / "shared" / "data"), "kgp3")
    parser.add_argument("genotypes", type=Path, nargs="?", default=kgp3 / "kgp3.vcf.gz")
    parser.add_argument("labels", type=Path, nargs="?", default=kgp3 / "labels.tsv")
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--protocols", nargs="+", choices=sorted(PROTOCOLS), default=list(PROTOCOLS))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    logging.getLogger("genovi").setLevel(logging.WARNING)
    labels = read_labels(arguments.labels)
    file = arguments.out / "ancestry.json"
    for protocol in arguments.protocols:
        new = PROTOCOLS[protocol](arguments.genotypes, labels, arguments.seeds, arguments.out)
        old = json.loads(file.read_text())["rows"] if file.exists() else []
        write([*(row for row in old if row["protocol"] != protocol), *new], arguments)


def write(rows: list[Row], arguments: argparse.Namespace) -> None:
    """Write all rows and their table."""
    report = {
        "data": arguments.genotypes.name,
        "genovi": version(),
        "seeds": arguments.seeds,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "rows": rows,
    }
    (arguments.out / "ancestry.json").write_text(json.dumps(report, indent=1) + "\n")
    table = markdown(rows)
    (arguments.out / "ancestry.md").write_text(table)
    print(table)


def genovi_run(posterior: str, inputs: Path, out: Path, seed: int) -> TrainSummary:
    """``genovi train`` with its defaults but for the posterior."""
    return train_run(
        [inputs],
        out,
        RunConfig(QCConfig(), replace(ModelConfig(), posterior=posterior), TrainingConfig(), None, seed),
        labels=None,
        provenance=Provenance.start(seed=seed, command="benchmarks/ancestry.py"),
        monitor=Monitor(),
        log_lines=str,
        force=True,
    )


def judged(method: str, seed: int | None, seconds: float, embedding: Embedding, labels: SampleLabels) -> Row:
    scores = evaluate(embedding, labels)
    row: Row = {
        "protocol": "transductive",
        "method": method,
        "seed": seed,
        "knn": scores.populations.knn_accuracy,
        "nmi": scores.populations.mixture.nmi,
        "seconds": seconds,
    }
    if scores.populations.clusters is not None:
        row["own_clusters_nmi"] = scores.populations.clusters.nmi
    print(row, flush=True)
    return row


def transductive(genotypes: Path, labels: SampleLabels, seeds: list[int], out: Path) -> list[Row]:
    """Everybody is in the fit."""
    rows = []
    start = time.perf_counter()
    matrix, _ = apply_qc(open_genotypes([genotypes]), QCConfig())
    _, scores = fit_axes(matrix, Standardiser.fit(matrix), PCS, Seeds(1))
    shared = time.perf_counter() - start
    for n in (2, 10, PCS):
        rows.append(judged(f"PCA, {n} PCs", None, shared, pca_embedding(scores, matrix.samples, n), labels))
    baselines: dict[str, Callable[[Seeds], Embedding]] = {
        f"t-SNE on {PCS} PCs": lambda s: tsne_embedding(scores[:, :PCS], matrix.samples, s),
        f"UMAP on {PCS} PCs, min_dist 0.1": lambda s: umap_embedding(scores[:, :PCS], matrix.samples, s, min_dist=0.1),
        f"UMAP on {PCS} PCs, min_dist 0.5": lambda s: umap_embedding(scores[:, :PCS], matrix.samples, s, min_dist=0.5),
    }
    umap_embedding(scores[:200, :PCS], matrix.samples[:200], Seeds(0))  # compiles; not part of anybody's time
    for seed in seeds:
        for name, embed in baselines.items():
            start = time.perf_counter()
            embedding = embed(Seeds(seed))
            rows.append(judged(name, seed, shared + time.perf_counter() - start, embedding, labels))
        for posterior in ("gaussian", "ddvi"):
            run = genovi_run(posterior, genotypes, out / f"{posterior}.{seed}", seed)
            row = judged(f"genovi, {posterior}", seed, run.provenance.wall_seconds, run.embedding, labels)
            rows.append(row | {"elbo": run.bounds.elbo, "iwae": run.bounds.iwae})
    return rows


def inductive(genotypes: Path, labels: SampleLabels, seeds: list[int], out: Path) -> list[Row]:
    """80 % in the fit, the rest are new; everybody is new in one of the splits. Seeds are the numbers of the splits."""
    matrix = open_genotypes([genotypes])
    population = match(labels, matrix.samples).column(labels.default_population_column())
    rows = []
    for seed, (old, new) in enumerate(stratified_folds(population), start=1):
        for name, index in (("old", old), ("new", new)):
            write_plink1(matrix.take_samples(index), out / name)
        rows += split_rows(out / "old.bed", out / "new.bed", labels, seed, out)
    return rows


def split_rows(old: Path, new: Path, labels: SampleLabels, seed: int, out: Path) -> list[Row]:
    """All methods on one split."""
    fitted, _ = apply_qc(open_genotypes([old]), QCConfig())
    query = open_genotypes([new])
    standardiser = Standardiser.fit(fitted)
    axes, scores = fit_axes(fitted, standardiser, PCS, Seeds(1))
    aligned = align(query, match_variants(standardiser.variants, query.variants))
    projected = project(axes, standardiser, aligned).scores
    uncorrected = project(axes, standardiser, aligned, training=True).scores

    def named(embedding: Embedding) -> tuple[str, ...]:
        return match(labels, embedding.samples).column(labels.default_population_column())

    def judge(method: str, train: Embedding, test: Embedding) -> Row:
        accuracy = inductive_knn(train, named(train), test, named(test)).accuracy
        row: Row = {"protocol": "inductive", "method": method, "seed": seed, "knn": accuracy}
        print(row, flush=True)
        return row

    pcs = pca_embedding(scores, fitted.samples, PCS)
    rows = [
        judge(f"PCA, {PCS} PCs", pcs, pca_embedding(projected, query.samples, PCS)),
        judge(f"PCA, {PCS} PCs, shrinkage not corrected", pcs, pca_embedding(uncorrected, query.samples, PCS)),
    ]
    pair = umap_inductive(scores, fitted.samples, projected, query.samples, Seeds(seed), min_dist=0.1)
    rows.append(judge(f"UMAP on {PCS} PCs, min_dist 0.1", *pair))
    for posterior in ("gaussian", "ddvi"):
        trained = genovi_run(posterior, old, out / f"{posterior}.inductive.{seed}", seed)
        provenance = Provenance.start(seed=seed, command="benchmarks/ancestry.py")
        placed = embed_run(trained.out, [new], out / f"new.{seed}", provenance=provenance, force=True)
        row = judge(f"genovi, {posterior}", trained.embedding, placed.embedding)
        rows.append(row | {"elbo": trained.bounds.elbo, "iwae": trained.bounds.iwae})
    return rows


def markdown(rows: list[Row]) -> str:
    """One line for each method: mean over seeds, and half the range between the lowest and the highest."""
    measures = {
        "transductive": (("knn", "20-NN"), ("nmi", "NMI, mixture of 20"), ("own_clusters_nmi", "NMI, own clusters"),
                         ("elbo", "held-out bound"), ("iwae", "IWAE-64"), ("seconds", "seconds")),
        "inductive": (("knn", "20-NN"), ("elbo", "held-out bound"), ("iwae", "IWAE-64")),
    }  # fmt: skip
    lines = []
    for protocol, columns in measures.items():
        lines += [
            f"{protocol} | " + " | ".join(title for _, title in columns),
            " | ".join(["---"] * (len(columns) + 1)),
        ]
        ours = [row for row in rows if row["protocol"] == protocol]
        for method in dict.fromkeys(row["method"] for row in ours):
            cells = [
                summary([row[key] for row in ours if row["method"] == method and key in row]) for key, _ in columns
            ]
            lines.append(f"{method} | " + " | ".join(cells))
        lines.append("")
    return "\n".join(f"| {line} |" if line else "" for line in lines)


def summary(values: list[float]) -> str:
    """Mean, and the spread where there are several values."""
    if not values:
        return ""
    digits = 3 if abs(values[0]) < 2 else 2 if abs(values[0]) < 1000 and values[0] < 0 else 0
    spread = f" ± {(max(values) - min(values)) / 2:.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"


PROTOCOLS = {"transductive": transductive, "inductive": inductive}

if __name__ == "__main__":
    main()
