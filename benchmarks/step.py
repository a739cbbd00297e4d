"""Time of a training step: gradients written out against those of automatic differentiation, step by step in turn.

    python benchmarks/step.py [--samples 2504] [--components 50] [--steps 500] [--out DIR]

The model is the default one for that many samples, the data are Gaussian: only shapes matter to the time. A step is the
gradient, its clipping and Adam's update of a batch of 256, on one thread. Quantiles of wall time over all steps are
printed, because other programs on the machine lengthen some steps and not others. Writes DIR/step.md.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from genovi.model.config import ModelConfig
from genovi.model.densities import Noise
from genovi.model.vae import LatentModel
from genovi.ranks import ALONE
from genovi.seeding import Seeds
from genovi.training.config import TrainingConfig
from genovi.training.gradients import AutomaticGradients, DefaultGradients, Gradients
from genovi.training.loop import CLIP
from genovi.training.objectives import Elbo
from genovi.training.optimiser import Adam

QUANTILES = (0.02, 0.1, 0.5)
_WARM_UP = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2504)
    parser.add_argument("--components", type=int, default=50)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config, training, seeds = ModelConfig().for_cohort(arguments.samples), TrainingConfig(), Seeds(1)
    x = torch.randn(training.batch_size, arguments.components, generator=seeds.torch("data"))
    scale = torch.ones(arguments.components)
    models = [LatentModel(config, scale, seeds.torch("init")) for _ in range(2)]
    noises = [Noise(seeds.torch("noise")) for _ in models]
    contestants: dict[str, Gradients] = {
        "automatic": AutomaticGradients(models[0], Elbo(), training.sleep_weight, noises[0], ALONE),
        "written out": DefaultGradients(models[1], training.sleep_weight, noises[1], ALONE),
    }
    optimisers = {name: Adam(gradients.model.parameters()) for name, gradients in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for step in range(_WARM_UP + arguments.steps):
        for name, gradients in contestants.items():
            start = time.perf_counter()
            gradients.compute(x, 1.0)
            gradients.clip(CLIP)
            optimisers[name].step(1e-3)
            if step >= _WARM_UP:
                seconds[name].append(time.perf_counter() - start)
    lines = [
        "| gradients, ms a step | " + " | ".join(f"{q:.0%} of steps below" for q in QUANTILES) + " |",
        "| --- |" + " --- |" * len(QUANTILES),
    ]
    found = {name: 1e3 * np.quantile(values, QUANTILES) for name, values in seconds.items()}
    found["ratio"] = found["written out"] / found["automatic"]
    lines += [f"| {name} | " + " | ".join(f"{value:.2f}" for value in values) + " |" for name, values in found.items()]
    table = "\n".join(lines) + "\n"
    print(table)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "step.md").write_text(table)


if __name__ == "__main__":
    main()
