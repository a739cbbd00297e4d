"""Cells to one table: for each method and measure the mean, with the 95 % interval of Student's t over the fits.

    mean +- t(0.975, n - 1) s / sqrt(n),   s: standard deviation of the n values

Transductive fits differ in their seed, inductive ones in who is new and in their seed; n is said for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from genovi.comparison.cells import FINISHED, INDUCTIVE, TRANSDUCTIVE, Result
from genovi.comparison.methods import Method

COVERAGE = 0.95


@dataclass(frozen=True)
class Measure:
    """A column.

    Attributes:
        name: As in files.
        title: For people.
        protocol: Of the cells that have it.
        digits: Behind the point, for people.
    """

    name: str
    title: str
    protocol: str
    digits: int = 3


_READ_OUT = (
    ("purity", "purity"),
    ("completeness", "completeness"),
    ("nmi", "NMI"),
    ("ami", "AMI"),
    ("ari", "ARI"),
)


def _read_out(prefix: str) -> tuple[Measure, ...]:
    return tuple(Measure(f"{prefix}_{name}", title, TRANSDUCTIVE) for name, title in _READ_OUT)


def _bounds(prefix: str, protocol: str) -> tuple[Measure, ...]:
    titles = {"elbo": "ELBO", "iwae": "IWAE-64", "log_evidence": "log p(x)", "gap": "gap", "kl": "KL(q, p)"}
    return tuple(Measure(f"{prefix}{name}", title, protocol, 2) for name, title in titles.items())


SECTIONS = {
    "Neighbours and distances": (
        Measure("knn", "20-NN", TRANSDUCTIVE),
        Measure("new_knn", "20-NN of new people", INDUCTIVE),
        Measure("trustworthiness", "trustworthiness", TRANSDUCTIVE),
        Measure("continuity", "continuity", TRANSDUCTIVE),
        Measure("fst_correlation", "Spearman with F_ST", TRANSDUCTIVE),
    ),
    "Populations, read out by a mixture of at most 20 components": _read_out("mixture"),
    "Populations, read out by the model's own clusters": _read_out("clusters"),
    "Bounds of the samples that training held out, nats per sample": _bounds("", TRANSDUCTIVE),
    "Bounds of new people, nats per sample": _bounds("new_", INDUCTIVE),
    "Cost of one fit": (
        Measure("seconds", "seconds", TRANSDUCTIVE, 1),
        Measure("cpu_seconds", "CPU seconds", TRANSDUCTIVE, 1),
        Measure("memory_mib", "peak memory, MiB", TRANSDUCTIVE, 0),
    ),
}
MEASURES = tuple(measure for section in SECTIONS.values() for measure in section)
COLUMNS = ("METHOD", "PROTOCOL", "MEASURE", "N", "MEAN", "LOW", "HIGH", "FAILED")


@dataclass(frozen=True)
class Summary:
    """One measure of one method.

    Attributes:
        method: Name of the method.
        measure: What.
        n: Fits that have it.
        mean: Over those; None without any.
        low: Lower end of the interval; None for fewer than two.
        high: Upper end.
        failed: Fits that did not finish, such as "seed 2 diverged; seed 3 crashed".
    """

    method: str
    measure: Measure
    n: int
    mean: float | None
    low: float | None
    high: float | None
    failed: str

    def cell(self) -> str:
        """For people: mean and half the width of the interval; blank where there is none."""
        if self.mean is None:
            return ""
        digits = self.measure.digits
        spread = "" if self.high is None else f" ± {self.high - self.mean:.{digits}f}"
        return f"{self.mean:z.{digits}f}{spread}"


def summarise(methods: Sequence[Method], results: Sequence[Result]) -> list[Summary]:
    """One summary for each method and measure, in the order of ``MEASURES``."""
    found = []
    for method in methods:
        ours = [result for result in results if result.cell.method == method.name]
        for measure in MEASURES:
            those = [result for result in ours if result.cell.protocol == measure.protocol]
            values = [r.values[measure.name] for r in those if r.state == FINISHED and measure.name in r.values]
            failed = "; ".join(f"{r.cell.run} {r.state}" for r in those if r.state != FINISHED)
            mean, low, high = interval(values)
            found.append(Summary(method.name, measure, len(values), mean, low, high, failed))
    return found


def interval(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Mean and ends of its interval; None where there is none."""
    from scipy.stats import t

    if not values:
        return None, None, None
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, None, None
    half = float(t.ppf((1 + COVERAGE) / 2, n - 1) * np.std(values, ddof=1)) / math.sqrt(n)
    return mean, mean - half, mean + half


def frame(summaries: Sequence[Summary]) -> pd.DataFrame:
    """The table of the TSV file; its columns are ``COLUMNS``."""
    rows = [(s.method, s.measure.protocol, s.measure.name, s.n, s.mean, s.low, s.high, s.failed) for s in summaries]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def markdown(summaries: Sequence[Summary], results: Sequence[Result], head: Sequence[str]) -> str:
    """The table for people, a section for each kind of measure; sections that nobody has are left out.

    Args:
        summaries: All of them.
        results: All cells.
        head: Lines above, about the data.
    """
    lines = ["# Methods compared", "", *(f"- {line}" for line in head)]
    for title, measures in SECTIONS.items():
        names = {measure.name for measure in measures}
        ours = [s for s in summaries if s.measure.name in names]
        shown = [m for m in measures if any(s.n for s in ours if s.measure == m)]
        if not shown:
            continue
        lines += ["", f"## {title}", "", "| method | " + " | ".join(m.title for m in shown) + " |",
                  "|---" * (len(shown) + 1) + "|"]  # fmt: skip
        for method in dict.fromkeys(s.method for s in ours):
            cells = {s.measure: s.cell() for s in ours if s.method == method}
            lines.append(f"| {method} | " + " | ".join(cells[m] for m in shown) + " |")
    bad = [result for result in results if result.state != FINISHED]
    if bad:
        lines += ["", "## Not finished", "", "| method | fit | how it ended |", "|---|---|---|"]
        lines += [f"| {r.cell.method} | {r.cell.run} | {r.state}: {r.why.replace('|', ' ')} |" for r in bad]
    return "\n".join(lines) + "\n"


def short(summaries: Sequence[Summary]) -> list[str]:
    """The most important columns as aligned lines."""
    names = ("knn", "new_knn", "mixture_nmi", "clusters_nmi", "elbo", "gap", "seconds", "memory_mib")
    titles = ("20-NN", "20-NN, new", "NMI, mixture", "NMI, own", "ELBO", "gap", "seconds", "MiB")
    rows: list[tuple[str, ...]] = [("method", *titles)]
    for method in dict.fromkeys(s.method for s in summaries):
        cells = {s.measure.name: s.cell() for s in summaries if s.method == method}
        rows.append((method, *(cells[name] for name in names)))
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
