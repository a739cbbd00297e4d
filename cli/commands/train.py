"""``genovi train``: genotypes in, a trained model and its embedding out."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genovi.errors import ConfigError, DataError
from genovi.files import check_writable
from genovi.model.config import ModelConfig
from genovi.ranks import ALONE, Ranks
from genovi.training.config import TrainingConfig
from genovi_cli import modeloptions as modelopt
from genovi_cli import options as opt
from genovi_cli.commands.common import draw_seed, labels_or_none, qc_config, start_provenance
from genovi_cli.console import Display, RunLog, reporting
from genovi_cli.help import Command
from genovi_cli.launching import Unseen, find_place, joined, launch, unheard

if TYPE_CHECKING:
    from genovi.genotypes.hardyweinberg import HardyWeinberg
    from genovi.genotypes.quality import QCConfig
    from genovi.labels import SampleLabels
    from genovi.pipeline import CheckpointConfig, RunConfig

_MODEL = ModelConfig()
_TRAINING = TrainingConfig()
_HWE_MODIFIERS = {"midp", "keep-fewhet"}


class TrainCommand(Command):
    """Takes the values of ``--indep-pairwise`` and ``--hwe`` with or without quotes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join three numbers after ``--indep-pairwise``, and what belongs to ``--hwe``, into one word."""
        words: list[str] = []
        rest = list(args)
        while rest:
            words.append(rest.pop(0))
            if (
                words[-1] == "--indep-pairwise"
                and len(rest) >= 3
                and all(_is_number(w.removesuffix("kb")) for w in rest[:3])
            ):
                words.append(" ".join(rest[:3]))
                del rest[:3]
            elif words[-1] == "--hwe":
                values = list(takewhile(lambda word: _is_number(word) or word in _HWE_MODIFIERS, rest))
                words += [" ".join(values)] if values else []
                del rest[: len(values)]
        return super().parse_args(ctx, words)


def train(
    ctx: typer.Context,
    inputs: opt.Inputs,
    out: Annotated[
        Path, typer.Option("--out", metavar="RUN", show_default=False, help="Folder to write: model, embedding, log.")
    ],
    labels: opt.OptionalLabels = None,
    maf: opt.Maf = None,
    geno: opt.Geno = None,
    mind: opt.Mind = None,
    hwe: opt.Hwe = None,
    king_cutoff: opt.KingCutoff = None,
    indep_pairwise: opt.IndepPairwise = None,
    keep: opt.Keep = None,
    remove: opt.Remove = None,
    extract: opt.Extract = None,
    exclude: opt.Exclude = None,
    chr: opt.Chr = None,
    region: opt.Region = None,
    autosome: opt.Autosome = None,
    build: opt.Build = None,
    no_long_range_ld: opt.NoLongRangeLd = False,
    split_multiallelic: opt.SplitMultiallelic = False,
    latent_dim: modelopt.LatentDim = _MODEL.latent_dim,
    posterior: modelopt.Posterior = _MODEL.posterior,
    prior: modelopt.Prior = _MODEL.prior,
    likelihood: modelopt.Likelihood = _MODEL.likelihood,
    steps: modelopt.Steps = _MODEL.steps,
    pcs: modelopt.Pcs = "auto",
    semi_supervised: modelopt.SemiSupervised = None,
    objective: modelopt.Objective = _TRAINING.objective,
    draws: modelopt.Draws = _TRAINING.draws,
    epochs: modelopt.Epochs = _TRAINING.epochs,
    batch_size: modelopt.BatchSize = _TRAINING.batch_size,
    batch_variants: modelopt.BatchVariants = _TRAINING.batch_variants,
    lr: modelopt.LearningRate = _TRAINING.lr,
    device: modelopt.Device = _TRAINING.device,
    threads: modelopt.Threads = _TRAINING.threads,
    memory: opt.Memory = None,
    processes: Annotated[
        int,
        typer.Option(
            "--processes",
            metavar="N",
            rich_help_panel=modelopt.TRAINING,
            help="Processes on this machine that share the PCA and each step; torchrun starts them on several.",
        ),
    ] = 1,
    seed: opt.Seed = None,
    resume: modelopt.Resume = "auto",
    checkpoint_every: modelopt.CheckpointEvery = 5.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be read, trained and written.")] = False,
    force: opt.Force = False,
    quiet: opt.Quiet = False,
) -> None:
    """Train a model on genotypes and embed their samples.

    Writes a folder: model.safetensors, model.json, variants.tsv.gz, embedding.tsv, history.csv, qc.json, genovi.log.
    The model holds frequencies and loadings, never the genotypes of a sample. Labels are not seen by training
    unless --semi-supervised names a column.
    Stopped by Ctrl-C, SIGTERM or SIGUSR1, training leaves a checkpoint and exit code 75: the same command goes on.
    """
    place = find_place(processes, batch_size)
    helper = place is not None and place.rank > 0  # reads no files, and writes none
    with unheard(place):
        model, training, qc, components = _settings(ctx.params, filters=not helper)
        known = None if helper else labels_or_none(labels)
        if not dry_run and not helper:
            check_writable(out, force)
        from genovi.pipeline import RunConfig, assist_run, plan_run
        from genovi.training.semisupervised import check_labels

        checkpointing = _checkpointing("never" if helper else resume, checkpoint_every)
        if seed is None and checkpointing.resume:
            seed = _seed_of(checkpointing.folder_of(out))
        if not helper:
            check_labels(semi_supervised, known, model)
        if place is not None:
            training = _shared(training)
    config = RunConfig(
        qc=qc, model=model, training=training, pcs=components, seed=draw_seed(seed), memory=memory,
        semi_supervised=semi_supervised,
    )  # fmt: skip
    if dry_run:
        with reporting(Display(True), quiet=True):
            plan = plan_run(inputs, config, known)
        for line in plan:
            typer.echo(line)
        return
    if place is None and processes > 1:
        raise typer.Exit(launch(ctx.find_root().obj, processes))
    with joined(place, training.device) as ranks:
        config = replace(config, seed=ranks.same(config.seed))
        if not ranks.first:
            assist_run(config, Unseen(), ranks)
            return
        options = _in_effect(ctx.params, qc, config.seed)
        train_and_report(
            ctx, options, inputs, out, config, known, force=force, quiet=quiet, checkpointing=checkpointing,
            ranks=ranks,
        )  # fmt: skip


def check_options(typed: Mapping[str, Any]) -> None:
    """Meet now, as ``train`` would later, the mistakes in its options and in the lists and labels that they name.

    Raises:
        GenoviError: its children, as ``train``.
    """
    _settings(typed)
    labels_or_none(typed["labels"])
    _checkpointing(typed["resume"], typed["checkpoint_every"])


def train_and_report(
    ctx: typer.Context,
    options: Mapping[str, Any],
    inputs: Sequence[Path],
    out: Path,
    config: RunConfig,
    labels: SampleLabels | None,
    *,
    force: bool,
    quiet: bool,
    checkpointing: CheckpointConfig | None = None,
    ranks: Ranks = ALONE,
) -> None:
    """Train with progress on the screen and a log in the run's folder.

    Args:
        ctx: Of the command that trains.
        options: Its options, for the log.
        inputs: Genotype files.
        out: Folder to write.
        config: What to train.
        labels: Labels of the samples, not seen by training.
        force: Overwrite ``out``.
        quiet: Show warnings only.
        checkpointing: Keep the state of training on disk.
        ranks: Who share the work.
    """
    from genovi.pipeline import train_run

    display = Display(quiet, once=not ranks.alone)
    provenance = start_provenance(ctx, inputs, config.seed)
    log = RunLog(ctx.command.name or "train", options, provenance)
    with reporting(display, log, quiet=quiet):
        for line in _without_effect(config):
            logging.getLogger("genovi").warning(line)
        train_run(
            inputs,
            out,
            config,
            labels=labels,
            provenance=provenance,
            monitor=display,
            log_lines=log.text,
            force=force,
            checkpointing=checkpointing,
            ranks=ranks,
        )


def _without_effect(config: RunConfig) -> list[str]:
    """Options that were typed and that nothing in this run uses."""
    model, training = config.model, config.training
    lines = []
    if model.steps != _MODEL.steps and not model.has_chain:
        lines.append(f"--steps {model.steps} has no effect: --posterior {model.posterior} has no diffusion chain")
    if training.draws != _TRAINING.draws and training.objective != "iwae":
        lines.append(f"--draws {training.draws} has no effect: it belongs to --objective iwae")
    return lines


def _shared(training: TrainingConfig) -> TrainingConfig:
    """The same on a device that several processes can share."""
    from genovi.training.device import choose_for_ranks

    return replace(training, device=choose_for_ranks(training.device))


def _checkpointing(resume: str, every: float) -> CheckpointConfig:
    from genovi.pipeline import CheckpointConfig
    from genovi.training.checkpointing import has_checkpoint

    if resume in ("auto", "never"):
        return CheckpointConfig(every, resume == "auto")
    folder, fix = Path(resume), "give a folder RUN.checkpoint, or --resume auto|never"
    if not folder.is_dir():
        raise DataError("no such checkpoint", where=resume, fix=fix)
    if not has_checkpoint(folder):  # training anew is not what was asked for
        raise DataError("there is no checkpoint in it", where=resume, fix=fix)
    return CheckpointConfig(every, True, folder)


def _seed_of(checkpoint: Path) -> int | None:
    """The seed of a run that is to go on, which nobody may have typed; None where there is no checkpoint."""
    if not checkpoint.is_dir():
        return None
    from genovi.training.checkpointing import seed_of

    return seed_of(checkpoint)


def _settings(
    typed: Mapping[str, Any], filters: bool = True
) -> tuple[ModelConfig, TrainingConfig, QCConfig, int | None]:
    """Model, optimisation, quality control and number of components as the options ask for them.

    Args:
        typed: Options by name.
        filters: Whether quality control is done here; else files that it names are not read.
    """
    model = ModelConfig(**{name: typed[name] for name in ("latent_dim", "posterior", "prior", "likelihood", "steps")})
    names = ("epochs", "batch_size", "batch_variants", "lr", "objective", "draws", "device", "threads")
    training = TrainingConfig(**{name: typed[name] for name in names})
    training.check_objective(model)
    return (
        model,
        training,
        _filters(typed) if filters else qc_config({}, {}, chr=None, region=None),
        parse_pcs(typed["pcs"]),
    )


def _filters(typed: Mapping[str, Any]) -> QCConfig:
    """Quality control as the options of ``train`` ask for it."""
    pruning = typed["indep_pairwise"]
    return qc_config(
        {name: typed[name] for name in ("maf", "geno", "mind", "build", "split_multiallelic", "king_cutoff")}
        | {"autosomes_only": typed["autosome"], "hwe": parse_hwe(typed["hwe"])}
        | {"long_range_ld": not typed["no_long_range_ld"]}
        | ({} if pruning is None else {"indep_pairwise": parse_indep_pairwise(pruning)}),
        {name: typed[name] for name in ("keep", "remove", "extract", "exclude")},
        chr=typed["chr"],
        region=typed["region"],
    )


def parse_indep_pairwise(text: str) -> tuple[int, int, float] | None:
    """Window, step and r2 of ``--indep-pairwise``; None where it says "none".

    Raises:
        ConfigError: not three numbers, or a window in kilobases.
    """
    if text.strip().lower() in ("none", "off"):
        return None
    words = text.replace(",", " ").split()
    if len(words) == 3 and words[0].lower().endswith("kb"):
        raise ConfigError(
            f"--indep-pairwise {text}",
            why="the window is counted in variants here",
            fix="type a number, such as 50 5 0.2",
        )
    if len(words) != 3 or not all(map(_is_number, words)) or not all(w.isdigit() for w in words[:2]):
        raise ConfigError(
            f"--indep-pairwise {text}",
            why="it takes a window, a step and an r2",
            fix="type --indep-pairwise 50 5 0.2, or 'none' to switch pruning off",
        )
    return int(words[0]), int(words[1]), float(words[2])


def parse_hwe(text: str | None) -> HardyWeinberg | None:
    """What ``--hwe`` asks for; None where it was not typed.

    Raises:
        ConfigError: it is not a p-value, perhaps a second number, and modifiers.
    """
    from genovi.genotypes.hardyweinberg import HardyWeinberg

    if text is None:
        return None
    words = text.replace(",", " ").split()
    numbers = [float(word) for word in words if _is_number(word)]
    modifiers = [word for word in words if not _is_number(word)]
    if not 1 <= len(numbers) <= 2 or not set(modifiers) <= _HWE_MODIFIERS:
        raise ConfigError(
            f"--hwe {text}",
            why="it takes a p-value, perhaps k, and the words midp and keep-fewhet",
            fix="type --hwe 1e-6 keep-fewhet",
        )
    p, k = numbers[0], numbers[1] if len(numbers) == 2 else 0.0
    return HardyWeinberg(p, k, "midp" in modifiers, "keep-fewhet" in modifiers)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def parse_pcs(text: str) -> int | None:
    """Number of components that ``--pcs`` asks for; None where it leaves the choice to the noise floor.

    Raises:
        ConfigError: neither a number nor auto.
    """
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"--pcs {text}", why="it takes a number of components", fix="type a number, or auto")
    return int(text)


def _in_effect(given: Mapping[str, Any], qc: QCConfig, seed: int) -> dict[str, Any]:
    """Value of every option, defaults included."""
    pruning = qc.indep_pairwise
    return {
        **given,
        **{name: asdict(qc)[name] for name in ("maf", "geno", "mind", "build")},
        "indep_pairwise": "none" if pruning is None else f"{pruning[0]} {pruning[1]} {pruning[2]:g}",
        "autosome": qc.autosomes_only,
        "all_contigs": not qc.autosomes_only,
        "seed": seed,
    }
