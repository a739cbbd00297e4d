"""genovi classify on people it has not seen: are its probabilities right, and what becomes of a population it lacks?

    python benchmarks/classify.py [--out DIR] [--seed 1] [--parts features new missing left-out] [--cohorts kgp3 ...]

Needs the folder of real data, $GENOVI_REAL_DATA. Quality control is that of ``genovi train``, on everybody. A model is
trained with the defaults on 80 % of the people (split by the seed, stratified by population); populations are made of
them; the other 20 % are new.

features   what tells populations best, by the log loss of new people: components, positions on the map, or both, each
           as populations of genovi.populations, their temperature from 5 folds of the training people; 20 neighbours
new        accuracy, calibration error, coverage and error at --max-error 0.05: promised (from held-out reference
           people) and found (on the new people)
missing    the same new people with genotypes taken out at random
left-out   kgp3 without one population, from the axes on (components alone: MISFIT, which would flag more, takes a
           model): what the populations of all others say of its people
Writes DIR/classify-PART.md.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from cohorts import COHORTS, DATA, Cohort
from scipy.special import logsumexp
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier

from genovi.calibration import Scores, fit_populations
from genovi.classifying import Classified, Reference, classify, make_populations
from genovi.embedding import Embedding
from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.matching import align, match_variants
from genovi.genotypes.matrix import GenotypeMatrix, pack
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.labels import join_groups, match, read_labels
from genovi.model.config import ModelConfig
from genovi.pipeline import RunConfig, train_run
from genovi.placing import embedding_seed, place
from genovi.populations import (
    PULLS,
    Classes,
    Panel,
    Trust,
    are_unlike,
    choose_temperature,
    group_probabilities,
    tempered,
    typicality,
    without_own,
)
from genovi.preparing import MAX_AXES, choose_axes
from genovi.provenance import Provenance
from genovi.seeding import Seeds
from genovi.structure.pca import fit_axes
from genovi.structure.standardise import Standardiser
from genovi.trained import TrainedModel
from genovi.training.config import TrainingConfig
from genovi.training.monitor import Monitor

ALL = COHORTS | {"kgp3": Cohort("kgp3/kgp3.bed", "kgp3/labels.tsv")}
LEFT_OUT = ("FIN", "GBR", "GIH", "JPT", "LWK", "PEL", "PUR")
NO_QC = QCConfig(maf=1e-9, geno=1.0, mind=1.0, indep_pairwise=None, long_range_ld=True)
CPU = torch.device("cpu")


class Split:
    """A cohort with a model of 80 % of its people."""

    def __init__(self, name: str, seed: int, out: Path) -> None:
        cohort = ALL[name]
        self.name, self.labels = name, read_labels(DATA / cohort.labels)
        if cohort.groups:
            self.labels = join_groups(self.labels, DATA / cohort.groups, on="pop")
        matrix, _ = apply_qc(open_genotypes([DATA / cohort.genotypes]), QCConfig())
        column = self.labels.default_population_column()
        population = np.array(match(self.labels, matrix.samples).column(column))
        counts = Counter(population)
        enough = np.flatnonzero([counts[one] >= 15 for one in population])
        matrix, population = matrix.take_samples(enough), population[enough]
        splitter = StratifiedShuffleSplit(1, test_size=0.2, random_state=seed)
        old, new = (np.sort(part) for part in next(splitter.split(population, population)))
        self.old, self.new = matrix.take_samples(old), matrix.take_samples(new)
        self.population = population[new]
        run = out / f"classify.{name}.{seed}"
        if not run.exists():
            train_run(
                [self.old],
                run,
                RunConfig(NO_QC, ModelConfig(), TrainingConfig(), None, seed),
                labels=None,
                provenance=Provenance.start(seed=seed, command="benchmarks/classify.py"),
                monitor=Monitor(),
                log_lines=str,
                force=False,
            )
        self.trained = TrainedModel.load(run)
        self.known = Embedding.read_tsv(run / "embedding.tsv")
        self.populations = make_populations(self.trained, name, Reference([self.old], self.labels), self.known, None)

    def aligned(self, matrix: GenotypeMatrix) -> GenotypeMatrix:
        """In the order and coding of the model."""
        return align(matrix, match_variants(self.trained.standardiser.variants, matrix.variants))

    def judge(self, matrix: GenotypeMatrix) -> tuple[Classified, list[Trust]]:
        """Answers for ``matrix``, whose people are the new ones."""
        found = classify(self.trained, self.aligned(matrix), self.populations, None, 0.05, CPU)
        known, judged = self.populations, []
        group_of = dict(zip(known.names, known.groups, strict=False))
        own = np.array([known.names.index(one) for one in self.population])
        fine = without_own(found.prediction.log_probability[0], own)
        scores = Scores.of(self.trained.axes, self.trained.standardiser, self.aligned(matrix), False)
        _, square = known.classes.measure(scores.x, scores.excess)
        square[np.arange(len(own)), own] = np.inf
        others = are_unlike(typicality(square.min(axis=1), known.distances, known.n_people), known.n_people)
        without = (fine, group_probabilities(fine, known.groups)) if known.groups else (fine,)
        for i, level in enumerate(known.levels):
            truth = self.population if i == 0 else [group_of[one] for one in self.population]
            member = np.array([known.choices[i].index(one) for one in truth])
            answers = found.prediction.log_probability[i]
            judged.append(Trust.of(level, answers, member, found.unlike, without[i], others))
        return found, judged


def features(split: Split) -> list[str]:
    """Lines of the table of features."""
    trained, names = split.trained, split.populations.names
    panel = Panel.of(split.labels, split.old.samples, None, None)
    new = np.array([names.index(one) for one in split.population])
    old_x = Scores.of(trained.axes, trained.standardiser, split.aligned(split.old), True).x
    new_x = Scores.of(trained.axes, trained.standardiser, split.aligned(split.new), False).x
    placed = place(trained, split.aligned(split.new), embedding_seed(trained.seed), CPU)
    unit = split.known.mean.std()
    old_z, new_z = split.known.mean / unit, placed.mean / unit
    sets = {
        f"{old_x.shape[1]} components": (old_x, new_x),
        "positions on the map": (old_z, new_z),
        "both": (np.hstack([old_x, old_z]), np.hstack([new_x, new_z])),
    }
    lines = []
    for what, (old, fresh) in sets.items():
        folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(old, panel.member))
        found = []
        for pull in PULLS:
            held_out = np.empty((len(old), len(names)))
            for inside, outside in folds:
                classes = Classes.fit(old[inside], panel.member[inside], len(names), pull)
                held_out[outside] = classes.measure(old[outside], None)[0]
            temperature, loss = choose_temperature(held_out, panel.member)
            found.append((loss, pull, temperature))
        loss, pull, temperature = min(found)
        density, _ = Classes.fit(old, panel.member, len(names), pull).measure(fresh, None)
        trust = _judged(what, tempered(density, temperature), new)
        lines.append(f"| {split.name} | {what} | {trust.log_loss:.3f} | {trust.accuracy:.3f} |")
        nearest = KNeighborsClassifier(20).fit(old, panel.member)
        shares = np.zeros((len(fresh), len(names)))
        shares[:, nearest.classes_] = nearest.predict_proba(fresh)
        shares = np.log((20 * shares + 1) / (20 + len(names)))
        trust = _judged(what, shares - logsumexp(shares, axis=1, keepdims=True), new)
        lines.append(f"| {split.name} | {what}, 20 neighbours | {trust.log_loss:.3f} | {trust.accuracy:.3f} |")
    return ["| cohort | features | log loss | accuracy |", "| --- | --- | --- | --- |", *lines]


def _judged(what: str, log_probability: np.ndarray, member: np.ndarray) -> Trust:
    nobody = np.zeros(len(member), dtype=bool)
    return Trust.of(what, log_probability, member, nobody, without_own(log_probability, member), nobody)


def new_people(split: Split) -> list[str]:
    """Lines of the table of new people."""
    head = "| cohort, level | people | accuracy | log loss | calibration error | assigned | of these wrongly | "
    head += "assigned without their own population | of these wrongly |"
    lines = [head, "| --- " * 9 + "|"]
    _, judged = split.judge(split.new)
    for promised, found in zip(split.populations.trust, judged, strict=True):
        for what, trust in (("held out", promised), ("new", found)):
            shares = " | ".join(f"{share:.3f}" for share in trust.at(0.05))
            lines.append(
                f"| {split.name}, {trust.level} | {what}, {trust.n} | {trust.accuracy:.3f} | {trust.log_loss:.3f} | "
                f"{trust.calibration_error:.3f} | {shares} |"
            )
    return lines


def missing(split: Split) -> list[str]:
    """Lines of the table of missing genotypes."""
    head = "| cohort, level | missing | accuracy | mean highest probability | calibration error | assigned | wrongly | "
    head += "unlike |"
    lines = [head, "| --- " * 8 + "|"]
    rng = np.random.default_rng(1)
    for share in (0.0, 0.5, 0.9, 0.99):
        dosages = split.new.dosages().copy()
        dosages[rng.random(dosages.shape) < share] = -1
        found, judged = split.judge(GenotypeMatrix(pack(dosages), split.new.samples, split.new.variants))
        for i, trust in enumerate(judged):
            coverage, error, *_ = trust.at(0.05)
            best = np.exp(found.prediction.log_probability[i].max(axis=1)).mean()
            lines.append(
                f"| {split.name}, {trust.level} | {100 * share:.0f} % | {trust.accuracy:.3f} | {best:.3f} | "
                f"{trust.calibration_error:.3f} | {coverage:.3f} | {error:.3f} | {found.unlike.mean():.3f} |"
            )
    return lines


def left_out(seed: int) -> list[str]:
    """Lines of the table of populations left out."""
    labels = read_labels(DATA / "kgp3" / "labels.tsv")
    matrix, _ = apply_qc(open_genotypes([DATA / "kgp3" / "kgp3.bed"]), QCConfig())
    population, group = (np.array(match(labels, matrix.samples).column(name)) for name in ("pop", "super_pop"))
    head = "| left out | people | unlike | unassigned at pop | most similar (share, mean probability) | "
    lines = [head + "assigned at super_pop | of these to its own |", "| --- " * 7 + "|"]
    for name in LEFT_OUT:
        out = population == name
        rest = matrix.take_samples(np.flatnonzero(~out))
        kept, axes, standardiser = _axes(rest, seed)
        rest, people = rest.take_variants(kept), matrix.take_variants(kept).take_samples(np.flatnonzero(out))
        everybody = np.ones(rest.n_samples, dtype=bool)
        panel = Panel.of(labels, rest.samples, None, None)
        known = fit_populations(axes, standardiser, rest, everybody, panel, Seeds(seed))
        scores = Scores.of(axes, standardiser, people, False)
        lines.append(_left_out_line(name, str(group[out][0]), known, known.predict(scores.x, scores.excess)))
        print(lines[-1], flush=True)
    return lines


def _axes(matrix: GenotypeMatrix, seed: int):  # type: ignore[no-untyped-def]
    counted, observed = np.maximum(matrix.dosages(), 0).sum(1), (matrix.dosages() >= 0).sum(1)
    kept = np.flatnonzero((counted > 0) & (counted < 2 * observed))
    matrix = matrix.take_variants(kept)
    standardiser = Standardiser.fit(matrix)
    axes, _ = fit_axes(matrix, standardiser, MAX_AXES, Seeds(seed))
    return kept, axes.first(choose_axes(axes.noise, None, axes.n_samples, axes.n_axes)), standardiser


def _left_out_line(name, group, known, prediction) -> str:  # type: ignore[no-untyped-def]
    unlike = prediction.unlike
    fine, coarse = (np.exp(each) for each in prediction.log_probability)
    assigned, above = (fine.max(1) >= 0.95) & ~unlike, (coarse.max(1) >= 0.95) & ~unlike
    nearest, count = Counter(fine.argmax(1)).most_common(1)[0]
    right = (coarse.argmax(1) == known.choices[1].index(group))[above]
    return (
        f"| {name} | {len(unlike)} | {unlike.mean():.3f} | {1 - assigned.mean():.3f} | {known.names[nearest]} "
        f"({count / len(unlike):.2f}, {fine[:, nearest][fine.argmax(1) == nearest].mean():.2f}) | {above.mean():.3f} | "
        f"{right.mean() if len(right) else float('nan'):.3f} |"
    )


PARTS = {"features": features, "new": new_people, "missing": missing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parts", nargs="+", default=[*PARTS, "left-out"], choices=[*PARTS, "left-out"])
    parser.add_argument("--cohorts", nargs="+", default=["kgp3", "hapmap3"], choices=list(ALL))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    logging.getLogger("genovi").setLevel(logging.ERROR)
    tables: dict[str, list[str]] = {}
    if set(arguments.parts) & PARTS.keys():
        for name in arguments.cohorts:
            split = Split(name, arguments.seed, arguments.out)
            for part in [part for part in PARTS if part in arguments.parts]:
                lines = PARTS[part](split)
                print("\n".join(lines), flush=True)
                tables[part] = tables.get(part, lines[:2]) + lines[2:]
    if "left-out" in arguments.parts:
        tables["left-out"] = left_out(arguments.seed)
    for part, lines in tables.items():
        (arguments.out / f"classify-{part}.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
