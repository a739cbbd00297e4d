"""One cell: a method fitted and judged.

Time, on the clock and of the CPU, is that of fitting and embedding, memory the most that the process has held until
then. Reading, quality control and principal components, which all methods share, and judging, which no method needs,
are in none of them. Only fits of the model load torch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genovi.baselines import pca_embedding, tsne_embedding, umap_embedding, umap_inductive
from genovi.comparison.cells import DIVERGED, FAILED, FINISHED, Cell, Result
from genovi.comparison.methods import METHODS, Method
from genovi.comparison.shared import CellData
from genovi.embedding import Embedding
from genovi.errors import GenoviError, TrainingError
from genovi.evaluation import evaluate, inductive_knn
from genovi.model.config import ModelConfig
from genovi.provenance import peak_memory_mib
from genovi.scores import Agreement, Scores
from genovi.seeding import Seeds
from genovi.training.config import TrainingConfig

if TYPE_CHECKING:
    from genovi.comparison.models import ModelFit

AGREEMENTS = ("purity", "completeness", "nmi", "ami", "ari")
BOUNDS = ("elbo", "iwae", "log_evidence", "gap", "kl")
_WARM_UP = 200  # samples that UMAP's loops are compiled with before the clock starts


@dataclass(frozen=True)
class _Made:
    """Embeddings of a fit, and its model where there is one."""

    fitted: Embedding
    new: Embedding | None = None
    model: ModelFit | None = None

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
    except TrainingError as error:
        result = Result(cell, DIVERGED, str(error))
    except GenoviError as error:
        result = Result(cell, FAILED, str(error))
    result.write(out)
    return result


def _run(out: Path, cell: Cell, method: Method, data: CellData, model: ModelConfig, training: TrainingConfig) -> Result:
    if method.name == "umap":
        few = data.fitted.x[:_WARM_UP, : method.components], data.fitted.names[:_WARM_UP]
        if data.new is None:
            umap_embedding(*few, Seeds(0))
        else:
            umap_inductive(*few, *few, Seeds(0))
    if method.name == "tsne":
        from sklearn import manifold  # noqa: F401 (loading it is no part of a fit)
    start, worked = time.perf_counter(), time.process_time()
    if method.posterior is None:
        made = _baseline(method, cell.number, data, model.latent_dim)
    else:
        from genovi.comparison.models import fit_model

        start, worked = time.perf_counter(), time.process_time()  # loading torch is no part of a fit
        trained = fit_model(cell.number, data, model, training)
        made = _Made(trained.fitted, trained.new, trained)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - worked
    cost = {"seconds": seconds, "cpu_seconds": cpu_seconds, "memory_mib": peak_memory_mib()}
    if not made.finite:
        return Result(cell, DIVERGED, "coordinates are not finite", cost)
    shown = made.fitted if made.new is None else made.new
    replace(shown, method=method.name).write_tsv(cell.embedding_in(out))
    judged, details = _old(made, data) if made.new is None else _new(made, made.new, data)
    values = {name: value for name, value in (judged | cost).items() if value is not None and math.isfinite(value)}
    return Result(cell, FINISHED, "", values, details)


def _baseline(method: Method, seed: int, data: CellData, d: int) -> _Made:
    fitted, new = data.fitted, data.new
    x = fitted.x[:, : method.components]
    y = None if new is None else new.x[:, : method.components]
    if method.name in ("pca", "pca10"):
        n = d if method.is_map else x.shape[1]
        placed = None if new is None or y is None else pca_embedding(y, new.names, n)
        return _Made(pca_embedding(x, fitted.names, n), placed)
    if method.name == "tsne":
        return _Made(tsne_embedding(x, fitted.names, Seeds(seed), n_dimensions=d))
    if new is None or y is None:
        return _Made(umap_embedding(x, fitted.names, Seeds(seed), n_dimensions=d))
    return _Made(*umap_inductive(x, fitted.names, y, new.names, Seeds(seed), n_dimensions=d))


def _old(made: _Made, data: CellData) -> tuple[dict[str, float | None], dict[str, Any]]:
    """Measures of an embedding of everybody."""
    fst = (data.fst_populations.tolist(), data.fst) if data.fst.size else None
    scores = evaluate(made.fitted, data.fitted.labels, reference=data.reference, fst=fst)
    values = _flat(scores)
    bounds, details = _of_model(made, "")
    return values | bounds, {"scores": scores.to_dict(), **details}


def _new(made: _Made, new: Embedding, data: CellData) -> tuple[dict[str, float | None], dict[str, Any]]:
    """Measures of an embedding of new people."""
    assert data.new is not None
    known, asked = (people.populations.tolist() for people in (data.fitted, data.new))
    transfer = inductive_knn(made.fitted, known, new, asked)
    bounds, details = _of_model(made, "new_")
    return {"new_knn": transfer.accuracy, **bounds}, {"new_knn_asked": transfer.k, **details}


def _of_model(made: _Made, prefix: str) -> tuple[dict[str, float | None], dict[str, Any]]:
    if made.model is None:
        return {}, {}
    bounds = made.model.bounds()
    values = {f"{prefix}{name}": getattr(bounds, name) for name in BOUNDS}
    return values, made.model.details() | {"bounds": bounds.to_dict()}


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
