"""``genovi evaluate``: an embedding and labels in, scores out; or a model and genotypes in, bounds of log p(x) out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genovi.errors import ConfigError
from genovi.files import atomic_path, check_writable
from genovi.provenance import Provenance
from genovi.training.config import TrainingConfig
from genovi_cli import modeloptions as modelopt
from genovi_cli import options as opt
from genovi_cli.commands.common import read_embedding, start_provenance, typed
from genovi_cli.console import Display, reporting

if TYPE_CHECKING:
    from genovi.embedding import Embedding
    from genovi.genotypes.suitability import Demands
    from genovi.labels import SampleLabels
    from genovi.scores import Scores, Transfer

_DRAWS, _MIN_OVERLAP, _MATCH_BY, _BUILD = 64, 0.5, "position", "auto"


def evaluate(
    ctx: typer.Context,
    embedding: Annotated[
        Path,
        typer.Argument(metavar="EMBEDDING", show_default=False, help="File *.embedding.tsv; with --bounds a RUN."),
    ],
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[INPUT]...", show_default=False, help="Genotypes as for genovi embed, with --bounds."),
    ] = None,
    labels: opt.OptionalLabels = None,
    color: opt.Color = None,
    group: opt.Group = None,
    train: Annotated[
        Path | None,
        typer.Option(
            "--train",
            metavar="EMBEDDING",
            show_default=False,
            help="Embedding of the training samples: also label these samples by their neighbours among those.",
        ),
    ] = None,
    genotypes: Annotated[
        list[Path] | None,
        typer.Option(
            "--genotypes",
            metavar="INPUT",
            show_default=False,
            help="Genotypes of these samples: also compare distances with F_ST, and neighbours with those among "
            "principal components. May be repeated.",
        ),
    ] = None,
    bounds: Annotated[
        bool, typer.Option("--bounds", help="RUN and INPUT: how well the model describes these samples.")
    ] = False,
    draws: Annotated[
        int | None,
        typer.Option(
            "--draws",
            metavar="K",
            show_default=False,
            help="Paths of the importance-weighted bound, with --bounds. [default: 64]",
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", show_default=False, help="Write the numbers as JSON, with provenance."),
    ] = None,
    min_overlap: opt.MinOverlap = _MIN_OVERLAP,
    match_by: opt.MatchBy = _MATCH_BY,
    build: opt.InputBuild = _BUILD,
    device: modelopt.Device = TrainingConfig.device,
    threads: modelopt.AllThreads = None,
    force: opt.Force = False,
) -> None:
    """Measure how well an embedding separates labelled populations.

    Nearest-neighbour accuracy, and agreement of clusters with populations and groups. With --train, accuracy by the
    nearest training samples; with --genotypes, correlation of distances with F_ST, trustworthiness and continuity.

    With --bounds instead: how well a model describes genotypes, by lower bounds of their likelihood and its true value.
    """
    judging = {"--labels": labels, "--color": color, "--group": group, "--train": train, "--genotypes": genotypes}
    measuring = {
        "--draws": draws is not None,
        "--min-overlap": min_overlap != _MIN_OVERLAP,
        "--match-by": match_by != _MATCH_BY,
        "--build": build != _BUILD,
        "--device": device != TrainingConfig.device,
        "--threads": threads is not None,
    }
    _check(ctx, bounds, inputs, judging, measuring)
    if json_file is not None:
        check_writable(json_file, force)
    if bounds:
        TrainingConfig(device=device, threads=threads, draws=_DRAWS if draws is None else draws)  # checks all
        from genovi.genotypes.suitability import Demands

        demands = Demands(min_overlap, match_by, build)
        _bounds(ctx, embedding, inputs or [], demands, draws or _DRAWS, json_file, device, threads)
        return
    from genovi.evaluation import evaluate as judge
    from genovi.labels import read_labels

    assert labels is not None
    provenance = Provenance.start(command=typed(ctx))
    with reporting(Display()):
        judged, known = read_embedding(embedding), read_labels(labels)
        transfer = None if train is None else _transfer(read_embedding(train), judged, known, color)
        if genotypes:
            from genovi.reference import measure_reference

            reference = measure_reference(genotypes, judged, known, color)
            fst = reference.populations, reference.fst
            scores = judge(judged, known, population=color, group=group, reference=reference.components, fst=fst)
        else:
            scores = judge(judged, known, population=color, group=group)
    for line in score_lines(scores, transfer):
        typer.echo(line)
    if json_file is not None:
        write_scores(scores, json_file, provenance, transfer)


def _check(
    ctx: typer.Context,
    bounds: bool,
    inputs: list[Path] | None,
    judging: Mapping[str, object],
    measuring: Mapping[str, bool],
) -> None:
    """Options of one kind of evaluation make no sense with the other."""
    if not bounds:
        if inputs:
            fix = "add --bounds to measure a model"
            raise ConfigError("one embedding at a time", where=inputs[0], fix=fix)
        for option, given in measuring.items():
            if given:
                raise ConfigError(f"{option} belongs to --bounds", fix=f"add --bounds, or leave out {option}")
        if judging["--labels"] is None:
            raise typer.BadParameter("labels are missing: add --labels PANEL", ctx=ctx, param_hint="--labels")
        return
    if not inputs:
        raise ConfigError("genotypes are missing", where="--bounds", fix="genovi evaluate --bounds RUN INPUT")
    for option, value in judging.items():
        if value:
            raise ConfigError("bounds take a model and genotypes alone", where=option, fix=f"leave out {option}")


def _bounds(
    ctx: typer.Context,
    run: Path,
    inputs: list[Path],
    demands: Demands,
    draws: int,
    json_file: Path | None,
    device: str,
    threads: int | None,
) -> None:
    from genovi.measuring import bounds_run

    provenance = start_provenance(ctx, inputs)
    with reporting(Display()):
        summary = bounds_run(
            run, inputs, demands=demands, draws=draws, device=device, threads=threads, provenance=provenance
        )
    for line in summary.lines():
        typer.echo(line)
    if json_file is not None:
        _write(summary.to_dict(), json_file)


def _transfer(train: Embedding, new: Embedding, labels: SampleLabels, population: str | None) -> Transfer:
    from genovi.evaluation import inductive_knn
    from genovi.labels import match

    column = population if population is not None else labels.default_population_column()
    named = [match(labels, one.samples).column(column) for one in (train, new)]
    return inductive_knn(train, named[0], new, named[1])


def write_scores(scores: Scores, path: Path, provenance: Provenance, transfer: Transfer | None = None) -> None:
    """Write scores and how they were made as JSON."""
    record: dict[str, object] = {"scores": scores.to_dict(), "provenance": provenance.finish().to_dict()}
    if transfer is not None:
        record["transfer"] = asdict(transfer)
    _write(record, path)


def _write(record: dict[str, object], path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def score_lines(scores: Scores, transfer: Transfer | None = None) -> list[str]:
    """Scores as an aligned table."""
    rows = scores.rows() + ([] if transfer is None else [transfer.row()])
    widths = [max(len(row[j]) for row in rows) for j in range(3)]
    lines = [f"{name:<{widths[0]}}  {a:>{widths[1]}}  {b:>{widths[2]}}".rstrip() for name, a, b in rows]
    return [f"{scores.method}: {scores.n_samples:,} samples, {scores.n_dimensions} axes", *lines]
