"""One cell: a method fitted and judged.

Time, on the clock and of the CPU, is that of fitting and embedding, memory the most that the process has held until
then. Reading, quality control and principal components, which all methods share, and judging, which no method needs,
are in none of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genovi.baselines import pca_embedding, tsne_embedding, umap_embedding, umap_inductive
from genovi.bounds import Bounds, joined, measure
from genovi.comparison.cells import DIVERGED, FAILED, FINISHED, Cell, Result
from genovi.comparison.data import CellData, People
from genovi.comparison.methods import METHODS, Method
from genovi.embedding import Embedding
from genovi.encoding import Components, encode
from genovi.errors import GenoviError
from genovi.evaluation import evaluate, inductive_knn
from genovi.model.config import ModelConfig
from genovi.placing import embedding_seed
from genovi.provenance import peak_memory_mib
from genovi.scores import Agreement, Scores
from genovi.seeding import Seeds
from genovi.summaries import BOUND_DRAWS, measure_bounds
from genovi.training.config import TrainingConfig
from genovi.training.device import choose_device
from genovi.training.loop import DivergedError, Fit, fit
from genovi.training.monitor import Monitor

AGREEMENTS = ("purity", "completeness", "nmi", "ami", "ari")
BOUNDS = ("elbo", "iwae", "log_evidence", "gap", "kl")
_WARM_UP = 200  # samples that UMAP's loops are compiled with before the clock starts


@dataclass(frozen=True)
class _Made:
    """Embeddings of a fit, and its model where there is one."""

    fitted: Embedding
    new: Embedding | None = None
    fit: Fit | None = None

    @property
    def finite(self) -> bool:
        """Whether every sample has a place."""
        return all(np.isfinite(one.mean).all() for one in (self.fitted, self.new) if one is not None)


def run_cell(out: Path, cell: Cell, data: CellData, model: ModelConfig, training: TrainingConfig) -> Result:
    """Fit and judge; writes the embedding and the result.

    Args:
        out: Folder of the benchmark.
        cell: What to fit.
        data: What it is given.
        model: Shape of the model, whatever its posterior.
        training: Optimisation, whatever its objective.
    """
    method = METHODS[cell.method]
    if method.posterior is not None:
        model = replace(model, posterior=method.posterior)
        training = replace(training, objective=method.objective)
    try:
        result = _run(out, cell, method, data, model, training)
    except DivergedError as error:
        result = Result(cell, DIVERGED, str(error))
    except GenoviError as error:
        result = Result(cell, FAILED, str(error))
    result.write(out)
    return result


def _run(out: Path, cell: Cell, method: Method, data: CellData, model: ModelConfig, training: TrainingConfig) -> Result:
    if method.name == "umap":
        few = data.fitted.x[:_WARM_UP], data.fitted.names[:_WARM_UP]
        if data.new is None:
            umap_embedding(*few, Seeds(0))
        else:
            umap_inductive(*few, *few, Seeds(0))
    start, worked = time.perf_counter(), time.process_time()
    if method.posterior is None:
        made = _baseline(method, cell.number, data, model.latent_dim)
    else:
        made = _trained(cell.number, data, model, training)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - worked
    cost = {"seconds": seconds, "cpu_seconds": cpu_seconds, "memory_mib": peak_memory_mib()}
    if not made.finite:
        return Result(cell, DIVERGED, "coordinates are not finite", cost)
    shown = made.fitted if made.new is None else made.new
    replace(shown, method=method.name).write_tsv(cell.embedding_in(out))
    judged, details = _old(cell, made, data) if made.new is None else _new(cell, made, made.new, data)
    values = {name: value for name, value in (judged | cost).items() if value is not None and math.isfinite(value)}
    return Result(cell, FINISHED, "", values, details)


def _baseline(method: Method, seed: int, data: CellData, d: int) -> _Made:
    fitted, new = data.fitted, data.new
    if method.name == "pca":
        placed = None if new is None else pca_embedding(new.x, new.names, d)
        return _Made(pca_embedding(fitted.x, fitted.names, d), placed)
    if method.name == "tsne":
        return _Made(tsne_embedding(fitted.x, fitted.names, Seeds(seed), n_dimensions=d))
    if new is None:
        return _Made(umap_embedding(fitted.x, fitted.names, Seeds(seed), n_dimensions=d))
    return _Made(*umap_inductive(fitted.x, fitted.names, new.x, new.names, Seeds(seed), n_dimensions=d))


def _trained(seed: int, data: CellData, model: ModelConfig, training: TrainingConfig) -> _Made:
    found = fit(data.fitted.x, model, training, Seeds(seed), Monitor(), data.noise_floor)
    device, draws = choose_device("cpu"), embedding_seed(seed)

    def placed(people: People) -> Embedding:
        return encode(found.model, people.components, people.names, draws, device)

    return _Made(placed(data.fitted), None if data.new is None else placed(data.new), found)


def _old(cell: Cell, made: _Made, data: CellData) -> tuple[dict[str, float | None], dict[str, Any]]:
    """Measures of an embedding of everybody."""
    fst = (data.fst_populations.tolist(), data.fst) if data.fst.size else None
    scores = evaluate(made.fitted, data.fitted.labels, reference=data.reference, fst=fst)
    values = _flat(scores)
    details: dict[str, Any] = {"scores": scores.to_dict()}
    if made.fit is not None:
        bounds = measure_bounds(made.fit, data.fitted.x, Seeds(cell.number).integer("bounds"))
        values |= {name: getattr(bounds, name) for name in BOUNDS}
        details |= _of_fit(made.fit) | {"bounds": bounds.to_dict()}
    return values, details


def _new(cell: Cell, made: _Made, new: Embedding, data: CellData) -> tuple[dict[str, float | None], dict[str, Any]]:
    """Measures of an embedding of new people."""
    assert data.new is not None
    known, asked = (people.populations.tolist() for people in (data.fitted, data.new))
    transfer = inductive_knn(made.fitted, known, new, asked)
    values: dict[str, float | None] = {"new_knn": transfer.accuracy}
    details: dict[str, Any] = {"new_knn_asked": transfer.k}
    if made.fit is not None:
        bounds = _new_bounds(made.fit, data.new.components, Seeds(cell.number).integer("bounds"))
        values |= {f"new_{name}": getattr(bounds, name) for name in BOUNDS}
        details |= _of_fit(made.fit) | {"bounds": bounds.to_dict()}
    return values, details


def _new_bounds(found: Fit, new: Components, seed: int) -> Bounds:
    parts = [
        measure(found.model, x, BOUND_DRAWS, seed, None if excess is None else torch.as_tensor(excess))
        for _, x, excess in new.parts()
    ]
    return Bounds.of(joined(parts), "new", len(new.x))


def _of_fit(found: Fit) -> dict[str, Any]:
    return {"epochs": len(found.history), "ended": found.reason, "device": found.device, "threads": found.threads}


def _flat(scores: Scores) -> dict[str, float | None]:
    populations = scores.populations
    values: dict[str, float | None] = {"knn": populations.knn_accuracy}
    values |= _agreement("mixture", populations.mixture)
    values |= _agreement("clusters", populations.clusters)
    return values | {
        "trustworthiness": scores.trustworthiness,
        "continuity": scores.continuity,
        "fst_correlation": scores.fst_correlation,
    }


def _agreement(read_out: str, found: Agreement | None) -> Mapping[str, float]:
    return {} if found is None else {f"{read_out}_{name}": getattr(found, name) for name in AGREEMENTS}
