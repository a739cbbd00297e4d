"""How to train the diffusion posterior: gradient estimators and numbers of steps T compared.

    python benchmarks/estimators.py [--data toy kgp3] [--seeds 1 2] [--updates 600] [--out DIR]

Estimators, all of the same model, data, split and number of updates:

    path      reparametrised gradients of E_q[w] through the chain (what genovi does)
    path-4    the same with the mean over as many paths K as the next two have
    vargrad   q by the log-variance loss, half the variance of w over K paths held fixed (Richter et al., NeurIPS 2020);
              decoder and prior by E_q[w]
    rws       reweighted wake-sleep (Bornschein and Bengio, ICLR 2015): q by the cross-entropy of K paths under their
              normalised weights, decoder and prior by the same weights

all with the sleep term. Bounds are of held-out samples under the best weights by IWAE; log p(x) by quadrature, so that
"gap" is log p(x) - ELBO and "KL" the part of it that q(z|x) costs. "noise" is the variance of the gradient with respect
to the posterior's parameters over its squared mean, for one batch at the weights that "path" ended with. "ms" is the
processor time of one update, evaluation included.

toy: x = (z1^2, z2^2, z1 z2, z1^2 - z2) and noise 0.3, z ~ N(0, I): two peaks for most samples. kgp3: 1000 Genomes from
$GENOVI_REAL_DATA. Writes DIR/estimators.json and DIR/estimators.md after every run.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genovi.bounds import Bounds, measure
from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.model.config import ModelConfig
from genovi.model.densities import Noise
from genovi.model.posterior import Path as Draw
from genovi.model.vae import BoundTerms, LatentModel
from genovi.preparing import choose_axes
from genovi.seeding import Seeds
from genovi.structure.pca import fit_axes
from genovi.structure.standardise import Standardiser
from genovi.training.config import TrainingConfig
from genovi.training.loop import fit
from genovi.training.monitor import Monitor
from genovi.training.objectives import Elbo, Objective

REPO = Path(__file__).resolve().parents[1]
PATHS = 4
REPEATS = 40
STEPS = (2, 4, 8, 16)
MIDDLE = 4  # the T at which estimators are compared
Row = dict[str, Any]


class Fixed(Objective):
    """Losses of paths that no gradient reaches: only their densities do."""

    def loss(self, model: LatentModel, x: Tensor, noise: Noise, beta: float) -> tuple[Tensor, BoundTerms]:
        white = model.whiten(x)
        with torch.no_grad():
            values = model.posterior.draw(white, noise, PATHS).values
        chain, entropy = model.posterior(white, values)
        terms = model.path_terms(x, Draw(values[-1], chain, entropy, values))
        return self.of(terms, beta), terms

    @abstractmethod
    def of(self, terms: BoundTerms, beta: float) -> Tensor:
        """The loss, from terms of shape (PATHS, batch)."""


def split(terms: BoundTerms, beta: float) -> tuple[Tensor, Tensor]:
    """w with gradients for decoder and prior alone, and for the posterior alone."""
    generative = terms.reconstruction + beta * terms.prior
    posterior = beta * (terms.chain + terms.entropy)
    return generative + posterior.detach(), generative.detach() + posterior


class VarGrad(Fixed):
    """The log-variance loss for q."""

    def of(self, terms: BoundTerms, beta: float) -> Tensor:
        generative, posterior = split(terms, beta)
        return 0.5 * posterior.var(dim=0).mean() - generative.mean()


class Reweighted(Fixed):
    """Reweighted wake-sleep."""

    def of(self, terms: BoundTerms, beta: float) -> Tensor:
        weights = torch.softmax(terms.tempered(beta).detach(), dim=0)
        generative, posterior = split(terms, beta)
        # chain + entropy hold -log q, so that the cross-entropy is their sum
        return (weights * (posterior - generative)).sum(0).mean()


class Paths(Objective):
    """The evidence lower bound by several paths."""

    def loss(self, model: LatentModel, x: Tensor, noise: Noise, beta: float) -> tuple[Tensor, BoundTerms]:
        terms, _ = model.terms(x, noise, PATHS)
        return -terms.tempered(beta).mean(), terms


ESTIMATORS: dict[str, type[Objective]] = {"path": Elbo, "path-4": Paths, "vargrad": VarGrad, "rws": Reweighted}


def toy(n: int = 1000) -> np.ndarray:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, 2))
    x = np.stack([z[:, 0] ** 2, z[:, 1] ** 2, z[:, 0] * z[:, 1], z[:, 0] ** 2 - z[:, 1]], axis=1)
    return x / 0.3 + rng.normal(size=x.shape)


def kgp3(cache: Path) -> np.ndarray:
    """Noise-scaled components of 1000 Genomes, as ``genovi train`` makes them."""
    if cache.exists():
        return np.load(cache)
    folder = Path(os.environ.get("GENOVI_REAL_DATA", REPO.parent / "shared" / "data"), "kgp3")
    matrix, _ = apply_qc(open_genotypes([folder / "kgp3.bed"]), QCConfig())
    axes, scores = fit_axes(matrix, Standardiser.fit(matrix), 100, Seeds(1))
    k = choose_axes(axes.noise, None, axes.n_samples, axes.n_axes)
    x = scores[:, :k] / np.sqrt(axes.noise.edge)
    np.save(cache, x)
    return x


def run(data: str, x: np.ndarray, estimator: str, steps: int, seed: int, updates: int) -> tuple[Row, LatentModel]:
    config = ModelConfig(steps=steps, prior="normal" if data == "toy" else "mixture")
    training = TrainingConfig(steps=updates, holdout=0.1, device="cpu", threads=1)
    begin = time.process_time()
    trained = fit(x, config, training, Seeds(seed), Monitor(), objective=ESTIMATORS[estimator]())
    seconds = time.process_time() - begin
    held_out = torch.as_tensor(x[trained.held_out], dtype=torch.float32)
    found = Bounds.of(measure(trained.model, held_out, 64, seed), "held-out", len(held_out))
    row = {"data": data, "estimator": estimator, "T": steps, "seed": seed, "ms": 1000 * seconds / updates}
    row |= {name: getattr(found, name) for name in ("elbo", "iwae", "log_evidence", "gap", "kl", "effective_size")}
    print(row, flush=True)
    return row, trained.model


def gradient_noise(model: LatentModel, x: np.ndarray, estimator: str) -> float:
    """Total variance of the posterior's gradient over the squared norm of its mean."""
    batch, objective = torch.as_tensor(x[:256], dtype=torch.float32), ESTIMATORS[estimator]()
    noise = Noise(torch.Generator().manual_seed(7))
    gradients = []
    for _ in range(REPEATS):
        model.zero_grad()
        objective.loss(model, batch, noise, 1.0)[0].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.posterior.parameters() if p.grad is not None]))
    stacked = torch.stack(gradients)
    variance = stacked.var(dim=0).sum()
    signal = stacked.mean(dim=0).square().sum() - variance / REPEATS  # without what the mean's own noise adds
    return float(variance / signal.clamp_min(1e-12))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=("toy", "kgp3"), default=["toy", "kgp3"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    file, noises = arguments.out / "estimators.json", dict[str, float]()
    rows: list[Row] = json.loads(file.read_text()) if file.exists() else []
    for data in arguments.data:
        x = toy() if data == "toy" else kgp3(arguments.out / "kgp3.npy")
        cases = [(name, MIDDLE) for name in ESTIMATORS] + [("path", t) for t in STEPS if t != MIDDLE]
        for seed in arguments.seeds:
            for estimator, steps in cases:
                key = {"data": data, "estimator": estimator, "T": steps, "seed": seed, "updates": arguments.updates}
                if any(all(row[name] == value for name, value in key.items()) for row in rows):
                    continue
                row, model = run(data, x, estimator, steps, seed, arguments.updates)
                row["updates"] = arguments.updates
                if estimator == "path" and steps == MIDDLE:
                    noises = {name: gradient_noise(model, x, name) for name in ESTIMATORS}
                    print(noises, flush=True)
                row["noise"] = noises.get(estimator) if steps == MIDDLE else None
                rows.append(row)
                file.write_text(json.dumps(rows, indent=1) + "\n")
                (arguments.out / "estimators.md").write_text(markdown(rows))


def markdown(rows: list[Row]) -> str:
    """Means over seeds, with half the range."""
    columns = ("elbo", "iwae", "log_evidence", "gap", "kl", "ms", "noise")
    lines = ["| data | estimator | T | ELBO | IWAE-64 | log p(x) | gap | KL | ms | noise |", "| --- " * 10 + "|"]
    for data, estimator, steps in dict.fromkeys((row["data"], row["estimator"], row["T"]) for row in rows):
        same = [r for r in rows if (r["data"], r["estimator"], r["T"]) == (data, estimator, steps)]
        cells = [spread([r[name] for r in same if r[name] is not None]) for name in columns]
        lines.append(f"| {data} | {estimator} | {steps} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def spread(values: list[float]) -> str:
    if not values:
        return ""
    return f"{np.mean(values):.2f} ± {np.ptp(values) / 2:.2f}"


if __name__ == "__main__":
    main()
