"""``genovi cluster``: an embedding in, its samples in clusters out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genovi.errors import ConfigError
from genovi.files import check_writable
from genovi.provenance import Provenance
from genovi_cli import options as opt
from genovi_cli.commands.common import draw_seed, read_embedding, typed
from genovi_cli.console import Display, RunLog, reporting


def cluster(
    ctx: typer.Context,
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", show_default=False, help="Folder of genovi train, or a file *.embedding.tsv."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="PREFIX",
            show_default=False,
            help="Writes PREFIX.clusters.tsv, PREFIX.clusters.json, PREFIX.log.",
        ),
    ],
    clusters: Annotated[
        int | None,
        typer.Option(
            "--clusters",
            metavar="K",
            show_default=False,
            help="Number of clusters. [default: chosen by the likelihood of held-out samples]",
        ),
    ] = None,
    seed: opt.Seed = None,
    force: opt.Force = False,
    quiet: opt.Quiet = False,
) -> None:
    """Put the samples of an embedding into clusters, with probabilities.

    A Gaussian mixture on the map. Without --clusters the number is the smallest whose likelihood of held-out samples is
    as good as the best. Probabilities take the posterior of each sample into account. Labels are not used.
    """
    if clusters is not None and clusters < 1:
        raise ConfigError("--clusters must be at least 1", where=clusters)
    for suffix in (".clusters.tsv", ".clusters.json", ".log"):
        check_writable(out.parent / f"{out.name}{suffix}", force)
    from genovi.clustering import find_clusters
    from genovi.embedding import embedding_of

    root = draw_seed(seed)
    provenance = Provenance.start(seed=root, command=typed(ctx))
    log = RunLog("cluster", {**ctx.params, "seed": root}, provenance)
    with reporting(Display(quiet), log, quiet=quiet):
        embedding = read_embedding(run) if run.suffix == ".tsv" else embedding_of(run)
        found = find_clusters(embedding, clusters, root)
        files = found.write(out)
    provenance.finish()
    lines = [found.line(), f"wrote {', '.join(str(file) for file in files)}"]
    log.write(out.parent / f"{out.name}.log", lines)
    for line in lines:
        typer.echo(line)
