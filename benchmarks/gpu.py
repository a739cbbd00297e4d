"""Training on a GPU beside the CPU, on 1000 Genomes (kgp3): samples a second, time to a bound, how busy the device is.

    python benchmarks/gpu.py [--devices cpu cuda] [--batches 256 4096 65536] [--seen 500000] [--seed 1] [--steps N]
                             [--out DIR]

Needs the folder of real data, $GENOVI_REAL_DATA. First table: steps of the default model without evaluation, for each
device and size of a batch (samples are repeated until a batch is full), after some steps that do not count. Second
table: a whole training run on each device; seconds until its held-out bound is within ``CLOSE`` nats of the best
that the first device reached, and the best of its own. Utilisation is what nvidia-smi says meanwhile, ten times a
second; of the CPU it is processor time over time. Writes DIR/gpu.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import numpy as np
import torch

from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.model.config import ModelConfig
from genovi.placing import missing_shares
from genovi.preparing import FittedComponents, fit_components
from genovi.ranks import ALONE
from genovi.seeding import Seeds
from genovi.training import loop
from genovi.training.config import TrainingConfig
from genovi.training.monitor import Monitor
from genovi.training.objectives import choose_objective

REPO = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("GENOVI_REAL_DATA", REPO.parent / "shared" / "data"))
CLOSE = 0.1
_WARM_UP = 20  # steps


@dataclass
class Usage:
    """What a device was doing: shares of the time it was busy, and the most memory that it held, in MiB."""

    busy: list[float] = field(default_factory=list)
    memory: float = 0.0

    def __str__(self) -> str:
        return f"{100 * np.mean(self.busy):.0f} %" if self.busy else "not known"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", nargs="+", default=["cpu", "cuda"])
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 4096, 65536])
    parser.add_argument("--seen", type=int, default=500_000, help="samples of each cell of the first table")
    parser.add_argument("--steps", type=int, help="of the whole training run [default: as genovi train]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="where to keep the tables")
    arguments = parser.parse_args()
    if "cuda" in arguments.devices and not torch.cuda.is_available():
        parser.error("there is no CUDA device here; --devices cpu runs without")
    seeds = Seeds(arguments.seed)
    matrix, _ = apply_qc(open_genotypes([DATA / "kgp3" / "kgp3.bed"]), QCConfig())
    found = fit_components(matrix, None, seeds, incomplete=bool(missing_shares(matrix).any()))
    lines = ["| device | batch | samples/s | device busy | device memory, MiB |", "| --- " * 5 + "|"]
    for device in arguments.devices:
        for batch in arguments.batches:
            rate, usage = speed(found, device, batch, arguments.seen, seeds)
            lines.append(f"| {name_of(device)} | {batch:,} | {rate:,.0f} | {usage} | {held(usage)} |")
            print(lines[-1], flush=True)
    lines += ["", f"| device | best held-out bound, nats | s to within {CLOSE} of the first | s in all | device busy |"]
    lines += ["| --- " * 5 + "|"]
    aim = None
    for device in arguments.devices:
        lines.append(line := "| {} | {:.2f} | {} | {:.1f} | {} |".format(*whole(found, device, arguments, seeds, aim)))
        aim = float(line.split("|")[2]) if aim is None else aim
        print(line, flush=True)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "gpu.md").write_text("\n".join(lines) + "\n")


def speed(found: FittedComponents, device: str, batch: int, seen: int, seeds: Seeds) -> tuple[float, Usage]:
    """Samples that a second of training steps sees."""
    x = np.tile(found.x, (-(-2 * batch // len(found.x)), 1)) if 2 * batch > len(found.x) else found.x
    config = TrainingConfig(device=device, batch_size=batch, epochs=1_000_000)
    model = ModelConfig()
    objective = choose_objective(model, config)
    trainer = loop._Trainer(x, model, config, seeds, found.noise_floor, objective, None, ALONE)

    def take(steps: int) -> None:
        done = 0
        while done < steps:
            for rows in trainer.batches.epoch():
                trainer._take_step(rows)
                done += 1
                if done == steps:
                    trainer.batches.position = 0
                    break
        if device == "cuda":
            torch.cuda.synchronize()

    take(_WARM_UP)
    steps = max(10, seen // batch)
    with watched(device) as usage:
        start = time.perf_counter()
        take(steps)
        seconds = time.perf_counter() - start
    return steps * trainer.batches.size / seconds, usage


def whole(
    found: FittedComponents, device: str, arguments: argparse.Namespace, seeds: Seeds, aim: float | None
) -> tuple[str, float, str, float, Usage]:
    """A run as genovi train does it: its best bound, when it came near the aim, its length."""
    config = TrainingConfig(device=device, steps=arguments.steps)
    with watched(device) as usage:
        fit = loop.fit(found.x, ModelConfig(), config, seeds, Monitor(), found.noise_floor)
    bounds = np.array([record.held_out_iwae for record in fit.history])
    best = float(np.nanmax(bounds))
    near = np.flatnonzero(bounds >= (best if aim is None else aim) - CLOSE)
    reached = f"{fit.history[near[0]].seconds:.1f}" if len(near) else "never"
    return name_of(device), best, reached, fit.history[-1].seconds, usage


@contextmanager
def watched(device: str) -> Iterator[Usage]:
    """Within it a thread looks at the device."""
    usage, over = Usage(), Event()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        thread = Thread(target=_look, args=(usage, over), daemon=True)
        thread.start()
    start = time.perf_counter(), time.process_time()
    try:
        yield usage
    finally:
        if device == "cuda":
            over.set()
            thread.join()
            usage.memory = torch.cuda.max_memory_allocated() / 2**20
        else:
            usage.busy.append((time.process_time() - start[1]) / (time.perf_counter() - start[0]))


def _look(usage: Usage, over: Event) -> None:
    words = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
    while not over.wait(0.1):
        try:
            said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return
        usage.busy.append(float(said.splitlines()[0]) / 100)


def held(usage: Usage) -> str:
    """The memory of a GPU; that of the CPU is not asked."""
    return f"{usage.memory:,.0f}" if usage.memory else ""


def name_of(device: str) -> str:
    """What the device is called."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{device}, {torch.get_num_threads()} thread" + ("s" if torch.get_num_threads() > 1 else "")


if __name__ == "__main__":
    main()
