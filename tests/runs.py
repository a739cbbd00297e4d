"""Run folders made by hand: what a report reads, without training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from genovi.embedding import Embedding
from genovi.training.monitor import EpochRecord, history_csv

POPULATIONS = {"GBR": "EUR", "FIN": "EUR", "YRI": "AFR", "LWK": "AFR"}
NASTY = ["<script>alert(1)</script>", "</script><b>x", "a&amp;b\"'", "\u2028é東", "<!--<script>"]


def cohort(n_per: int = 30, axes: int = 2, names: list[str] | None = None) -> Embedding:
    """Four clouds; ``names`` replace the first samples' own."""
    rng = np.random.default_rng(0)
    n = 4 * n_per
    centres = np.zeros((4, axes))
    centres[:, : min(2, axes)] = np.array([[0.0, 0], [3, 0], [10, 8], [12, 11]])[:, : min(2, axes)]
    samples = [f"s{i}" for i in range(n)]
    samples[: len(names or [])] = names or []
    return Embedding(
        tuple(samples),
        np.repeat(centres, n_per, axis=0) + rng.normal(size=(n, axes)),
        std=rng.uniform(0.2, 0.5, size=(n, axes)),
        cluster=np.repeat(np.arange(1, 5), n_per),
        cluster_prob=rng.uniform(0.5, 1, n),
        missing=rng.uniform(0, 0.1, n),
        misfit=rng.uniform(0.5, 1.5, n),
    )


def write_run(folder: Path, embedding: Embedding, command: str = "genovi train x.vcf --out run") -> Path:
    """A run folder as training writes it, as far as reports read it."""
    folder.mkdir(parents=True)
    embedding.write_tsv(folder / "embedding.tsv")
    singular = np.array([90.0, 60, 30, 12, 11.5])
    save_file({"axes.singular_values": singular}, folder / "model.safetensors")
    n = len(embedding.samples)
    steps = [
        {"name": "autosomes", "kind": "variants", "before": 5000, "removed": 0, "kept": 5000, "reason": "none"},
        {"name": "--mind", "kind": "samples", "before": n + 3, "removed": 3, "kept": n, "reason": "too <few>",
         "examples": ["secret1", "secret2", "secret3"]},
        {"name": "--maf", "kind": "variants", "before": 5000, "removed": 1250, "kept": 3750, "reason": "too rare"},
    ]  # fmt: skip
    qc = {"steps": steps}
    summary = {
        "qc": qc,
        "epochs": 40,
        "ended": "early stop",
        "bounds": {"on": "held-out", "n": 12, "elbo": -31.25, "iwae": -30.5, "draws": 64, "effective_size": 20.0},
        "provenance": {
            "command": command,
            "genovi": "0.1.0",
            "seed": 7,
            "python": "3.12.1",
            "packages": {"torch": "2.13.0"},
            "host": "hostname-of-somebody",
            "inputs": {"x.vcf": "abc123"},
            "started": "2026-01-02T03:04:05+0000",
            "wall_seconds": 61.5,
            "peak_memory_mib": 512.0,
        },
    }
    noise = {"variance": 1.0, "edge": 2.0, "effective_variants": 900.0, "significant": 3}
    manifest = {
        "format": "genovi model", "format_version": 1, "n_axes": 5, "n_samples": n, "n_variants": 3750, "noise": noise,
        "noise_scale": 1.0, "seed": 7, "build": "GRCh38", "summary": summary,
        "model": {"latent_dim": 2, "posterior": "ddvi", "prior": "mixture", "steps": 2, "components": 9, "hidden": 8},
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(manifest))
    (folder / "qc.json").write_text(json.dumps(qc))
    nan = float("nan")
    history = [
        EpochRecord(e, -80 + e / 2, -75 + e / 2, -3, -2, 1, 4, -82 + e / 2 if e % 5 == 0 else nan,
                    -81 + e / 2 if e % 5 == 0 else nan, 1, 0.001, 2, 0.1 * e)
        for e in range(1, 41)
    ]  # fmt: skip
    (folder / "history.csv").write_text(history_csv(history))
    return folder


def write_panel(path: Path, embedding: Embedding, populations: dict[str, str] | None = None) -> Path:
    """A panel that gives the four clouds of ``cohort`` their populations."""
    populations = populations or POPULATIONS
    n_per = len(embedding.samples) // 4
    lines = ["sample\tpop\tsuper_pop"]
    lines += [
        f"{sample}\t{population}\t{populations[population]}"
        for sample, population in zip(embedding.samples, np.repeat(list(populations), n_per), strict=True)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
