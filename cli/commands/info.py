"""``genovi info``: what is in a genotype file."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from genovi_cli import options as opt
from genovi_cli.console import Display, reporting

if TYPE_CHECKING:
    from genovi.genotypes.reading import InputSummary

_CONTIGS_SHOWN = 30


def info(
    inputs: opt.Inputs,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what genotype files hold: format, samples, variants, contigs, missing share, genome build."""
    from genovi.genotypes.reading import describe

    with reporting(Display()):
        summary = describe(inputs)
    if as_json:
        typer.echo(json.dumps(asdict(summary), indent=2))
        return
    for line in _lines(summary):
        typer.echo(line)


def _lines(summary: InputSummary) -> list[str]:
    files = [
        f"{one.path}: {one.format}, {one.n_samples:,} samples, {one.n_variants:,} variants" for one in summary.files
    ]
    shown = [f"{name} ({count:,})" for name, count in summary.contigs[:_CONTIGS_SHOWN]]
    more = len(summary.contigs) - len(shown)
    facts = [
        ("samples", f"{summary.n_samples:,}"),
        ("variants", f"{summary.n_variants:,}"),
        ("  multi-allelic", f"{summary.n_multiallelic:,}"),
        ("  other than SNPs", f"{summary.n_non_snp:,}"),
        ("contigs", ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")),
        ("missing", f"{100 * summary.missing_share:.3g} % of genotypes"),
        ("half-calls", f"{summary.half_calls:,}"),
        ("haploid calls", f"{summary.haploid_calls:,}"),
        ("build", f"{summary.build} ({summary.build_reason})"),
    ]
    return [*files, *(f"{name:<18}{value}" for name, value in facts)]
