"""What tests let several ranks do: run as a script, one process for each, it writes what its rank has seen.

RANK=0 WORLD_SIZE=3 LOCAL_RANK=0 MASTER_ADDR=127.0.0.1 MASTER_PORT=12345 python tests/ranked.py FOLDER
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from helpers import simulate_structure

from genovi.genotypes.matrix import GenotypeMatrix
from genovi.model.config import ModelConfig
from genovi.preparing import FittedComponents, assist_components, fit_components
from genovi.ranks import Place, Ranks, join
from genovi.seeding import Seeds
from genovi.structure import pca
from genovi.trained import genotypes_of, sites_of
from genovi.training.config import TrainingConfig
from genovi.training.loop import fit
from genovi.training.monitor import Monitor
from genovi.training.objectives import choose_objective
from genovi.training.semisupervised import KnownClasses, SemiSupervised

GAUSSIAN = ModelConfig(steps=1, hidden=32)
SHORT = TrainingConfig(epochs=3, batch_size=50, device="cpu", threads=1)  # batches that 3 ranks cannot share evenly
MODELS = {
    "default": (GAUSSIAN, SHORT),
    "iwae": (replace(GAUSSIAN, prior="vamp"), replace(SHORT, objective="iwae", draws=3)),
    "flows": (replace(GAUSSIAN, posterior="hiaf", prior="pinwheel"), SHORT),
    "adversarial": (replace(GAUSSIAN, posterior="aae", prior="mixture-free"), SHORT),
    "genotypes": (replace(GAUSSIAN, likelihood="binomial"), replace(SHORT, batch_variants=200)),
    "labels": (GAUSSIAN, SHORT),
    "nothing held out": (replace(GAUSSIAN, posterior="gaussian", prior="normal"), replace(SHORT, holdout=0.0)),
}


def cohort() -> tuple[GenotypeMatrix, np.ndarray]:
    """Genotypes, some of them missing, and the population of each sample."""
    return simulate_structure(seed=6, n_populations=4, n_per=60, n_variants=700, fst=0.1, missing=0.02)


def components(ranks: Ranks) -> FittedComponents | None:
    """Principal components by all ranks; None on those that only help."""
    if not ranks.first:
        assist_components(Seeds(5), ranks)
        return None
    return fit_components(cohort()[0], None, Seeds(5), incomplete=True, ranks=ranks)


def weights(name: str, found: FittedComponents, ranks: Ranks) -> np.ndarray:
    """All weights of a model after a short training, and its history without the seconds."""
    matrix, populations = cohort()
    model, training = MODELS[name]
    objective = genotypes = None
    if name == "labels":
        names, place = np.unique(populations, return_inverse=True)
        known = KnownClasses("pop", tuple(names), np.where(np.arange(len(place)) % 3 == 0, place, -1))
        model = replace(model, components=8, classes=len(names))
        objective = SemiSupervised(choose_objective(model, training), found.x, known, ranks)
    if name == "genotypes":
        genotypes = (genotypes_of(matrix), sites_of(found.axes, found.standardiser, found.noise_scale))
    result = fit(
        found.x, model, training, Seeds(2), Monitor(), found.noise_floor, None, objective, genotypes, ranks
    )  # fmt: skip
    numbers = [parameter.detach().double().reshape(-1) for parameter in result.model.parameters()]
    terms = [[record.bound, record.sleep, record.held_out, record.gradient_norm] for record in result.history]
    return np.concatenate([torch.cat(numbers).numpy(), np.array(terms).reshape(-1)])


def seen_by(ranks: Ranks) -> dict[str, np.ndarray]:
    """What one of the ranks, or a process alone, makes of all of it."""
    seen = {}
    for kind, least in (("exact", 5000), ("randomised", 100)):
        pca.EXACT_SAMPLES = least
        found = ranks.same(components(ranks))
        assert found is not None
        seen |= {
            f"{kind} singular values": found.axes.singular_values,
            f"{kind} loadings": found.axes.loadings,
            f"{kind} scores": found.x,
            f"{kind} noise": np.array(list(found.axes.noise.to_dict().values())),
        }
    pca.EXACT_SAMPLES = 5000
    found = ranks.same(components(ranks))
    assert found is not None
    # the same for all, so that models differ by what training does alone
    found = replace(found, x=found.x.round(4))
    seen |= {name: weights(name, found, ranks) for name in MODELS}
    whole = cohort()[0].packed
    seen["dealt"] = ranks.joined(ranks.dealt(whole if ranks.first else None))
    seen["dealt whole"] = ranks.dealt(whole if ranks.first else None, whole=True)
    return seen


def main(folder: Path) -> None:
    """Be one of the ranks."""
    place = Place.of(os.environ)
    assert place is not None
    with join(place, "cpu") as ranks:
        np.savez(folder / f"rank-{place.rank}.npz", **seen_by(ranks))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
