"""``genovi report``: a run as one HTML file. Needs neither the genotypes nor the model's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genovi.files import check_writable
from genovi_cli import options as opt
from genovi_cli.commands.common import labels_or_none, start_provenance
from genovi_cli.commands.plot import color_by
from genovi_cli.console import Display, RunLog, reporting


def report(
    ctx: typer.Context,
    run: opt.Run,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="REPORT.html", show_default=False, help="Writes REPORT.html and REPORT.log."),
    ],
    labels: opt.OptionalLabels = None,
    color: opt.Color = None,
    color_as: opt.ColorAs = "auto",
    group: opt.Group = None,
    palette: opt.PaletteFile = None,
    force: opt.Force = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write a run as one HTML file that opens offline: an interactive map, scores, quality control, training.

    Without --labels, samples are coloured by the model's clusters, and there are no scores. The page has a choice of
    colours: populations, and every column of numbers; one that --color names is shown first. The file holds no
    genotypes; it does name samples.
    """
    from genovi.report.page import check_suffix, write_report

    check_suffix(out)
    log_path = out.with_suffix(".log")
    for path in (out, log_path):
        check_writable(path, force)
    provenance = start_provenance(ctx, [] if labels is None else [labels])
    log = RunLog("report", ctx.params, provenance)
    with reporting(Display(quiet), log, quiet=quiet):
        summary = write_report(
            run,
            out,
            labels=labels_or_none(labels),
            by=color_by(color, color_as, group, palette),
            force=force,
            command=provenance.command,
        )
    log.write(log_path, summary.lines())
    for line in summary.lines():
        typer.echo(line)
