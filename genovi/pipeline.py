"""The main job: genotypes to a trained model.

train_run   read -> quality control -> principal axes -> model -> RUN/
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from genovi.errors import ConfigError, DataError
from genovi.files import atomic_folder, check_writable
from genovi.genotypes.batches import joined_name
from genovi.genotypes.filtering import filter_sources
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.memory import plan_memory
from genovi.genotypes.quality import QCConfig, QCReport
from genovi.genotypes.reading import describe, open_sources
from genovi.labels import SampleLabels, match
from genovi.model.config import ModelConfig
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
from genovi.provenance import Provenance
from genovi.seeding import Seeds
from genovi.structure.noise import NoiseFloor
from genovi.structure.pca import PrincipalAxes, fit_axes
from genovi.structure.projection import project, sample_blocks
from genovi.structure.standardise import Standardiser
from genovi.summaries import TrainSummary, measure_bounds
from genovi.trained import TrainedModel
from genovi.training.checkpointing import SUFFIX, Checkpoints
from genovi.training.config import TrainingConfig
from genovi.training.device import choose_device
from genovi.training.loop import DivergedError, Fit, fit
from genovi.training.monitor import Monitor, history_csv
from genovi.training.objectives import choose_objective
from genovi.training.semisupervised import KnownClasses, SemiSupervised, check_labels

logger = logging.getLogger("genovi")

MAX_AXES = 100
MIN_AXES = 4
SAMPLES_PER_AXIS = 50
MIN_SAMPLES = 10


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


def choose_axes(noise: NoiseFloor, pcs: int | None, n_samples: int, available: int) -> int:
    """Number of principal components that the model takes.

    ``pcs`` if given. Otherwise those above the noise edge, twice as many more (weak structure lies under it, and the
    likelihood learns each component's noise) and a few; but not more than one for ``SAMPLES_PER_AXIS`` samples, because
    later components of a small cohort carry families and single samples, which take the map away from populations
    (see benchmarks/README.md); and at least ``MIN_AXES``.
    """
    if pcs is not None:
        return pcs
    wanted = min(3 * noise.significant + 4, n_samples // SAMPLES_PER_AXIS, MAX_AXES)
    return min(max(MIN_AXES, wanted), available)


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


def plan_run(inputs: Sequence[Path], config: RunConfig) -> list[str]:
    """What ``train_run`` would do, without training."""
    found = describe(inputs)
    batches = max(1, found.n_samples // min(config.training.batch_size, found.n_samples))
    epochs = config.training.epochs or math.ceil(config.training.steps / batches)
    return [
        *(f"would read {f.path}: {f.format}, {f.n_samples} samples x {f.n_variants} variants" for f in found.files),
        f"would filter with {json.dumps(config.qc.thresholds())}",
        f"would train a {config.model.posterior} posterior on {choose_device(config.training.device)}, "
        f"at most {epochs} epochs",
        "would write model.safetensors, model.json, variants.tsv.gz, embedding.tsv, history.csv, qc.json, genovi.log",
    ]


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

    Raises:
        GenoviError: its children, for bad input, data that do not fit, or lack of resources.
        InterruptedRunError: the monitor asked to stop.
        DivergedError: the loss became infinite; the last good weights are written to ``out`` + ".diverged".
    """
    check_writable(out, force)
    choose_device(config.training.device)
    check_labels(config.semi_supervised, labels, config.model)
    cohort = _prepare(inputs, config, labels, out.parent)
    known = KnownClasses.of(config.semi_supervised, labels, cohort.matrix.samples)
    checkpoints = None if checkpointing is None else _checkpoints(out, config, checkpointing, known)
    shape, objective = config.model, None
    if known is not None:
        shape = replace(shape, components=known.components(shape.for_cohort(len(cohort.x)).components))
        objective = SemiSupervised(choose_objective(shape, config.training), cohort.x, known)
    try:
        trained = fit(
            cohort.x, shape, config.training, Seeds(config.seed), monitor, cohort.noise_floor, checkpoints, objective
        )
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


def _checkpoints(
    out: Path, config: RunConfig, checkpointing: CheckpointConfig, known: KnownClasses | None
) -> Checkpoints:
    """Two runs may share checkpoints if all that decides the result is the same, the number of threads apart."""
    training = asdict(config.training) | {"device": choose_device(config.training.device).type}
    del training["threads"]
    identity = {"seed": config.seed, "pcs": config.pcs, **config.qc.thresholds(), **asdict(config.model), **training}
    if known is not None:
        identity["semi_supervised"] = known.identity
    return Checkpoints(checkpointing.folder_of(out), identity, 60 * checkpointing.every, checkpointing.resume)


@dataclass(frozen=True)
class _Cohort:
    """Training samples after quality control, as the model sees them.

    matrix: their genotypes. x: noise-scaled scores, shape (n, k).
    """

    matrix: GenotypeMatrix
    x: np.ndarray
    standardiser: Standardiser
    axes: PrincipalAxes
    noise_scale: float
    qc: QCReport

    @property
    def noise_floor(self) -> np.ndarray:
        """Standard deviation of the noise in each column of ``x``, shape (k,)."""
        return np.sqrt(self.axes.score_noise) / self.noise_scale


def _prepare(
    inputs: Sequence[Path | GenotypeMatrix], config: RunConfig, labels: SampleLabels | None, folder: Path
) -> _Cohort:
    with open_sources(inputs, config.qc.split_multiallelic) as sources:
        # before quality control, which has other complaints about one sample
        _check_samples(len(sources[0].samples), joined_name([source.name for source in sources]))
        matrix, qc = filter_sources(sources, config.qc, plan_memory(config.memory, folder))
    _check_samples(matrix.n_samples, matrix.source, qc)
    _check_axes(matrix, config.pcs)
    missing = missing_shares(matrix)
    check_observed(missing, matrix)
    names = matrix.samples
    if qc.relatives is not None and qc.relatives.matrix.n_samples:
        check_observed(missing_shares(qc.relatives.matrix), qc.relatives.matrix)
        names += qc.relatives.matrix.samples
    if labels is not None:
        _report_labels(labels, names, config.semi_supervised)
    standardiser = Standardiser.fit(matrix)
    axes, scores = fit_axes(matrix, standardiser, MAX_AXES, Seeds(config.seed))
    k = choose_axes(axes.noise, config.pcs, axes.n_samples, axes.n_axes)
    logger.info(
        "%d principal components above the noise floor (%.0f effective variants); the model takes %d",
        axes.noise.significant, axes.noise.effective_variants, k,
    )  # fmt: skip
    axes, scores = axes.first(k), scores[:, :k]
    if missing.any():
        parts = [project(axes, standardiser, part, training=True).scores for part in sample_blocks(matrix)]
        scores = np.concatenate(parts)
    noise_scale = math.sqrt(axes.noise.edge)
    return _Cohort(matrix, scores / noise_scale, standardiser, axes, noise_scale, qc)


def _check_samples(n: int, source: str, qc: QCReport | None = None) -> None:
    if n >= MIN_SAMPLES:
        return
    taken = 0 if qc is None or qc.relatives is None else qc.relatives.matrix.n_samples
    what, why = f"sample{'' if n == 1 else 's'} to train on", f"a model needs at least {MIN_SAMPLES}"
    fix = "add samples, or embed these with a model trained on a reference: genovi embed"
    if taken and n + taken >= MIN_SAMPLES:
        what, why = f"unrelated {what}", f"{why}, and --king-cutoff took {taken}"
        fix = "raise --king-cutoff, or leave it out"
    raise DataError(f"only {n} {what}", where=source, why=why, fix=fix)


def _check_axes(matrix: GenotypeMatrix, pcs: int | None) -> None:
    n, m = matrix.n_samples, matrix.n_variants
    if pcs is not None and not 1 <= pcs <= min(n - 1, m):
        raise DataError(
            f"{pcs} principal components cannot come from {n} samples x {m} variants",
            where=f"--pcs {pcs}",
            why=f"there are at most {min(n - 1, m)}",
            fix="--pcs auto",
        )


def _report_labels(labels: SampleLabels, samples: tuple[str, ...], column: str | None) -> None:
    matched = match(labels, samples)
    logger.info(
        "labels for %d of %d samples in %s; training %s",
        len(samples) - matched.n_unmatched, len(samples), labels.source,
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
    bounds = measure_bounds(trained, cohort.x, Seeds(config.seed).integer("bounds"))
    model = TrainedModel(
        model=trained.model,
        standardiser=cohort.standardiser,
        axes=cohort.axes,
        noise_scale=cohort.noise_scale,
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
        scores = cohort.x * cohort.noise_scale
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
