"""Cohorts of thousands to hundreds of thousands: time and peak memory of each part of genovi train.

    python benchmarks/scale.py [--samples 2500 10000 50000 200000] [--variants 50000] [--missing 0.001] [--work DIR]
                               [--out DIR]

Genotypes are drawn directly into a PLINK 1 fileset: three continents (Balding-Nichols, F_ST 0.05) of four populations
each (F_ST 0.01 below their continent), independent variants, genotypes missing at random. The files are kept in the
folder of --work, where a later run finds them; without --work they go to a temporary folder.

Each cohort is a process of its own, which goes through the parts of genovi train with default settings: quality control
(pruning included), principal components, training for a fixed number of samples seen, and embedding everybody. Peak
memory is that of the part alone (the mark is reset in between; Linux only) and is that of the whole process: what
earlier parts left, and pages of the mapped file, count. At the end the seconds of each part are carried on to a cohort
of the size of UK Biobank, by samples and variants, from the largest cohort here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

_SEED = 1
_CONTINENTS, _EACH = 3, 4
_BETWEEN, _WITHIN = 0.05, 0.01
_SEEN = 256_000  # samples that training sees
_BIOBANK = (500_000, 150_000)
_PARTS = ("quality control", "components", "training", "embedding")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[2500, 10_000, 50_000, 200_000])
    parser.add_argument("--variants", type=int, default=50_000)
    parser.add_argument("--missing", type=float, default=0.001, help="share of genotypes")
    parser.add_argument("--work", type=Path, help="where filesets are kept")
    parser.add_argument("--out", type=Path, help="where to keep the tables")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(measure(arguments.one)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.work) as scratch:
        folder = arguments.work or Path(scratch)
        found = []
        for n in arguments.samples:
            path = folder / f"scale_{n}_{arguments.variants}_{arguments.missing:g}.bed"
            if not path.exists():
                # In a process of its own: what a process starts inherits its peak memory.
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                    pool.submit(write_cohort, path, n, arguments.variants, arguments.missing).result()
            found.append(one_cohort(path))
            print(json.dumps(found[-1]), file=sys.stderr)
    table = "\n".join([*tabulate(found), "", *carry_on(found[-1])]) + "\n"
    print(table)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "scale.md").write_text(table)


def one_cohort(path: Path) -> dict[str, Any]:
    """What ``measure`` says in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--one", str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(path: Path) -> dict[str, Any]:
    """Seconds and peak MiB of each part."""
    import torch

    from genovi.genotypes.filtering import filter_sources
    from genovi.genotypes.memory import plan_memory
    from genovi.genotypes.quality import QCConfig
    from genovi.genotypes.reading import open_sources
    from genovi.model.config import ModelConfig
    from genovi.placing import missing_shares, place
    from genovi.preparing import fit_components
    from genovi.seeding import Seeds
    from genovi.trained import TrainedModel
    from genovi.training.config import TrainingConfig
    from genovi.training.loop import fit
    from genovi.training.monitor import Monitor

    seeds = Seeds(_SEED)
    seconds: dict[str, float] = {}
    peaks: dict[str, int] = {"start": high_water()}

    def timed(part: str, work: Callable[[], Any]) -> Any:
        Path("/proc/self/clear_refs").write_text("5")
        start = time.perf_counter()
        result = work()
        seconds[part], peaks[part] = time.perf_counter() - start, high_water()
        return result

    def quality_control() -> Any:
        with open_sources([path]) as sources:
            return filter_sources(sources, QCConfig(build="none"), plan_memory(None, path.parent))[0]

    matrix = timed("quality control", quality_control)
    found = timed("components", lambda: fit_components(
        matrix, None, seeds, incomplete=bool(missing_shares(matrix).any())))  # fmt: skip
    training = TrainingConfig(device="cpu")
    per_epoch = max(1, int(matrix.n_samples * (1 - training.holdout)) // training.batch_size)
    training = TrainingConfig(device="cpu", epochs=max(1, round(_SEEN / training.batch_size / per_epoch)))
    trained = timed("training", lambda: fit(
        found.x, ModelConfig(), training, seeds, Monitor(), found.noise_floor))  # fmt: skip
    seen = len(trained.history) * per_epoch * training.batch_size
    model = TrainedModel(
        trained.model, found.standardiser, found.axes, found.noise_scale, seed=_SEED, build=None, summary={}
    )
    timed("embedding", lambda: place(model, matrix, _SEED, torch.device("cpu"), training=True))
    return {
        "samples": matrix.n_samples,
        "variants": matrix.n_variants,
        "file_mib": path.stat().st_size / 2**20,
        "axes": found.axes.n_axes,
        "seen": seen,
        "seconds": seconds,
        "peaks": peaks,
    }


def high_water() -> int:
    """Peak resident memory of this process since the mark was reset, in MiB."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition("VmHWM:")[2].split(maxsplit=1)[0]) // 1024


def tabulate(found: list[dict[str, Any]]) -> list[str]:
    """Seconds and peaks, a row for each cohort."""
    head = ["samples", "variants kept", "axes", "packed MiB", "MiB before", *(f"{part}: s, MiB" for part in _PARTS)]
    lines = ["| " + " | ".join([*head, "training: samples/s"]) + " |", "| --- " * (len(head) + 1) + "|"]
    for one in found:
        packed = one["samples"] * one["variants"] / 4 / 2**20
        cells = [f"{one['samples']:,}", f"{one['variants']:,}", f"{one['axes']}", f"{packed:,.0f}"]
        cells.append(f"{one['peaks']['start']:,}")
        cells += [f"{one['seconds'][part]:,.1f}, {one['peaks'][part]:,}" for part in _PARTS]
        cells.append(f"{one['seen'] / one['seconds']['training']:,.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def carry_on(one: dict[str, Any]) -> list[str]:
    """What a biobank would take, in proportion to the largest cohort."""
    n, m = _BIOBANK
    times = n * m / (one["samples"] * one["variants"])
    hours = {part: one["seconds"][part] * (1 if part == "training" else times) / 3600 for part in _PARTS}
    said = ", ".join(
        f"{part} {value:.1f} h" if value >= 0.1 else f"{part} {60 * value:.1f} min" for part, value in hours.items()
    )
    return [
        f"{n:,} samples x {m:,} variants, in proportion to the last row: {said}; {n * m / 4 / 2**30:.0f} GiB of packed "
        "genotypes, in memory or on disk."
    ]


def write_cohort(path: Path, n_samples: int, n_variants: int, missing: float) -> None:
    """Draw a fileset."""
    generator = np.random.Generator(np.random.SFC64([_SEED, n_samples, n_variants]))
    n_populations = _CONTINENTS * _EACH
    edges = np.linspace(0, n_samples, n_populations + 1).astype(int)
    sizes = np.diff(edges)
    temporary = path.with_suffix(".part")
    with open(temporary, "wb") as bed, open(path.with_suffix(".bim"), "w") as bim:
        bed.write(b"\x6c\x1b\x01")
        each = -(-n_variants // 22)
        for v in range(n_variants):
            ancestral = generator.uniform(0.05, 0.5)
            continents = drifted(generator, np.full(_CONTINENTS, ancestral), _BETWEEN)
            frequency = drifted(generator, np.repeat(continents, _EACH), _WITHIN)
            draws = generator.integers(0, 65536, size=(2, n_samples), dtype=np.uint16)
            limit = np.repeat((frequency * 65536).astype(np.uint16), sizes)
            dosage = (draws[0] < limit).view(np.uint8) + (draws[1] < limit).view(np.uint8)
            code = np.array([3, 2, 0], dtype=np.uint8)[dosage]
            code[generator.integers(0, n_samples, size=generator.poisson(missing * n_samples))] = 1
            code = np.concatenate([code, np.zeros(-n_samples % 4, dtype=np.uint8)])
            bed.write((code[::4] | code[1::4] << 2 | code[2::4] << 4 | code[3::4] << 6).tobytes())
            bim.write(f"{v // each + 1}\trs{v}\t0\t{1000 + 10_000 * (v % each)}\tA\tG\n")
    names = [f"P{k}" for k in range(n_populations) for _ in range(sizes[k])]
    lines = [f"{name} S{i} 0 0 0 -9\n" for i, name in enumerate(names)]
    path.with_suffix(".fam").write_text("".join(lines))
    temporary.rename(path)


def drifted(generator: np.random.Generator, frequency: np.ndarray, f_st: float) -> np.ndarray:
    """Allele frequencies of populations at the distance ``f_st`` from theirs (Balding-Nichols)."""
    scale = (1 - f_st) / f_st
    return np.clip(generator.beta(frequency * scale, (1 - frequency) * scale), 1e-3, 1 - 1e-3)


if __name__ == "__main__":
    main()
