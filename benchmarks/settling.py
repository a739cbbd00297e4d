"""How the posterior is best brought to its optimum once a model is found: lengths, noise and dreams of settling.

    genovi benchmark GENOTYPES --labels LABELS --methods pca --splits 1 --out DIR      # makes DIR/data
    python benchmarks/settling.py DIR/data/split1.npz [...] [--seed 1] [--posterior ddvi] [--out DIR]

One fit of four fifths of the people without settling (genovi.training.settling); then each way to settle goes on from
its weights. Prior and decoder stay, and log p(x) with them, so that a gap is that of q alone: of people that training
saw (250), of those held out, of whom early stopping knew, and of the other fifth, whom nothing has seen. "noise" is
the standard deviation of what is added to components, over that of the likelihood; "dreams" the weight of the sleep
term. "seconds" are of processor time, the first row's of the whole fit.

Writes OUT/settling.json and OUT/settling.md after every fit.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genovi.bounds import Bounds, measure
from genovi.comparison.shared import CellData
from genovi.model.config import ModelConfig
from genovi.model.densities import Noise
from genovi.model.rows import Data
from genovi.model.vae import LatentModel
from genovi.ranks import ALONE
from genovi.seeding import Seeds
from genovi.training.batches import Batches
from genovi.training.config import TrainingConfig
from genovi.training.gradients import choose_gradients
from genovi.training.loop import CLIP, fit
from genovi.training.monitor import Monitor
from genovi.training.objectives import choose_objective
from genovi.training.optimiser import Adam
from genovi.training.outcome import Fit

SEEN, DRAWS = 250, 64
Row = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """How to settle.

    Attributes:
        steps: How many.
        noise: Standard deviation of noise in components, in that of the likelihood.
        dreams: Weight of the sleep term.
    """

    steps: int
    noise: float
    dreams: float


WAYS = (
    Way(551, 0, 1), Way(551, 1, 1), Way(1102, 0, 1), Way(1102, 0.5, 1), Way(1102, 1, 1), Way(1102, 2, 1),
    Way(1102, 1, 0), Way(1102, 1, 3),
)  # fmt: skip


def settled(found: Fit, x: Tensor, way: Way, config: TrainingConfig, seeds: Seeds) -> LatentModel:
    """The model after it."""
    model = copy.deepcopy(found.model)
    own = list(model.posterior.parameters())
    of_q = {id(parameter) for parameter in own}
    others = [parameter for parameter in model.parameters() if id(parameter) not in of_q]
    noise = Noise(seeds.torch("noise"))
    gradients = choose_gradients(model, choose_objective(model.config, config), way.dreams, noise, ALONE)
    optimiser, batches = Adam(own), Batches(x, config.batch_size, seeds.torch("batches"))
    spread = way.noise * model.likelihood.log_noise.detach().exp()
    for parameter in others:
        parameter.requires_grad_(False)
    for step, rows in zip(range(way.steps), _endless(batches), strict=False):
        assert isinstance(rows, Tensor)
        gradients.compute(rows + spread * noise.like(rows), 1.0)
        for parameter in others:
            if parameter.grad is not None:
                parameter.grad.zero_()
        gradients.clip(CLIP)
        rise, fall = min(1.0, 20 * (step + 1) / way.steps), 0.5 * (1 + math.cos(math.pi * step / way.steps))
        optimiser.step(config.lr * rise * fall)
    return model.eval()


def _endless(batches: Batches) -> Iterator[Data]:
    while True:
        yield from batches.epoch()


def measured(model: LatentModel, found: Fit, data: CellData, seen: np.ndarray) -> Row:
    """Gaps of the three groups of people, and log p(x) of the new ones."""
    assert data.new is not None
    x = torch.as_tensor(data.fitted.x, dtype=torch.float32)
    new = torch.as_tensor(data.new.x, dtype=torch.float32)
    excess = torch.as_tensor(data.new.excess, dtype=torch.float32) if data.new.excess.size else None
    row: Row = {}
    for name, rows, more in (
        ("seen", x[seen[:SEEN]], None),
        ("held out", x[found.held_out], None),
        ("new", new, excess),
    ):
        bounds = Bounds.of(measure(model, rows, DRAWS, 1, more), name, len(rows))
        row |= {name: bounds.gap, f"{name} size": bounds.effective_size, f"{name} log p(x)": bounds.log_evidence}
    return row


def rows_of(path: Path, posterior: str, seed: int) -> Iterator[Row]:
    """No settling, and each way of it."""
    data, seeds = CellData.load(path), Seeds(seed)
    config = TrainingConfig(device="cpu", threads=1, settling=0)
    begin = time.process_time()
    found = fit(
        data.fitted.x, replace(ModelConfig(), posterior=posterior), config, seeds, Monitor(), data.noise_floor
    )  # fmt: skip
    name = {"data": path.parent.parent.name, "posterior": posterior, "seed": seed}
    seen = np.setdiff1d(np.arange(len(data.fitted.x)), found.held_out)
    x = torch.as_tensor(data.fitted.x, dtype=torch.float32)[torch.from_numpy(seen)]
    seconds = time.process_time() - begin
    yield name | {"way": "none", "seconds": seconds, **measured(found.model, found, data, seen)}
    for way in WAYS:
        begin = time.process_time()
        model = settled(found, x, way, config, seeds.child("settling"))
        seconds = time.process_time() - begin
        said = f"{way.steps} steps, noise {way.noise:g}, dreams {way.dreams:g}"
        yield name | {"way": said, "seconds": seconds, **measured(model, found, data, seen)}


def markdown(rows: list[Row]) -> str:
    """One line for each way."""
    head = ("data", "settling", "gap, seen", "held out", "new", "effective size, held out", "new", "log p(x), new", "s")
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for row in rows:
        numbers = [f"{row[key]:.2f}" for key in ("seen", "held out", "new")]
        numbers += [f"{row[key]:.1f}" for key in ("held out size", "new size")]
        numbers += [f"{row['new log p(x)']:.2f}", f"{row['seconds']:.0f}"]
        name = f"{row['data']}, {row['posterior']}, {row['seed']}"
        lines.append(f"| {' | '.join([name, row['way'], *numbers])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--posterior", default="ddvi")
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    rows: list[Row] = []
    for path in arguments.data:
        for row in rows_of(path, arguments.posterior, arguments.seed):
            rows.append(row)
            print(row, flush=True)
            (arguments.out / "settling.json").write_text(json.dumps(rows, indent=1) + "\n")
            (arguments.out / "settling.md").write_text(markdown(rows))


if __name__ == "__main__":
    main()
