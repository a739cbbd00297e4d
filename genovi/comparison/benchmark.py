"""All methods on the same data, judged by the same measures.

run_benchmark   read -> prepare once -> cells, each in its own process -> DIR/table.*, DIR/embeddings.*
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from genovi.comparison.cells import FINISHED, TRANSDUCTIVE, Cell, Result
from genovi.comparison.config import BenchmarkConfig
from genovi.comparison.data import LabelColumns, everybody, said_already, split
from genovi.comparison.folder import MANIFEST, Manifest, check, claim
from genovi.comparison.running import run_cells
from genovi.comparison.shared import CellData, data_of
from genovi.comparison.table import Summary, frame, markdown, short, summarise
from genovi.embedding import Embedding
from genovi.errors import InterruptedRunError, TrainingError
from genovi.evaluation import check_populations
from genovi.files import atomic_path
from genovi.genotypes.reading import open_genotypes
from genovi.labels import SampleLabels, match
from genovi.plotting.ancestry import plot_ancestry
from genovi.plotting.coloring import ColorBy
from genovi.plotting.composing import AncestryOptions
from genovi.plotting.figures import Sheet
from genovi.preparing import check_samples
from genovi.provenance import Provenance, version
from genovi.training.device import choose_device

logger = logging.getLogger("genovi")

FIGURES = ("embeddings.png", "embeddings.pdf")
_PAGE = 180  # mm
_PANEL = 75  # mm across: flat maps of many methods stay readable


@dataclass(frozen=True)
class BenchmarkSummary:
    """What a benchmark found.

    Attributes:
        out: The folder.
        summaries: Mean and interval of each method and measure.
        results: All cells.
        files: Files written, beside the cells.
        provenance: The finished record.
    """

    out: Path
    summaries: tuple[Summary, ...]
    results: tuple[Result, ...]
    files: tuple[Path, ...]
    provenance: Provenance

    def lines(self) -> list[str]:
        """For people to read."""
        bad = [result for result in self.results if result.state != FINISHED]
        return [
            *short(self.summaries),
            *(f"{r.cell.method}, {r.cell.run}, {r.state}: {r.why}" for r in bad),
            f"{len(self.results) - len(bad)} of {len(self.results)} fits finished; wrote "
            f"{', '.join(str(file) for file in self.files)}",
        ]


def run_benchmark(
    inputs: Sequence[Path],
    labels: SampleLabels,
    out: Path,
    config: BenchmarkConfig,
    *,
    provenance: Provenance,
    stopping: Callable[[], bool],
    jobs: int = 1,
    force: bool = False,
) -> BenchmarkSummary:
    """Compare methods, or go on with a comparison that was stopped.

    Args:
        inputs: Genotype files; several are one input.
        labels: Of the samples; they stratify splits and judge embeddings, and no method sees them.
        out: Folder to write; fits that are finished there are kept.
        config: What to compare.
        provenance: Started with the digests of the inputs; is finished here.
        stopping: Whether somebody asked to stop.
        jobs: Fits at once.
        force: Remove an earlier benchmark in ``out``.

    Raises:
        GenoviError: its children, for bad input, or for a folder that holds something else.
        InterruptedRunError: somebody asked to stop; finished fits are kept.
        TrainingError: not one fit finished.
    """
    columns = _columns(labels, config)
    identity = config.identity(provenance.inputs, _digests(columns), choose_device(config.training.device).type)
    manifest = Manifest(identity, version())
    check(out, manifest, force)
    cells = config.cells()
    prepared = _prepare(inputs, columns, out, config, cells, stopping, force)
    claim(out, manifest, force)
    for path, data in prepared.items():
        data.save(path)
    del prepared

    kept = _settled(out, cells)
    if kept:
        logger.info("%d of %d fits are there already", len(kept), len(cells))

    def done(result: Result) -> None:
        kept[result.cell] = result
        say = logger.info if result.state == FINISHED else logger.warning
        say("%s, %s: %s (%d of %d)", result.cell.method, result.cell.run, _told(result), len(kept), len(cells))
        _write(out, facts, config, [kept[cell] for cell in cells if cell in kept], provenance)

    facts = _Facts.of(CellData.load(data_of(out, cells[0])))
    todo = [cell for cell in cells if cell not in kept]
    threads = config.training.threads or 1
    if not run_cells(out, todo, jobs=jobs, threads=threads, stopping=stopping, done=done):
        raise _interrupted(f"{len(_settled(out, cells))} of {len(cells)} fits are done", f"they are kept in {out}")
    results = [kept[cell] for cell in cells]
    provenance.finish()
    summaries = _write(out, facts, config, results, provenance)
    if not any(result.state == FINISHED for result in results):
        first = results[0]
        raise TrainingError(
            "no fit finished", where=out, why=f"{first.cell.method}, {first.cell.run}, {first.state}: {first.why}"
        )
    figures = draw_embeddings(out, config, results, columns, provenance.command)
    tables = [out / name for name in ("table.tsv", "table.md", "table.json")]
    return BenchmarkSummary(out, tuple(summaries), tuple(results), (*tables, *figures), provenance)


def _settled(out: Path, cells: Sequence[Cell]) -> dict[Cell, Result]:
    """Results that are there and stay."""
    return {cell: found for cell in cells if (found := Result.read(out, cell)) is not None and found.settled}


def _columns(labels: SampleLabels, config: BenchmarkConfig) -> LabelColumns:
    population = config.population if config.population is not None else labels.default_population_column()
    group = config.group if config.group is not None else labels.default_group_column()
    for name in (population, *([] if group is None else [group])):
        labels.column(name)
    return LabelColumns(labels, population, group)


def _digests(columns: LabelColumns) -> list[str]:
    """One digest for each column that is used, with its name."""
    found = []
    for name in (columns.population, columns.group):
        if name is not None:
            text = "\n".join(map("\t".join, zip(columns.labels.samples, columns.labels.column(name), strict=True)))
            found.append(f"{name} {sha256(text.encode()).hexdigest()}")
    return found


def _prepare(
    inputs: Sequence[Path],
    columns: LabelColumns,
    out: Path,
    config: BenchmarkConfig,
    cells: Sequence[Cell],
    stopping: Callable[[], bool],
    force: bool,
) -> dict[Path, CellData]:
    """What is not there yet of the data of ``cells``, by file; nothing is written before all of it is known good."""
    first = {data_of(out, cell): cell for cell in reversed(cells)}
    needed = {
        path: cell for path, cell in first.items() if force or not ((out / MANIFEST).is_file() and path.is_file())
    }
    if not needed:
        return {}
    matrix = open_genotypes(inputs, config.qc.split_multiallelic)
    check_samples(matrix.n_samples, matrix.source)
    populations = columns.of(matrix.samples)[0]
    check_populations(populations[populations != ""].astype(object), columns.population, columns.labels.source)
    prepared = {}
    for path, cell in sorted(needed.items()):
        if stopping():
            raise _interrupted("preparing the data", "nothing was fitted yet")
        logger.info("%s: quality control and components", cell.run if cell.protocol != TRANSDUCTIVE else "everybody")
        if cell.protocol == TRANSDUCTIVE:
            prepared[path] = everybody(matrix, columns, config)
        else:
            prepared[path] = split(matrix, columns, config, cell.number)
    if stopping():
        raise _interrupted("preparing the data", "nothing was fitted yet")
    return prepared


def _interrupted(where: str, why: str) -> InterruptedRunError:
    fix = "run the same command again: it goes on from there"
    return InterruptedRunError("interrupted", where=where, why=why, fix=fix)


def _told(result: Result) -> str:
    if result.state != FINISHED:
        return f"{result.state}: {result.why}"
    v = result.values
    accuracy = f"20-NN {v['knn']:.3f}" if "knn" in v else f"20-NN of new people {v['new_knn']:.3f}"
    nmi = f", NMI {v['mixture_nmi']:.3f}" if "mixture_nmi" in v else ""
    return f"{accuracy}{nmi}, {v['seconds']:.1f} s, {v['memory_mib']:.0f} MiB"


@dataclass(frozen=True)
class _Facts:
    """What tables say of the data; seconds are those of quality control and components."""

    samples: int
    sites: int
    components: int
    preparing_seconds: float

    @staticmethod
    def of(everyone: CellData) -> _Facts:
        n, k = everyone.fitted.x.shape
        return _Facts(n, everyone.n_sites, k, round(everyone.seconds, 2))


def _write(
    out: Path, facts: _Facts, config: BenchmarkConfig, results: Sequence[Result], provenance: Provenance
) -> list[Summary]:
    """Tables of the cells that are there."""
    summaries = summarise(config.methods, results)
    head = [
        f"data: {', '.join(provenance.inputs)}; {facts.samples:,} samples, {facts.sites:,} sites, {facts.components} "
        f"principal components, {config.mask:.0%} of genotypes masked".replace("%", " %"),
        f"seeds {config.seeds}, splits {config.splits}; genovi {provenance.genovi}; mean ± half of the 95 % interval "
        "(Student's t over the fits), no interval for one fit",
        f"all methods share quality control and components, which took {facts.preparing_seconds:.1f} s",
    ]
    rows = frame(summaries)
    with atomic_path(out / "table.tsv") as temporary:
        rows.to_csv(temporary, sep="\t", index=False, float_format="%.6g", lineterminator="\n")
    with atomic_path(out / "table.md") as temporary:
        temporary.write_text(markdown(summaries, results, head), encoding="utf-8")
    record = {
        **asdict(facts),
        "masked": config.mask,
        "seeds": config.seeds,
        "splits": config.splits,
        "rows": [{"method": s.method, "measure": s.measure.name, "protocol": s.measure.protocol, "n": s.n,
                  "mean": s.mean, "low": s.low, "high": s.high, "failed": s.failed} for s in summaries],
        "cells": [asdict(result) for result in results],
        "provenance": provenance.to_dict(),
    }  # fmt: skip
    with atomic_path(out / "table.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return summaries


def draw_embeddings(
    out: Path, config: BenchmarkConfig, results: Sequence[Result], columns: LabelColumns, command: str
) -> list[Path]:
    """Embeddings of everybody side by side: of each method the first seed that finished, whatever its scores."""
    first: dict[str, Cell] = {}
    for result in results:
        if result.state == FINISHED and result.cell.protocol == TRANSDUCTIVE:
            first.setdefault(result.cell.method, result.cell)
    shown = [
        replace(Embedding.read_tsv(first[method.name].embedding_in(out)), method=method.name)
        for method in config.methods
        if method.is_map and method.name in first
    ]
    if not shown:
        return []
    shown = [replace(one, mean=_scaled(one.mean, shown[0].mean)) for one in shown]
    sheet = Sheet.parse(f"{max(_PAGE, _PANEL * math.ceil(math.sqrt(len(shown))))}")
    options = AncestryOptions(by=ColorBy(columns.population, columns.group), sheet=sheet)
    with said_already():  # each panel would count the same labels again
        labels = match(columns.labels, shown[0].samples).labels
    files = [out / name for name in FIGURES]
    for file in files:
        plot_ancestry(shown, file, labels=labels, align_to=shown[0], options=options, force=True, command=command)
    return files


def _scaled(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Points with the spread of the target: axes of different methods have different units, none of them a meaning."""
    spread = float(points.std())
    return points * (float(target.std()) / spread) if spread > 0 else points
