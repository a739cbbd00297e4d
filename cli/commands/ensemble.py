"""``genovi ensemble``: runs of several seeds, ranked and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genovi.files import atomic_folder, check_writable
from genovi.provenance import Provenance
from genovi_cli import options as opt
from genovi_cli.commands.common import typed
from genovi_cli.console import Display, RunLog, reporting


def ensemble(
    ctx: typer.Context,
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", show_default=False, help="Folders that genovi train wrote, which differ in their seed."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", show_default=False, help="Folder to write.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare, say what is found, and write nothing.")] = False,
    force: opt.Force = False,
    quiet: opt.Quiet = False,
) -> None:
    """Rank runs by their held-out bound and say where they agree.

    Every run is turned onto the best one (Procrustes). Writes runs.tsv, stability.tsv (for each sample, how far it
    moves and how many of its neighbours it keeps from run to run), aligned/*.embedding.tsv, genovi.log, and a link best
    to the best run. Labels are not used.
    """
    if not dry_run:
        check_writable(out, force)
    from genovi.ensemble import compare_runs

    provenance = Provenance.start(command=typed(ctx))
    log = RunLog("ensemble", ctx.params, provenance)
    with reporting(Display(quiet), log, quiet=quiet):
        found = compare_runs(runs)
    lines = found.lines(out)
    if dry_run:
        lines = lines[:-1]
    else:
        provenance.finish()
        with atomic_folder(out) as folder:
            found.write(folder, out)
            (folder / "genovi.log").write_text(log.text(lines), encoding="utf-8")
    for line in lines:
        typer.echo(line)
