"""``genovi demo``: the main job on simulated data that come with genovi."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from genovi.errors import ResourceError
from genovi.files import check_writable
from genovi.model.config import ModelConfig
from genovi.provenance import Provenance
from genovi.training.config import TrainingConfig
from genovi_cli import modeloptions as modelopt
from genovi_cli import options as opt
from genovi_cli.commands.common import read_embedding, start_provenance, typed
from genovi_cli.commands.evaluate import score_lines, write_scores
from genovi_cli.commands.train import train_and_report
from genovi_cli.console import Display, RunLog, reporting

_SEED = 1
_FILES = ("demo_train.vcf.gz", "demo_new.vcf.gz", "demo.panel")


def demo(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write.")] = Path("genovi-demo"),
    epochs: modelopt.Epochs = TrainingConfig.epochs,
    threads: modelopt.Threads = TrainingConfig.threads,
    force: opt.Force = False,
    quiet: opt.Quiet = False,
) -> None:
    """Train on simulated genotypes, embed held-out samples, draw and evaluate them.

    The data mirror the 1000 Genomes Project: 26 populations in five groups. They are simulated: no real person's
    genotypes are among them.
    """
    run, prefix = out / "run", out / "new"
    picture, scores_file = out / "ancestry.png", out / "scores.json"
    outputs = [run, picture, scores_file, *(out / f"new.{end}" for end in ("embedding.tsv", "match.tsv", "log"))]
    for path in outputs:
        check_writable(path, force)
    training = TrainingConfig(epochs=epochs, threads=threads)
    train_vcf, new_vcf, panel = (_data(name) for name in _FILES)
    _say(quiet, f"$ genovi train {train_vcf.name} --labels {panel.name} --seed {_SEED} --out {run}")
    _train(ctx, train_vcf, panel, run, training, quiet)
    _say(quiet, f"$ genovi embed {run} {new_vcf.name} --out {prefix}")
    _embed(ctx, run, new_vcf, prefix, training, quiet)
    from genovi.evaluation import evaluate
    from genovi.labels import read_labels
    from genovi.plotting.ancestry import plot_ancestry
    from genovi.plotting.composing import AncestryOptions

    labels = read_labels(panel)
    trained = replace(read_embedding(run / "embedding.tsv"), method="training samples")
    new = replace(read_embedding(out / "new.embedding.tsv"), method="new samples")
    with reporting(Display(quiet), quiet=True):  # each embedding has its share of the panel only
        files = f"{run}/embedding.tsv {prefix}.embedding.tsv"
        _say(quiet, f"$ genovi plot ancestry {files} --labels {panel.name} --same-axes --out {picture}")
        options = AncestryOptions(same_axes=True)
        plot_ancestry([trained, new], picture, labels=labels, options=options, force=True, command=typed(ctx))
        _say(quiet, f"$ genovi evaluate {run}/embedding.tsv --labels {panel.name} --json {scores_file}")
        scores = evaluate(trained, labels)
    write_scores(scores, scores_file, Provenance.start(seed=_SEED, command=typed(ctx)))
    for line in (*score_lines(scores), "", *_next(picture, run)):
        typer.echo(line)


def _train(ctx: typer.Context, vcf: Path, panel: Path, run: Path, training: TrainingConfig, quiet: bool) -> None:
    from genovi.genotypes.quality import QCConfig
    from genovi.labels import read_labels
    from genovi.pipeline import RunConfig

    config = RunConfig(qc=QCConfig(), model=ModelConfig(), training=training, pcs=None, seed=_SEED)
    train_and_report(ctx, ctx.params, [vcf], run, config, read_labels(panel), force=True, quiet=quiet)


def _embed(ctx: typer.Context, run: Path, vcf: Path, prefix: Path, training: TrainingConfig, quiet: bool) -> None:
    from genovi.applying import embed_run

    provenance = start_provenance(ctx, [vcf])
    log = RunLog("demo", ctx.params, provenance)
    with reporting(Display(quiet), log, quiet=quiet):
        summary = embed_run(
            run,
            [vcf],
            prefix,
            eigenvec=False,
            device=training.device,
            threads=training.threads,
            provenance=provenance,
            force=True,
        )
    log.write(prefix.parent / f"{prefix.name}.log", summary.lines())


def _data(name: str) -> Path:
    """A demo file. Looked up by hand: importlib.resources trips over the paths of an editable install."""
    spec = importlib.util.find_spec("genovi_demo")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        file = Path(folder) / name
        if file.is_file():
            return file
    raise ResourceError("demo data are not installed", where=name, fix="install genovi-popgen again")


def _say(quiet: bool, line: str) -> None:
    if not quiet:
        typer.echo(line, err=True)


def _next(picture: Path, run: Path) -> list[str]:
    return [
        f"The picture is {picture}: the training samples and, beside them, samples that training never saw.",
        "Next, with data of your own:",
        "  genovi info cohort.vcf.gz",
        "  genovi train cohort.vcf.gz --out run",
        "  genovi plot ancestry run/embedding.tsv --labels panel.tsv --out ancestry.png",
        f"How training went: genovi plot training {run} --out training.png",
    ]
