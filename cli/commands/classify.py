"""``genovi classify``: a trained model, reference populations and new genotypes in; who resembles whom out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genovi.errors import ConfigError
from genovi.files import check_writable
from genovi.training.config import TrainingConfig
from genovi_cli import modeloptions as modelopt
from genovi_cli import options as opt
from genovi_cli.commands.common import start_provenance
from genovi_cli.console import Display, RunLog, reporting

if TYPE_CHECKING:
    from genovi.classifying import Reference


def classify(
    ctx: typer.Context,
    run: opt.RunOrExport,
    inputs: opt.Inputs,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="PREFIX",
            show_default=False,
            help="Writes PREFIX.classes.tsv, PREFIX.classes.json, PREFIX.log, and with --reference "
            "PREFIX.populations.json.",
        ),
    ],
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference",
            metavar="INPUT",
            show_default=False,
            help="Genotypes of labelled people, those that the model was trained on. May be repeated.",
        ),
    ] = None,
    labels: opt.OptionalLabels = None,
    color: opt.Color = None,
    group: opt.Group = None,
    populations: Annotated[
        Path | None,
        typer.Option(
            "--populations",
            metavar="FILE",
            show_default=False,
            help="PREFIX.populations.json of an earlier run, in place of --reference and --labels.",
        ),
    ] = None,
    max_error: Annotated[
        float, typer.Option("--max-error", help="Answer only where the probability of being wrong is at most this.")
    ] = 0.05,
    min_overlap: opt.MinOverlap = 0.5,
    match_by: opt.MatchBy = "position",
    build: opt.InputBuild = "auto",
    device: modelopt.Device = TrainingConfig.device,
    threads: modelopt.AllThreads = None,
    force: opt.Force = False,
    quiet: opt.Quiet = False,
) -> None:
    """Name the reference population that each sample is most similar to, with a probability.

    A name is given where the probability allows it, at the level of populations or of groups; else "unassigned". What
    the answers are worth is measured on reference people who are held out and classified as new ones. Samples that are
    like no reference population are told.
    """
    TrainingConfig(device=device, threads=threads)  # checks both
    fits = _check(reference, labels, color or group, populations)
    for suffix in [".classes.tsv", ".classes.json", ".log", *([".populations.json"] if fits else [])]:
        check_writable(out.parent / f"{out.name}{suffix}", force)
    from genovi.classifying import check_max_error, classify_run
    from genovi.genotypes.suitability import Demands

    check_max_error(max_error)
    demands = Demands(min_overlap, match_by, build)
    display = Display(quiet)
    provenance = start_provenance(ctx, inputs)
    log = RunLog("classify", ctx.params, provenance)
    with reporting(display, log, quiet=quiet):
        summary = classify_run(
            run,
            inputs,
            out,
            _source(reference, labels, color, group) if fits else populations or Path(),
            max_error=max_error,
            demands=demands,
            device=device,
            threads=threads,
            provenance=provenance,
            force=force,
        )
    lines = summary.lines()
    log.write(out.parent / f"{out.name}.log", lines)
    for line in lines:
        typer.echo(line)


def _check(reference: list[Path] | None, labels: Path | None, column: str | None, populations: Path | None) -> bool:
    """Whether populations are to be made; refuse options that do not go together."""
    fix = "give --reference GENOTYPES and --labels PANEL, or --populations FILE of an earlier run"
    if populations is not None:
        for option, given in (("--reference", reference), ("--labels", labels), ("--color or --group", column)):
            if given:
                raise ConfigError(f"{option} and --populations exclude each other", where=populations, fix=fix)
        return False
    if not reference or labels is None:
        what = "no reference populations" if not reference and labels is None else (
            "labels are missing" if reference else "genotypes of the labelled people are missing"
        )  # fmt: skip
        raise ConfigError(what, fix=fix)
    return True


def _source(reference: list[Path] | None, labels: Path | None, color: str | None, group: str | None) -> Reference:
    from genovi.classifying import Reference
    from genovi.labels import read_labels

    assert reference is not None and labels is not None
    return Reference(reference, read_labels(labels), color, group)
