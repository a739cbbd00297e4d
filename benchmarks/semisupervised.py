"""Training with a few labels: accuracy on the people without one, against LDA and a random forest on components.

    python benchmarks/semisupervised.py [--out DIR] [--seeds 1 2] [--labels 1 5 10 50] [--weights 1]

Needs kgp3 of the folder of real data, $GENOVI_REAL_DATA. For each seed and number, so many people of each of the 26
populations are drawn whose label is known (all people of a population with fewer, but ten). ``genovi train
--semi-supervised pop`` sees all people and these labels, LDA and forest the noise-scaled components of the labelled
ones; all of them name the others. LDA has a Ledoit-Wolf covariance; with one person for each population there is none
within populations, and it is the nearest person. The seed is that of training, too.
"Says" is the mean of what probabilities genovi gives its own answers for these others. Writes DIR/semisupervised.md.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from cohorts import DATA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import NearestCentroid

from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.labels import SampleLabels, match, read_labels
from genovi.model.config import ModelConfig
from genovi.pipeline import RunConfig, train_run
from genovi.preparing import fit_components
from genovi.provenance import Provenance
from genovi.seeding import Seeds
from genovi.training import semisupervised
from genovi.training.config import TrainingConfig
from genovi.training.monitor import Monitor

KGP3 = DATA / "kgp3"
MIN_LEFT = 10
TREES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--labels", type=int, nargs="+", default=[1, 5, 10, 50])
    parser.add_argument("--weights", type=float, nargs="+", default=[semisupervised.WEIGHT])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    logging.getLogger("genovi").setLevel(logging.ERROR)
    matrix = open_genotypes([KGP3 / "kgp3.bed"])
    population = np.array(match(read_labels(KGP3 / "labels.tsv"), matrix.samples).column("pop"))
    cleaned, _ = apply_qc(matrix, QCConfig())
    x = fit_components(cleaned, None, Seeds(1), incomplete=False).x
    found: dict[tuple[str, int], list[float]] = {}
    for seed in arguments.seeds:
        for n in arguments.labels:
            known = draw(population, n, seed)
            answers = {"LDA": lda(x, population, known), "random forest": forest(x, population, known, seed)}
            says: dict[str, float] = {}
            for weight in arguments.weights:
                semisupervised.WEIGHT = weight
                name = f"genovi, weight {weight:g}"
                answers[name], probability = trained(matrix, population, known, seed, arguments.out)
                says[name] = float(probability[~known].mean())
            for method, named in answers.items():
                accuracy = float((named == population)[~known].mean())
                found.setdefault((method, n), []).append(accuracy)
                if method in says:
                    found.setdefault((f"{method}, says", n), []).append(says[method])
                print(seed, n, method, f"{accuracy:.3f}", flush=True)
    text = table(found, arguments.labels)
    (arguments.out / "semisupervised.md").write_text(text)
    print(text)


def draw(population: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Whose label is known, shape (n_samples,), bool."""
    rng = np.random.default_rng([seed, n])
    known = np.zeros(len(population), dtype=bool)
    for one in np.unique(population):
        rows = rng.permutation(np.flatnonzero(population == one))
        known[rows[: min(n, len(rows) - MIN_LEFT)]] = True
    return known


def lda(x: np.ndarray, population: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Populations by linear discriminants of the labelled people, shape (n_samples,), str."""
    if known.sum() == len(np.unique(population)):
        return np.asarray(NearestCentroid().fit(x[known], population[known]).predict(x))
    classes = len(np.unique(population))
    machine = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=np.full(classes, 1 / classes))
    return np.asarray(machine.fit(x[known], population[known]).predict(x))


def forest(x: np.ndarray, population: np.ndarray, known: np.ndarray, seed: int) -> np.ndarray:
    """Populations by a random forest, shape (n_samples,), str."""
    machine = RandomForestClassifier(TREES, random_state=seed)
    return np.asarray(machine.fit(x[known], population[known]).predict(x))


def trained(
    matrix: GenotypeMatrix, population: np.ndarray, known: np.ndarray, seed: int, out: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Populations by ``genovi train --semi-supervised pop``, shape (n_samples,), str, and their probabilities."""
    values = tuple(np.where(known, population, "").tolist())
    run = out / "semisupervised"
    train_run(
        [matrix],
        run,
        RunConfig(QCConfig(), ModelConfig(), TrainingConfig(), None, seed, semi_supervised="pop"),
        labels=SampleLabels(matrix.samples, {"pop": values}),
        provenance=Provenance.start(seed=seed, command="benchmarks/semisupervised.py"),
        monitor=Monitor(),
        log_lines=str,
        force=True,
    )
    table = pd.read_csv(run / "labels.tsv", sep="\t", dtype={"CLASS": str}, keep_default_na=False).set_index("IID")
    table = table.loc[list(matrix.samples)]
    return np.asarray(table["CLASS"]), np.asarray(table["CLASS_PROB"])


def table(found: dict[tuple[str, int], list[float]], numbers: list[int]) -> str:
    """Mean over seeds, ± half the range."""
    lines = ["| method | " + " | ".join(f"{n} for each" for n in numbers) + " |", "| --- " * (len(numbers) + 1) + "|"]
    for method in dict.fromkeys(method for method, _ in found):
        cells = [f"{np.mean(v):.3f} ± {np.ptp(v) / 2:.3f}" for v in (found[method, n] for n in numbers)]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
