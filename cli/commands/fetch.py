"""``genovi fetch 1kg``: public genotypes from the servers that publish them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from genovi.downloads import Patience
from genovi.errors import ConfigError
from genovi.fetching import Fetched, fetch, servers_of, sizes
from genovi.releases import RELEASES
from genovi_cli import options as opt
from genovi_cli.commands.common import typed
from genovi_cli.console import Display, RunLog, reporting
from genovi_cli.signals import stopping_at_once
from genovi_cli.transfers import TransferBar


def thousand_genomes(
    ctx: typer.Context,
    chromosomes: Annotated[
        str,
        typer.Option(
            "--chromosomes", "--chr", metavar="LIST", show_default=False, help="Which: 22, or 20-22, or 1-22,X."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", show_default=False, help="Folder to write into.")],
    release: Annotated[
        str,
        typer.Option(
            "--release",
            metavar="|".join(RELEASES),
            help="phase3: 2,504 unrelated people, GRCh37. 30x: 3,202 people with 602 trios, GRCh38.",
        ),
    ] = "phase3",
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            "--mirror",
            metavar="URL",
            show_default=False,
            help="Server to ask in place of the public ones: the address of what they have below vol1/ftp. May be "
            "given several times; they are tried in turn.",
        ),
    ] = None,
    tries: Annotated[
        int, typer.Option("--tries", metavar="N", min=1, help="Failures in a row before the next server is asked.")
    ] = Patience.tries,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Do not ask for the published MD5 sums: compare sizes only.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be fetched and how large it is.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is there.")] = False,
    quiet: opt.Quiet = False,
) -> None:
    """Download genotypes of the 1000 Genomes Project: a VCF and its index for each chromosome, and the labels.

    A download that breaks off goes on where it was with the same command. Each file is held against the MD5 that the
    project publishes and has its name only when it is whole.
    """
    from genovi.genotypes.regions import parse_chromosomes
    from genovi.provenance import Provenance

    if release not in RELEASES:
        raise ConfigError(f"no release {release!r}", where="--release", fix=f"it is one of {', '.join(RELEASES)}")
    chosen, names = RELEASES[release], parse_chromosomes(chromosomes, human=True)
    paths = chosen.files(names)
    servers = servers_of(chosen, mirror or [], Patience(tries=tries))
    again = f"run the same command again: {typed(ctx)}"
    with stopping_at_once("fetching was", f"what has come is kept; {again}"):
        if dry_run:
            with reporting(Display(quiet), quiet=quiet):
                found = sizes(paths, servers)
            _say_sizes(chosen.what, found)
            return
        log = RunLog("fetch 1kg", ctx.params, Provenance.start(command=typed(ctx)))
        display = Display(quiet)
        with reporting(display, log, quiet=quiet), TransferBar(display.console, quiet) as bar:
            files = fetch(chosen, names, out, servers, verify=not no_verify, force=force, watch=bar)
        lines = [file.line() for file in files]
        log.write(out / "fetch.log", lines)
    for line in (*lines, *_next(out, files)):
        typer.echo(line)


def _say_sizes(what: str, found: list[tuple[str, int | None]]) -> None:
    typer.echo(what)
    for url, size in found:
        typer.echo(f"{'size unknown' if size is None else f'{size / 1e6:.1f} MB'}\t{url}")
    typer.echo(f"in all {sum(size or 0 for _, size in found) / 1e6:.1f} MB; nothing was fetched")


def _next(out: Path, files: list[Fetched]) -> list[str]:
    labels, *genotypes = files
    vcfs = [str(out / file.name) for file in genotypes if file.name.endswith(".vcf.gz")]
    inputs = shlex.join(vcfs) if len(vcfs) == 1 else f"{shlex.quote(str(out))}/*.vcf.gz"
    cohort = shlex.quote(str(out / "cohort"))
    return [
        "Next:",
        f"  genovi convert {inputs} --maf 0.01 --out {cohort}",
        f"  genovi train {cohort}.bed --out run --labels {shlex.quote(str(out / labels.name))}",
    ]
