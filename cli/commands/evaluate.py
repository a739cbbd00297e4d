"""``genovi evaluate``: an embedding and labels in, scores out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genovi.files import atomic_path, check_writable
from genovi.provenance import Provenance
from genovi_cli import options as opt
from genovi_cli.commands.common import read_embedding, typed
from genovi_cli.console import Display, reporting

if TYPE_CHECKING:
    from genovi.embedding import Embedding
    from genovi.labels import SampleLabels
    from genovi.scores import Scores, Transfer


def evaluate(
    ctx: typer.Context,
    embedding: Annotated[Path, typer.Argument(metavar="EMBEDDING", show_default=False, help="File *.embedding.tsv.")],
    labels: opt.Labels,
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
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", show_default=False, help="Write the scores as JSON, with provenance."),
    ] = None,
    force: opt.Force = False,
) -> None:
    """Measure how well an embedding separates labelled populations.

    Nearest-neighbour accuracy, and agreement of clusters with populations and groups. With --train, accuracy by the
    nearest training samples; with --genotypes, correlation of distances with F_ST, trustworthiness and continuity.
    """
    if json_file is not None:
        check_writable(json_file, force)
    from genovi.evaluation import evaluate as judge
    from genovi.labels import read_labels

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
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def score_lines(scores: Scores, transfer: Transfer | None = None) -> list[str]:
    """Scores as an aligned table."""
    rows = scores.rows() + ([] if transfer is None else [transfer.row()])
    widths = [max(len(row[j]) for row in rows) for j in range(3)]
    lines = [f"{name:<{widths[0]}}  {a:>{widths[1]}}  {b:>{widths[2]}}".rstrip() for name, a, b in rows]
    return [f"{scores.method}: {scores.n_samples:,} samples, {scores.n_dimensions} axes", *lines]
