"""How long figures of many samples take, and how large their files are.

    python benchmarks/figures.py

Embeddings are drawn at random: 26 populations in 5 groups, as Gaussian clouds, with posterior standard deviations. Each
figure is drawn once, after matplotlib has been loaded; reading the embedding file is timed apart. Prints a table.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from genovi.embedding import Embedding
from genovi.labels import SampleLabels
from genovi.plotting.ancestry import plot_ancestry
from genovi.plotting.composing import AncestryOptions
from genovi.plotting.known import SUPER_POPULATIONS
from genovi.provenance import peak_memory_mib

SIZES = (2_504, 100_000, 500_000)
KINDS = (None, "density", "samples", "ellipse")


def made_up(n: int) -> tuple[Embedding, SampleLabels]:
    """An embedding of ``n`` samples and their labels."""
    rng = np.random.default_rng(1)
    names = np.array(sorted(SUPER_POPULATIONS))
    centres = rng.normal(size=(len(names), 2)) * 2.5
    which = rng.integers(len(names), size=n)
    mean = centres[which] + rng.normal(size=(n, 2)) * 0.3
    samples = tuple(f"s{i}" for i in range(n))
    pops = tuple(names[which].tolist())
    columns = {"pop": pops, "super_pop": tuple(SUPER_POPULATIONS[p] for p in pops)}
    return Embedding(samples, mean, std=rng.uniform(0.1, 0.3, size=(n, 2))), SampleLabels(samples, columns)


def main() -> None:
    """Draw and print."""
    with tempfile.TemporaryDirectory() as folder:
        small, labels = made_up(100)
        plot_ancestry([small], Path(folder, "warm.png"), labels=labels)
        print("| samples | points shown as | file | seconds | MB |\n| --- | --- | --- | --- | --- |")
        for n in SIZES:
            embedding, labels = made_up(n)
            for kind in KINDS:
                if kind == "ellipse" and n > 100_000:
                    continue  # half a million outlines are a black sheet
                for suffix in ("png", "pdf", "svg") if kind is None else ("pdf",):
                    out = Path(folder, f"{n}-{kind}.{suffix}")
                    start = time.perf_counter()
                    plot_ancestry([embedding], out, labels=labels, options=AncestryOptions(uncertainty=kind))
                    seconds = time.perf_counter() - start
                    size = out.stat().st_size / 1e6
                    print(f"| {n:,} | {kind or 'points'} | {suffix} | {seconds:.1f} | {size:.2f} |", flush=True)
        print(f"\nPeak memory {peak_memory_mib():.0f} MiB.")


if __name__ == "__main__":
    main()
