"""The most similar reference population of new samples.

classify_run   RUN/ + reference populations + read -> match and check -> project -> PREFIX.classes.tsv, .classes.json

Reference populations come from labelled genotypes of the people that the model was trained on (and others, if there
are any), or from the file that an earlier run kept of them.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from genovi.calibration import Scores, digest_of, fit_populations
from genovi.embedding import Embedding
from genovi.errors import ConfigError, MismatchError
from genovi.files import atomic_path, check_writable
from genovi.genotypes.matching import VariantMatch
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.suitability import Demands
from genovi.labels import SampleLabels
from genovi.placing import (
    embedding_seed,
    fit_input,
    known_by_name,
    known_positions,
    place_new,
    warn_of_misfits,
)
from genovi.populationfile import read_populations, write_populations
from genovi.populations import CURVES, Panel, Populations, Prediction
from genovi.provenance import Provenance
from genovi.seeding import Seeds
from genovi.structure.projection import sample_blocks
from genovi.trained import TrainedModel
from genovi.training.device import choose_device, set_threads

logger = logging.getLogger("genovi")

UNASSIGNED = "unassigned"
TOP = 3


@dataclass(frozen=True)
class Reference:
    """Labelled genotypes from which reference populations are made.

    Attributes:
        inputs: Genotype files; several are one input.
        labels: Labels of these people.
        population: Column of populations; None guesses it.
        group: Column of what they belong to; None guesses it.
    """

    inputs: Sequence[Path | GenotypeMatrix]
    labels: SampleLabels
    population: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Classified:
    """Samples and their most similar reference populations.

    Attributes:
        embedding: Where the model places the samples.
        again: Which of them are training samples, shape (n_samples,), bool.
        odd: Which the model does not describe (MISFIT), shape (n_samples,), bool.
        populations: The reference.
        prediction: What they say of each sample.
        max_error: Answers have a probability of at least 1 - ``max_error``.
    """

    embedding: Embedding
    again: np.ndarray
    odd: np.ndarray
    populations: Populations
    prediction: Prediction
    max_error: float

    @property
    def unlike(self) -> np.ndarray:
        """Samples like no reference population, shape (n_samples,), bool."""
        return self.prediction.unlike | self.odd

    def answers(self, level: int) -> list[str]:
        """For each sample the most similar population at a level, or "unassigned"."""
        log_probability = self.prediction.log_probability[level]
        best = log_probability.argmax(axis=1)
        # six digits, as the table shows them
        sure = np.round(np.exp(log_probability.max(axis=1)), 6) >= round(1 - self.max_error, 9)
        names = self.populations.choices[level]
        return [names[c] if ok else UNASSIGNED for c, ok in zip(best, sure & ~self.unlike, strict=True)]

    def table(self) -> pd.DataFrame:
        """One row for each sample, see docs/files.md."""
        answers = [self.answers(level) for level in range(len(self.populations.levels))]
        finest = ["none"] * len(self.embedding.samples)
        for level, given in reversed(list(zip(self.populations.levels, answers, strict=True))):
            finest = [old if answer == UNASSIGNED else level for old, answer in zip(finest, given, strict=True)]
        columns: dict[str, Any] = {"IID": list(self.embedding.samples), "LEVEL": finest}
        for i, level in enumerate(self.populations.levels):
            head, names = column_name(level), np.array(self.populations.choices[i], dtype=object)
            probability = np.exp(self.prediction.log_probability[i]).clip(max=1)
            order = np.argsort(-probability, axis=1, kind="stable")
            columns[head] = answers[i]
            for rank in range(min(TOP, len(names))):
                columns[f"{head}_{rank + 1}"] = names[order[:, rank]]
                columns[f"{head}_P{rank + 1}"] = np.take_along_axis(probability, order[:, rank : rank + 1], 1)[:, 0]
        columns["TYPICALITY"] = self.prediction.typicality
        columns["UNLIKE"] = np.where(self.unlike, "yes", "no")
        columns["TRAINING"] = np.where(self.again, "yes", "no")
        columns["MISFIT"], columns["MISSING"] = self.embedding.misfit, self.embedding.missing
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """What the answers are worth, and how many there are; names no sample."""
        known = self.populations
        levels = {}
        for i, trust in enumerate(known.trust):
            shares = dict(zip(CURVES, trust.at(self.max_error), strict=True))
            numbers = {name: value for name, value in asdict(trust).items() if name not in ("level", *CURVES)}
            levels[trust.level] = (
                numbers
                | shares
                | {
                    "populations": len(known.choices[i]),
                    "assigned": sum(answer != UNASSIGNED for answer in self.answers(i)),
                }
            )
        return {
            "max_error": self.max_error,
            "n_samples": len(self.embedding.samples),
            "unlike": int(self.unlike.sum()),
            "training_samples": int(self.again.sum()),
            "levels": levels,
            "temperature": known.temperature,
            "people": dict(zip(known.names, known.counts, strict=True)),
        }

    def quality(self) -> list[str]:
        """How right the answers are, for people to read."""
        lines = []
        for i, trust in enumerate(self.populations.trust):
            coverage, error, absent, absent_error = trust.at(self.max_error)
            # at the finest level whoever is assigned in spite of that is assigned wrongly
            which = f", {absent_error:.1%} of these wrongly" if i else ""
            lines.append(
                f"{trust.level}: of {trust.n} reference people classified as new ones, {coverage:.1%} are assigned, "
                f"{error:.1%} of these wrongly; calibration error {trust.calibration_error:.3f}; most similar "
                f"population right for {trust.accuracy:.1%}; were their own population not in the panel, {absent:.1%} "
                f"would be assigned all the same{which}".replace("%", " %")
            )
        return lines


@dataclass(frozen=True)
class ClassifySummary:
    """What classifying made.

    Attributes:
        classified: The answers.
        match: How the model's variants were found.
        files: Files written.
        provenance: The finished record.
    """

    classified: Classified
    match: VariantMatch
    files: tuple[Path, ...]
    provenance: Provenance

    def lines(self) -> list[str]:
        """For people to read."""
        found = self.classified.to_dict()
        said = [f"{level['assigned']} assigned at {name}" for name, level in found["levels"].items()]
        said.append(f"{found['unlike']} unlike all reference populations")
        n = found["n_samples"]
        return [
            f"classified {n} samples with {self.match.describe()}",
            f"most similar reference population: {', '.join(said)}",
            *([f"{found['training_samples']} of them are training samples"] if found["training_samples"] else []),
            f"{self.provenance.wall_seconds:.0f} s; wrote {', '.join(str(f) for f in self.files)}",
        ]


def column_name(level: str) -> str:
    """Head of the columns of a level: its name in capitals, with _ for what is no letter or digit."""
    return re.sub(r"\W+", "_", level).upper()


def classify_run(
    run: Path,
    inputs: Sequence[Path],
    prefix: Path,
    source: Reference | Path,
    *,
    max_error: float = 0.05,
    demands: Demands | None = None,
    device: str = "auto",
    threads: int | None = None,
    provenance: Provenance,
    force: bool = False,
) -> ClassifySummary:
    """Find the most similar reference population of new samples.

    Args:
        run: Folder of the model.
        inputs: Genotype files; several are one input.
        prefix: Outputs are ``prefix`` + ".classes.tsv", ".classes.json" and, with a ``Reference``, ".populations.json".
        source: Labelled genotypes, or the file of populations that were made of some earlier.
        max_error: Answers have a probability of at least 1 - ``max_error``.
        demands: How variants are matched, and what the input must have.
        device: As in ``TrainingConfig``.
        threads: CPU threads.
        provenance: Started; is finished here.
        force: Overwrite outputs.

    Raises:
        ConfigError: ``max_error`` is no share, or an output is there already.
        MismatchError: the data or the populations do not suit the model.
        GenoviError: its other children, for bad input or lack of resources.
    """
    check_max_error(max_error)
    fits = isinstance(source, Reference)
    names = [".classes.tsv", ".classes.json", *([".populations.json"] if fits else [])]
    files = tuple(prefix.with_name(prefix.name + suffix) for suffix in names)
    for file in files:
        check_writable(file, force)
    chosen = choose_device(device)
    set_threads(threads)
    trained = TrainedModel.load(run)
    known = known_positions(run)
    if isinstance(source, Reference):
        populations = make_populations(trained, str(run), source, known, demands)
    else:
        populations = _checked(read_populations(source), trained, source)
    aligned, found, _, _ = fit_input(trained, str(run), inputs, demands)
    classified = classify(trained, aligned, populations, known, max_error, chosen)
    provenance.finish()
    for line in classified.quality():
        logger.info(line)
    with ExitStack() as stack:  # all files are complete before the first is renamed
        temporary = [stack.enter_context(atomic_path(file)) for file in files]
        classified.table().to_csv(
            temporary[0], sep="\t", index=False, lineterminator="\n", float_format="%.6g", quoting=3, escapechar="\\"
        )
        record = classified.to_dict() | {"provenance": provenance.to_dict()}
        temporary[1].write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        if fits:
            write_populations(populations, temporary[2])
    return ClassifySummary(classified, found, files, provenance)


def check_max_error(max_error: float) -> None:
    """Refuse what is no share of wrong answers.

    Raises:
        ConfigError: it is not above 0 and below 1.
    """
    if not 0 < max_error < 1:
        raise ConfigError("--max-error must lie between 0 and 1", where=max_error, fix="--max-error 0.05")


def make_populations(
    trained: TrainedModel,
    name: str,
    reference: Reference,
    known: Embedding | None,
    demands: Demands | None,
) -> Populations:
    """Reference populations of a model from labelled genotypes.

    Args:
        trained: The model.
        name: Its name, for messages.
        reference: The genotypes and their labels.
        known: Embedding of the training samples, by which they are told among the reference people.
        demands: How variants are matched.

    Raises:
        ConfigError: the model came without that embedding.
        GenoviError: its other children, for bad input.
    """
    if known is None:
        raise ConfigError(
            "the model came without the embedding of its training samples",
            where=name,
            why="these have to be told among the reference people",
            fix="use the folder that genovi train wrote, and keep PREFIX.populations.json for use with the export",
        )
    aligned, _, _, _ = fit_input(trained, name, reference.inputs, demands)
    panel = Panel.of(reference.labels, aligned.samples, reference.population, reference.group)
    trained_on = known_by_name(trained, aligned, known)
    logger.info(
        "%d populations of %d people, %d of whom the model was trained on",
        len(panel.names), (panel.member >= 0).sum(), (trained_on & (panel.member >= 0)).sum(),
    )  # fmt: skip
    return fit_populations(trained.axes, trained.standardiser, aligned, trained_on, panel, Seeds(trained.seed))


def _checked(populations: Populations, trained: TrainedModel, path: Path) -> Populations:
    if populations.model != digest_of(trained.axes) or populations.classes.mean.shape[1] != trained.axes.n_axes:
        raise MismatchError(
            "these reference populations belong to another model",
            where=path,
            why="components of one model mean nothing to another",
            fix="make them again with --reference and --labels",
        )
    return populations


def classify(
    trained: TrainedModel,
    matrix: GenotypeMatrix,
    populations: Populations,
    known: Embedding | None,
    max_error: float,
    device: torch.device,
) -> Classified:
    """Samples against reference populations.

    Args:
        trained: The model.
        matrix: Genotypes aligned to its variants, absent ones missing.
        populations: Made for this model.
        known: Embedding of the training samples; None where it is not at hand, and all are taken for new ones.
        max_error: As in ``classify_run``.
        device: Where to compute.
    """
    embedding, again = place_new(trained, matrix, embedding_seed(trained.seed), device, known)
    odd = warn_of_misfits(embedding, trained)
    parts: list[Prediction] = []
    order: list[np.ndarray] = []
    for training in (False, True):
        rows = np.flatnonzero(again == training)
        order.append(rows)
        for part in sample_blocks(matrix.take_samples(rows)) if len(rows) else ():
            scores = Scores.of(trained.axes, trained.standardiser, part, training)
            parts.append(populations.predict(scores.x, scores.excess))
    back = np.argsort(np.concatenate(order), kind="stable")
    levels = range(len(populations.levels))
    prediction = Prediction(
        tuple(np.concatenate([part.log_probability[i] for part in parts])[back] for i in levels),
        np.concatenate([part.typicality for part in parts])[back],
        np.concatenate([part.unlike for part in parts])[back],
    )
    return Classified(embedding, again, odd, populations, prediction, max_error)
