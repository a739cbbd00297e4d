"""How well are new people placed that have only some of the variants of a model? A panel, chromosomes, variant sites.

    python benchmarks/overlap.py [--out DIR] [--seed 1]

Needs kgp3, kgp3_805 and kgp_by_chromosome of the folder of real data, $GENOVI_REAL_DATA. The model is trained with the
defaults on the sites of kgp3 and of the panel of 805 together, and 80 % of their people; the others are new. They are
embedded with all sites, and with parts of them. 20-NN and super-population are the accuracy of the 20 nearest training
people. "Inside" is how many means of complete people lie in the 95 % ellipse of the incomplete one (see incomplete.py).
Writes DIR/overlap.md, and DIR/strand.md: what allele frequencies say of a site's strand (no model needed).
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from incomplete import Posterior, compare, without
from sklearn.model_selection import StratifiedShuffleSplit

from genovi.applying import embed_run
from genovi.embedding import Embedding
from genovi.errors import MismatchError
from genovi.evaluation import inductive_knn
from genovi.genotypes.alleles import is_palindromic
from genovi.genotypes.counting import allele_counts
from genovi.genotypes.matching import align, match_variants
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.suitability import Demands
from genovi.genotypes.writing import write_plink1
from genovi.labels import match, read_labels
from genovi.model.config import ModelConfig
from genovi.pipeline import RunConfig, train_run
from genovi.provenance import Provenance
from genovi.trained import TrainedModel
from genovi.training.config import TrainingConfig
from genovi.training.monitor import Monitor

REPO = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("GENOVI_REAL_DATA", REPO.parent / "shared" / "data"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    logging.getLogger("genovi").setLevel(logging.ERROR)
    parts = [open_genotypes([DATA / "kgp3/kgp3.vcf.gz"]), open_genotypes([DATA / "kgp3_805/kgp3_805.phased.vcf.gz"])]
    matrix = open_genotypes(parts)
    panel = np.arange(matrix.n_variants) >= parts[0].n_variants
    labels = match(read_labels(DATA / "kgp3/labels.tsv"), matrix.samples)
    population, group = (np.array(labels.column(name)) for name in ("pop", "super_pop"))
    (arguments.out / "strand.md").write_text(strand(matrix, group, arguments.seed))
    (arguments.out / "overlap.md").write_text(overlap(matrix, panel, population, group, arguments))


def overlap(
    matrix: GenotypeMatrix, panel: np.ndarray, population: np.ndarray, group: np.ndarray, arguments: argparse.Namespace
) -> str:
    """A line for each part of the sites."""
    seed, out = arguments.seed, arguments.out
    splitter = StratifiedShuffleSplit(n_splits=1, test_size=0.2, random_state=seed)
    old, new = (np.sort(part) for part in next(splitter.split(np.zeros(len(population)), population)))
    trained = train(matrix.take_samples(old), out, seed)
    people = matrix.take_samples(new)
    found = match_variants(trained.standardiser.variants, people.variants)
    complete = align(people, found)
    full = Posterior.of(trained, complete, seed)
    before = Embedding.read_tsv(out / "overlap" / "embedding.tsv")
    lines = ["| what new people have | sites | 20-NN | super-population | median SD | inside |", "|" + " --- |" * 6]
    for name, mask in absences(complete, panel[found.row], seed):
        gaps = without(complete, mask)
        posterior = Posterior.of(trained, gaps, seed)
        embedding = Embedding(gaps.samples, posterior.mean.double().numpy())
        scores = [
            inductive_knn(before, tuple(labels[old]), embedding, tuple(labels[new])).accuracy
            for labels in (population, group)
        ]
        _, inside, _, spread = compare(full, posterior)
        cells = [
            f"{1 - mask.mean():.1%}".replace("%", " %"),
            *(f"{s:.3f}" for s in scores),
            f"{spread:.2f}",
            f"{inside:.3f}",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return "\n".join([*lines, "", refused(out)]) + "\n"


def absences(matrix: GenotypeMatrix, panel: np.ndarray, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names, and what is missing, shape (n_variants, n_samples), bool."""
    m, n = matrix.n_variants, matrix.n_samples
    rng = np.random.default_rng(seed)
    order = rng.permutation(m)
    number = matrix.variants.chrom.astype(int)
    sites = {
        "all sites": np.zeros(m, dtype=bool),
        "sites of kgp3 without the panel": panel,
        "every second site": np.arange(m) % 2 == 1,
        "the other half": np.arange(m) % 2 == 0,
        "chromosomes 1 to 5": number > 5,
        "25 % of the sites": order >= m // 4,
        "the panel of 805": ~panel,
        "as many other sites": ~np.isin(np.arange(m), rng.permutation(np.flatnonzero(~panel))[: panel.sum()]),
        "chromosome 22": number != 22,
    }
    for name, absent in sites.items():
        yield name, np.repeat(absent[:, None], n, axis=1)
    yield "variant sites only, one sample a file", matrix.dosages() == 0
    mask = np.zeros((m, n), dtype=bool)
    share = (matrix.dosages() == 0).mean()
    yield "as many sites, at random for each", rng.random(mask.shape) < share


def refused(out: Path) -> str:
    """What ``genovi embed`` says to data of other sites."""
    files = sorted((DATA / "kgp_by_chromosome").glob("*chr[0-9]*.vcf.gz"))
    try:
        embed_run(
            out / "overlap", files, out / "other", demands=Demands(), device="cpu",
            provenance=Provenance.start(command="benchmarks/overlap.py"), force=True,
        )  # fmt: skip
    except MismatchError as error:
        return f"The 22 files of kgp_by_chromosome, people of whom the model knows some, are refused: {error.what}."
    raise AssertionError("sites of kgp_by_chromosome are not those of kgp3")


def train(matrix: GenotypeMatrix, out: Path, seed: int) -> TrainedModel:
    """``genovi train`` with its defaults."""
    write_plink1(matrix, out / "overlap.old")
    train_run(
        [out / "overlap.old.bed"],
        out / "overlap",
        RunConfig(QCConfig(), ModelConfig(), TrainingConfig(), None, seed),
        labels=None,
        provenance=Provenance.start(seed=seed, command="benchmarks/overlap.py"),
        monitor=Monitor(),
        log_lines=str,
        force=True,
    )
    return TrainedModel.load(out / "overlap")


def strand(matrix: GenotypeMatrix, group: np.ndarray, seed: int) -> str:
    """Allele frequencies of one continent's people against everybody else's, at sites with a minor frequency of 1 %."""
    p = allele_counts(matrix).frequency
    matrix = matrix.take_variants((p >= 0.01) & (p <= 0.99))
    palindromic = np.fromiter(map(is_palindromic, matrix.variants.ref, matrix.variants.alt), dtype=bool)
    dosages = matrix.dosages() / 2
    rng = np.random.default_rng(seed)
    lines = [
        "| model of all but, people to place | wrong side, MAF < 0.1 | MAF < 0.2 | least agreement "
        "| slope of A/T, C/G: least | half turned: most |",
        "|" + " --- |" * 6,
    ]
    for name in sorted(set(group)):
        p = dosages[:, group != name].mean(axis=1)
        known = (p > 0.01) & (p < 0.99)
        y = 2 * p - 1
        for n in (1, 5, 50):
            rows = []
            for _ in range(20):
                x = 2 * dosages[:, rng.choice(np.flatnonzero(group == name), n, replace=False)].mean(axis=1) - 1
                wrong = [float(((x * y)[known & (np.minimum(p, 1 - p) < top)] < 0).mean()) for top in (0.1, 0.2)]
                a, b = known & ~palindromic, known & palindromic
                turned = np.where(rng.random(len(x)) < 0.5, -x, x)
                rows.append([*wrong, cosine(x[a], y[a]), *(slope(z[b], y[b]) / slope(x[a], y[a]) for z in (x, turned))])
            table = np.array(rows)
            cells = [*table[:, :2].mean(axis=0), *table[:, 2:4].min(axis=0), table[:, 4].max()]
            lines.append(f"| {name}, {n} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")
    print("\n".join(lines), flush=True)
    return "\n".join(lines) + "\n"


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    """Agreement of frequencies, in [-1, 1]."""
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Slope of x on y through the origin."""
    return float((x * y).sum() / (y * y).sum())


if __name__ == "__main__":
    main()
