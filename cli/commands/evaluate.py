"""``genovi evaluate``: an embedding and labels in, scores out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genovi.files import atomic_path, check_writable
from genovi.provenance import Provenance
from genovi_cli import options as opt
from genovi_cli.commands.common import read_embedding, typed
from genovi_cli.console import Display, reporting

if TYPE_CHECKING:
    from genovi.scores import Scores


def evaluate(
    ctx: typer.Context,
    embedding: Annotated[Path, typer.Argument(metavar="EMBEDDING", show_default=False, help="File *.embedding.tsv.")],
    labels: opt.Labels,
    color: opt.Color = None,
    group: opt.Group = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", show_default=False, help="Write the scores as JSON, with provenance."),
    ] = None,
    force: opt.Force = False,
) -> None:
    """Measure how well an embedding separates labelled populations.

    Nearest-neighbour accuracy, and agreement of clusters with populations and groups.
    """
    if json_file is not None:
        check_writable(json_file, force)
    from genovi.evaluation import evaluate as judge
    from genovi.labels import read_labels

    provenance = Provenance.start(command=typed(ctx))
    with reporting(Display()):
        scores = judge(read_embedding(embedding), read_labels(labels), population=color, group=group)
    for line in score_lines(scores):
        typer.echo(line)
    if json_file is not None:
        write_scores(scores, json_file, provenance)


def write_scores(scores: Scores, path: Path, provenance: Provenance) -> None:
    """Write scores and how they were made as JSON."""
    record = {"scores": scores.to_dict(), "provenance": provenance.finish().to_dict()}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def score_lines(scores: Scores) -> list[str]:
    """Scores as an aligned table."""
    rows = scores.rows()
    widths = [max(len(row[j]) for row in rows) for j in range(3)]
    lines = [f"{name:<{widths[0]}}  {a:>{widths[1]}}  {b:>{widths[2]}}".rstrip() for name, a, b in rows]
    return [f"{scores.method}: {scores.n_samples:,} samples, {scores.n_dimensions} axes", *lines]
