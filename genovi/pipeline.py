"""The main job: genotypes to a trained model.

train_run    read -> quality control -> principal axes -> model -> RUN/
assist_run   what ranks other than 0 do meanwhile: their parts of the principal axes and of training
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genovi.errors import ConfigError
from genovi.files import atomic_folder, check_writable
from genovi.genotypes.batches import joined_name
from genovi.genotypes.diploidy import check_diploid
from genovi.genotypes.filtering import filter_sources
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.memory import plan_memory
from genovi.genotypes.pipes import is_pipe
from genovi.genotypes.quality import QCConfig, QCReport
from genovi.genotypes.reading import describe, open_sources
from genovi.labels import SampleLabels, match
from genovi.model.config import ModelConfig
from genovi.model.rows import Data, GenotypeRows, Sites
from genovi.placing import (
    check_observed,
    class_shares,
    class_table,
    embedding_seed,
    misfit_quantiles,
    missing_shares,
    place,
    place_relatives,
)
from genovi.preparing import (
    FittedComponents,
    assist_components,
    check_axes,
    check_samples,
    fit_components,
    nameless,
    refuse_axes,
)
from genovi.provenance import Provenance
from genovi.ranks import ALONE, Ranks
from genovi.seeding import Seeds
from genovi.summaries import TrainSummary, measure_bounds
from genovi.trained import TrainedModel, genotypes_of, sites_of
from genovi.training.checkpointing import SUFFIX, Checkpoints
from genovi.training.config import TrainingConfig
from genovi.training.device import choose_device
from genovi.training.loop import fit
from genovi.training.monitor import Monitor, history_csv
from genovi.training.objectives import choose_objective
from genovi.training.outcome import DivergedError, Fit
from genovi.training.semisupervised import KnownClasses, SemiSupervised, check_labels

logger = logging.getLogger("genovi")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides what ``train_run`` does, with the data.

    Attributes:
        qc: Quality control.
        model: Shape of the model.
        training: Optimisation.
        pcs: Principal components given to the model; None chooses by the noise floor (see ``choose_axes``).
        seed: Root seed.
        memory: Most memory while reading, in MiB; None for half of what is free.
        semi_supervised: Label column whose values training is to learn; None keeps all labels from it.
    """

    qc: QCConfig
    model: ModelConfig
    training: TrainingConfig
    pcs: int | None
    seed: int
    memory: float | None = None
    semi_supervised: str | None = None


@dataclass(frozen=True)
class CheckpointConfig:
    """How a run outlives being stopped.

    Attributes:
        every: Minutes between checkpoints; 0 writes one after every epoch.
        resume: Whether to go on from a checkpoint that is there.
        folder: Where checkpoints lie; None takes ``RUN.checkpoint``, beside the folder of the run.

    Raises:
        ConfigError: a negative time.
    """

    every: float = 5.0
    resume: bool = True
    folder: Path | None = None

    def __post_init__(self) -> None:
        if not self.every >= 0:
            raise ConfigError("--checkpoint-every must not be negative", where=self.every)

    def folder_of(self, out: Path) -> Path:
        """Where checkpoints of the run ``out`` lie."""
        return self.folder if self.folder is not None else out.with_name(out.name + SUFFIX)


def plan_run(inputs: Sequence[Path], config: RunConfig, labels: SampleLabels | None = None) -> list[str]:
    """What ``train_run`` would do, without training.

    Raises:
        GenoviError: its children, as ``train_run`` for what the samples' names alone say.
    """
    _check_names(inputs, config, labels)
    found = describe(inputs)
    epochs = config.training.epochs_for(config.model, found.n_samples)
    return [
        *(f"would read {f.path}: {f.format}, {f.n_samples} samples x {f.n_variants} variants" for f in found.files),
        f"would filter with {config.qc.words()}",
        f"would train a {config.model.posterior} posterior on {choose_device(config.training.device)}, "
        f"at most {epochs} epochs",
        "would write model.safetensors, model.json, variants.tsv.gz, embedding.tsv, history.csv, qc.json, genovi.log",
    ]


def _check_names(inputs: Sequence[Path], config: RunConfig, labels: SampleLabels | None) -> None:
    """Refuse what no quality control can mend: too few samples, or labels of none of them."""
    if any(is_pipe(path) for path in inputs):  # it can be read only once
        return
    with open_sources(inputs) as sources:
        samples, name = sources[0].samples, joined_name([source.name for source in sources])
    check_samples(len(samples), name)
    n = len(samples) if config.qc.keep is None else min(len(samples), len(config.qc.keep))
    refuse_axes(config.pcs, n - 1, f"{n} samples")
    if config.semi_supervised is not None:
        KnownClasses.of(config.semi_supervised, labels, samples)
    elif labels is not None:
        match(labels, samples)


def train_run(
    inputs: Sequence[Path | GenotypeMatrix],
    out: Path,
    config: RunConfig,
    *,
    labels: SampleLabels | None,
    provenance: Provenance,
    monitor: Monitor,
    log_lines: Callable[[], str],
    force: bool,
    checkpointing: CheckpointConfig | None = None,
    ranks: Ranks = ALONE,
) -> TrainSummary:
    """Train on genotypes and write the folder ``out``.

    Args:
        inputs: Genotype files, or genotypes in memory; several are one input.
        out: Folder to write, under a temporary name until complete.
        config: What to do.
        labels: Only counted against the samples; training sees the column ``config.semi_supervised`` alone.
        provenance: Started; is finished here.
        monitor: Is told of every epoch.
        log_lines: Text for ``genovi.log``.
        force: Overwrite ``out``.
        checkpointing: Keep the state of training on disk until ``out`` is written; None keeps none.
        ranks: Who share the work; rank 0 calls this, and all others ``assist_run`` with the same ``config``.

    Raises:
        GenoviError: its children, for bad input, data that do not fit, or lack of resources.
        InterruptedRunError: the monitor asked to stop.
        DivergedError: the loss became infinite; the last good weights are written to ``out`` + ".diverged".
    """
    check_writable(out, force)
    choose_device(config.training.device)
    check_labels(config.semi_supervised, labels, config.model)
    if not ranks.alone:
        logger.info("%d processes share the work", ranks.size)
    cohort = _prepare(inputs, config, labels, out.parent, ranks)
    seen = cohort.components
    known = KnownClasses.of(config.semi_supervised, labels, cohort.matrix.samples)
    checkpoints = None if checkpointing is None else _checkpoints(out, config, checkpointing, known)
    task = _Task(seen.x, seen.noise_floor, known, cohort.sites)
    ranks.same(task)
    if cohort.binomial:
        ranks.dealt(cohort.matrix.packed, whole=True)
    try:
        trained = task.fit(config, monitor, checkpoints, cohort.matrix, ranks)
    except DivergedError as error:
        if error.fit.history:
            aside = out.with_name(out.name + ".diverged")
            _write_run(aside, error.fit, cohort, config, provenance, log_lines, known)
            logger.warning("wrote the last good weights to %s", aside)
        raise
    outcome = _write_run(out, trained, cohort, config, provenance, log_lines, known)
    if checkpoints is not None:
        checkpoints.remove()
    return outcome


def assist_run(config: RunConfig, monitor: Monitor, ranks: Ranks) -> None:
    """Do the part of a rank other than 0 in ``train_run``; all that it needs comes from rank 0.

    Raises:
        GenoviError: as ``train_run`` where all ranks meet the same, and where another rank is gone.
    """
    assist_components(Seeds(config.seed), ranks)
    nothing: _Task | None = None
    task = ranks.same(nothing)
    assert task is not None
    matrix = None if task.sites is None else nameless(ranks.dealt(None, whole=True), len(task.x))
    task.fit(config, monitor, None, matrix, ranks)


@dataclass(frozen=True)
class _Task:
    """What training needs besides the configuration: all ranks have it.

    Attributes:
        x: Noise-scaled components, shape (n, k).
        noise_floor: Least noise standard deviation of each, shape (k,).
        known: Labels to learn, None for none.
        sites: Of a likelihood of genotypes, None for one of components.
    """

    x: np.ndarray
    noise_floor: np.ndarray
    known: KnownClasses | None
    sites: Sites | None

    def fit(
        self,
        config: RunConfig,
        monitor: Monitor,
        checkpoints: Checkpoints | None,
        matrix: GenotypeMatrix | None,
        ranks: Ranks,
    ) -> Fit:
        shape, objective = config.model, None
        if self.known is not None:
            shape = replace(shape.for_cohort(len(self.x)), classes=len(self.known.names))
            objective = SemiSupervised(choose_objective(shape, config.training), self.x, self.known, ranks)
        genotypes = None if matrix is None or self.sites is None else (genotypes_of(matrix), self.sites)
        return fit(
            self.x, shape, config.training, Seeds(config.seed), monitor, self.noise_floor, checkpoints, objective,
            genotypes, ranks,
        )  # fmt: skip


def _checkpoints(
    out: Path, config: RunConfig, checkpointing: CheckpointConfig, known: KnownClasses | None
) -> Checkpoints:
    """Two runs may share checkpoints if all that decides the result is the same, the number of threads apart."""
    training = asdict(config.training) | {"device": choose_device(config.training.device).type}
    del training["threads"]
    # both have steps: those of the chain, which --steps asks for, have its name
    training["optimiser_steps"] = training.pop("steps")
    identity = {"seed": config.seed, "pcs": config.pcs, **config.qc.thresholds(), **asdict(config.model), **training}
    if known is not None:
        identity["semi_supervised"] = known.identity
    return Checkpoints(checkpointing.folder_of(out), identity, 60 * checkpointing.every, checkpointing.resume)


@dataclass(frozen=True)
class _Cohort:
    """Training samples after quality control: their genotypes, and what the model sees of them."""

    matrix: GenotypeMatrix
    components: FittedComponents
    qc: QCReport
    binomial: bool

    @property
    def sites(self) -> Sites | None:
        """What a likelihood of genotypes knows of its variants; None for one of components."""
        seen = self.components
        return sites_of(seen.axes, seen.standardiser, seen.noise_scale) if self.binomial else None

    @property
    def data(self) -> Data:
        """What the model sees."""
        x = torch.as_tensor(self.components.x, dtype=torch.float32)
        return GenotypeRows.of(x, genotypes_of(self.matrix)) if self.binomial else x


def _prepare(
    inputs: Sequence[Path | GenotypeMatrix],
    config: RunConfig,
    labels: SampleLabels | None,
    folder: Path,
    ranks: Ranks,
) -> _Cohort:
    with open_sources(inputs, config.qc.split_multiallelic) as sources:
        # before quality control, which has other complaints about one sample
        check_samples(len(sources[0].samples), joined_name([source.name for source in sources]))
        matrix, qc = filter_sources(sources, config.qc, plan_memory(config.memory, folder))
    check_samples(matrix.n_samples, matrix.source, qc)
    check_axes(matrix, config.pcs)
    missing = missing_shares(matrix)
    check_observed(missing, matrix)
    if config.model.likelihood == "binomial":
        check_diploid(matrix)
    names = matrix.samples
    if qc.relatives is not None and qc.relatives.matrix.n_samples:
        check_observed(missing_shares(qc.relatives.matrix), qc.relatives.matrix)
        names += qc.relatives.matrix.samples
    if labels is not None:
        _report_labels(labels, names, config.semi_supervised)
    components = fit_components(matrix, config.pcs, Seeds(config.seed), incomplete=bool(missing.any()), ranks=ranks)
    return _Cohort(matrix, components, qc, config.model.likelihood == "binomial")


def _report_labels(labels: SampleLabels, samples: tuple[str, ...], column: str | None) -> None:
    matched = match(labels, samples)
    values = list(matched.labels.columns.values()) if column is None else [matched.column(column)]
    labelled = sum(any(row) for row in zip(*values, strict=True))
    logger.info(
        "labels for %d of %d samples in %s; training %s",
        labelled, len(samples), labels.source,
        "does not see them" if column is None else f"sees column {column} alone",
    )  # fmt: skip


def _write_run(
    out: Path,
    trained: Fit,
    cohort: _Cohort,
    config: RunConfig,
    provenance: Provenance,
    log_lines: Callable[[], str],
    known: KnownClasses | None,
) -> TrainSummary:
    seen = cohort.components
    bounds = measure_bounds(trained, cohort.data, Seeds(config.seed).integer("bounds"))
    model = TrainedModel(
        model=trained.model,
        standardiser=seen.standardiser,
        axes=seen.axes,
        noise_scale=seen.noise_scale,
        seed=config.seed,
        build=cohort.qc.build.build,
        summary={},
    )
    draws, device = embedding_seed(config.seed), choose_device("cpu")
    embedding = place(model, cohort.matrix, draws, device, training=True)
    provenance.finish()
    summary = {
        "qc": _without_names(cohort.qc.to_dict()),
        "training": asdict(config.training),
        "epochs": len(trained.history),
        "ended": trained.reason,
        "settled": None if trained.settled is None else asdict(trained.settled),
        "device": trained.device,
        "threads": trained.threads,
        "bounds": bounds.to_dict(),
        "misfit": misfit_quantiles(embedding),
        "provenance": provenance.to_dict(),
    }
    if known is not None:
        summary["semi_supervised"] = known.to_dict()
    model = replace(model, summary=summary)
    left_out = np.zeros(len(embedding.samples), dtype=bool)
    if cohort.qc.relatives is not None:
        scores = seen.x * seen.noise_scale
        embedding = place_relatives(model, embedding, cohort.qc.relatives, scores, draws, device)
        left_out = np.isin(np.arange(len(embedding.samples)), cohort.qc.relatives.place)
    outcome = TrainSummary(out, model, embedding, left_out, trained, cohort.qc, bounds, provenance)
    for line in outcome.lines():
        logger.info(line)
    with atomic_folder(out) as folder:
        model.save(folder)
        embedding.write_tsv(folder / "embedding.tsv")
        if known is not None:
            shares = class_shares(model, cohort.matrix, draws, device, training=True)
            class_table(shares, known.names, cohort.matrix.samples).to_csv(
                folder / "labels.tsv", sep="\t", index=False, float_format="%.6g", lineterminator="\n"
            )
        (folder / "history.csv").write_text(history_csv(trained.history), encoding="utf-8")
        (folder / "qc.json").write_text(json.dumps(cohort.qc.to_dict(), indent=1) + "\n", encoding="utf-8")
        (folder / "genovi.log").write_text(log_lines(), encoding="utf-8")
    return outcome


def _without_names(record: dict[str, Any]) -> dict[str, Any]:
    """Quality control without the names of samples: a model may be shared, people's names may not."""
    steps = [{key: value for key, value in step.items() if key != "examples"} for step in record["steps"]]
    return {**record, "steps": steps}
