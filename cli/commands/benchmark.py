"""``genovi benchmark``: methods on the same data, judged by the same measures, in one table and one figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genovi.comparison.methods import METHODS, parse_methods
from genovi.errors import ConfigError
from genovi.model.config import ModelConfig
from genovi.training.config import TrainingConfig
from genovi_cli import modeloptions as modelopt
from genovi_cli import options as opt
from genovi_cli.commands.common import qc_config, start_provenance
from genovi_cli.commands.train import parse_indep_pairwise, parse_pcs
from genovi_cli.console import Display, RunLog, reporting
from genovi_cli.signals import StopSignals

if TYPE_CHECKING:
    from genovi.comparison.config import BenchmarkConfig

_MODEL = ModelConfig()
_TRAINING = TrainingConfig()


def benchmark(
    ctx: typer.Context,
    inputs: opt.Inputs,
    labels: opt.Labels,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", show_default=False, help="Folder to write.")],
    methods: Annotated[
        str, typer.Option("--methods", metavar="LIST", help="Methods to compare, with commas between them.")
    ] = ",".join(METHODS),
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", help="Fits of everybody, with seeds 1 to N.")] = 3,
    splits: Annotated[
        int,
        typer.Option(
            "--splits",
            metavar="N",
            help="Fits of four fifths of the people, into which the others are placed as new; at most 5, 0 for none.",
        ),
    ] = 5,
    mask: Annotated[
        float,
        typer.Option("--mask", metavar="SHARE", help="Genotypes set missing at random after quality control."),
    ] = 0.0,
    color: opt.Color = None,
    group: opt.Group = None,
    maf: opt.Maf = None,
    geno: opt.Geno = None,
    mind: opt.Mind = None,
    indep_pairwise: opt.IndepPairwise = None,
    autosome: opt.Autosome = None,
    build: opt.Build = None,
    no_long_range_ld: opt.NoLongRangeLd = False,
    latent_dim: modelopt.LatentDim = _MODEL.latent_dim,
    prior: modelopt.Prior = _MODEL.prior,
    steps: modelopt.Steps = _MODEL.steps,
    pcs: modelopt.Pcs = "auto",
    draws: modelopt.Draws = _TRAINING.draws,
    epochs: modelopt.Epochs = _TRAINING.epochs,
    batch_size: modelopt.BatchSize = _TRAINING.batch_size,
    lr: modelopt.LearningRate = _TRAINING.lr,
    device: modelopt.Device = _TRAINING.device,
    threads: modelopt.Threads = _TRAINING.threads,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", help="Fits at once, each in a process of its own.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Remove an earlier benchmark in DIR and start anew.")] = False,
    quiet: opt.Quiet = False,
) -> None:
    """Compare methods on the same samples, sites and principal components.

    Writes table.tsv, table.md, table.json, embeddings.png, embeddings.pdf and genovi.log, and the fits in cells/. The
    same command goes on where it was stopped; more methods, seeds and splits may be added later. A fit that diverges or
    crashes is reported in the tables and ends nothing. Labels judge and stratify splits; no method sees them.
    """
    config = _config(ctx.params)
    if jobs < 1:
        raise ConfigError("--jobs must be at least 1", where=jobs)
    if any(str(path) == "-" for path in inputs):
        raise ConfigError("a benchmark reads its input again when it goes on", where="-", fix="give a file")
    from genovi.comparison.benchmark import run_benchmark
    from genovi.labels import read_labels

    known = read_labels(labels)
    provenance = start_provenance(ctx, inputs)
    log = RunLog("benchmark", ctx.params, provenance)
    signals = StopSignals()
    with reporting(Display(quiet), log, quiet=quiet):
        signals.install()
        try:
            summary = run_benchmark(
                inputs,
                known,
                out,
                config,
                provenance=provenance,
                stopping=lambda: signals.received,
                jobs=jobs,
                force=force,
            )
        finally:
            signals.restore()
    log.write(out / "genovi.log", summary.lines())
    for line in summary.lines():
        typer.echo(line)


def _config(typed: dict[str, Any]) -> BenchmarkConfig:
    """What the options ask for."""
    chosen = parse_methods(typed["methods"])
    model = ModelConfig(**{name: typed[name] for name in ("latent_dim", "prior", "steps")})
    training = TrainingConfig(
        **{name: typed[name] for name in ("epochs", "batch_size", "lr", "draws", "device", "threads")}
    )
    components, pruning = parse_pcs(typed["pcs"]), typed["indep_pairwise"]
    given = {name: typed[name] for name in ("maf", "geno", "mind", "build")}
    given |= {"autosomes_only": typed["autosome"], "long_range_ld": not typed["no_long_range_ld"]}
    if pruning is not None:
        given["indep_pairwise"] = parse_indep_pairwise(pruning)
    qc = qc_config(given, {}, chr=None, region=None)
    from genovi.comparison.config import BenchmarkConfig

    return BenchmarkConfig(
        methods=chosen,
        seeds=typed["seeds"],
        splits=typed["splits"],
        mask=typed["mask"],
        qc=qc,
        model=model,
        training=training,
        pcs=components,
        population=typed["color"],
        group=typed["group"],
    )
