"""What the genotypes allow: how well classifiers that are shown labels tell the populations of new people.

    python benchmarks/ceiling.py [GENOTYPES LABELS] [--out DIR]

Without files it takes 1000 Genomes (kgp3) from the folder of real data, $GENOVI_REAL_DATA. Sites are those of genovi's
default quality control; five folds, stratified by population, everybody predicted once. Two classifiers see all sites:

    naive Bayes   argmax_c sum_j log Binomial(g_j; 2, f_cj),   f_cj = (n_cj + a b_cj) / (2 n_c + a)

with n_cj counted alleles of population c, b_cj their frequency in its super-population, and a support vector machine
on the kinship kernel. Settings are the best by the very accuracy that is reported, so that the ceiling is not too low.
NMI is that of the predictions with the labels, and, because fewer classes may agree better than all, the best that
merging predicted populations two by two gives when labels choose whom to merge. An unsupervised map is not expected to
pass either: these have seen the labels of four people in five. Writes DIR/ceiling.md.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

import numpy as np
from sklearn.metrics import normalized_mutual_info_score
from sklearn.svm import SVC

from genovi.comparison.data import stratified_folds
from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.labels import match, read_labels

REPO = Path(__file__).resolve().parents[1]
STRENGTHS = (2, 10, 30, 100)
COSTS = (1.0, 10.0)
FEWEST = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kgp3 = Path(os.environ.get("GENOVI_REAL_DATA", REPO.parent / "shared" / "data"), "kgp3")
    parser.add_argument("genotypes", type=Path, nargs="?", default=kgp3 / "kgp3.vcf.gz")
    parser.add_argument("labels", type=Path, nargs="?", default=kgp3 / "labels.tsv")
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    arguments = parser.parse_args()
    logging.getLogger("genovi").setLevel(logging.ERROR)
    matrix, _ = apply_qc(open_genotypes([arguments.genotypes]), QCConfig())
    if (matrix.dosages() < 0).any():
        raise SystemExit("genotypes are missing; these classifiers know of none")
    genotypes = matrix.dosages().T.astype(np.float64)
    matched = match(read_labels(arguments.labels), matrix.samples)
    population = np.array(matched.column("pop"))
    names, classes = np.unique(population, return_inverse=True)
    groups = np.array(matched.column("super_pop"))
    group_of = np.array([groups[classes == c][0] for c in range(len(names))])
    predicted: dict[str, np.ndarray] = {}
    for old, new in stratified_folds(tuple(population)):
        for name, guesses in fold(genotypes[old], classes[old], genotypes[new], group_of).items():
            predicted.setdefault(name, np.full(len(classes), -1))[new] = guesses
    lines = [
        "| shown labels | accuracy of new people | NMI of predictions | best NMI after merging | classes left |",
        "| --- | --- | --- | --- | --- |",
    ]
    for family in ("naive Bayes", "support vectors"):
        settings = [name for name in predicted if name.startswith(family)]
        best = max(settings, key=lambda name: (predicted[name] == classes).mean())
        guesses = predicted[best]
        merged, left = merge(classes, guesses)
        accuracy, agreement = (guesses == classes).mean(), normalized_mutual_info_score(classes, guesses)
        lines.append(f"| {best} | {accuracy:.3f} | {agreement:.3f} | {merged:.3f} | {left} |")
    table = "\n".join(lines) + "\n"
    print(f"{genotypes.shape[0]} people, {genotypes.shape[1]} sites, {len(names)} populations\n\n{table}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "ceiling.md").write_text(table)


def fold(old: np.ndarray, classes: np.ndarray, new: np.ndarray, group_of: np.ndarray) -> dict[str, np.ndarray]:
    """Predicted classes of ``new``, shape (n_new,), by every setting of both classifiers.

    Args:
        old: Dosages of people whose class is known, shape (n_old, n_variants).
        classes: Their classes, shape (n_old,), int.
        new: Dosages of people to predict, shape (n_new, n_variants).
        group_of: Super-population of each class, shape (n_classes,), str.
    """
    frequency = old.mean(axis=0) / 2
    varies = (frequency > 0) & (frequency < 1)
    old, new, frequency = old[:, varies], new[:, varies], frequency[varies]
    guesses = {f"naive Bayes, a = {a}": naive_bayes(old, classes, new, group_of, a) for a in STRENGTHS}
    scale = np.sqrt(2 * frequency * (1 - frequency))
    x, y = (old - 2 * frequency) / scale, (new - 2 * frequency) / scale
    kernel, query = x @ x.T / len(scale), y @ x.T / len(scale)
    for cost in COSTS:
        machine = SVC(kernel="precomputed", C=cost).fit(kernel, classes)
        guesses[f"support vectors, C = {cost:g}"] = machine.predict(query)
    return guesses


def naive_bayes(
    old: np.ndarray, classes: np.ndarray, new: np.ndarray, group_of: np.ndarray, strength: float
) -> np.ndarray:
    """The population under whose allele frequencies each of ``new`` is likeliest, shape (n_new,), int."""
    everybody = old.mean(axis=0) / 2
    counted = np.stack([old[classes == c].sum(axis=0) for c in range(len(group_of))])
    people = np.bincount(classes, minlength=len(group_of))
    base = np.empty_like(counted)
    for group in np.unique(group_of):
        its = group_of == group
        base[its] = (counted[its].sum(axis=0) + 2 * everybody) / (2 * people[its].sum() + 2)
    f = ((counted + strength * base) / (2 * people[:, None] + strength)).clip(1e-4, 1 - 1e-4)
    likeliest: np.ndarray = (new @ np.log(f.T) + (2 - new) @ np.log1p(-f.T)).argmax(axis=1)
    return likeliest


def merge(truth: np.ndarray, guesses: np.ndarray) -> tuple[float, int]:
    """The best NMI of merging predicted classes, pair by pair down to ``FEWEST``, and how many classes it has."""
    best = (normalized_mutual_info_score(truth, guesses), len(np.unique(guesses)))
    for left in range(len(np.unique(guesses)) - 1, FEWEST - 1, -1):
        names = np.unique(guesses)
        pairs = [(a, b) for i, a in enumerate(names) for b in names[:i]]
        merged = [np.where(guesses == a, b, guesses) for a, b in pairs]
        scores = [normalized_mutual_info_score(truth, one) for one in merged]
        guesses = merged[int(np.argmax(scores))]
        best = max(best, (max(scores), left))
    return best


if __name__ == "__main__":
    main()
