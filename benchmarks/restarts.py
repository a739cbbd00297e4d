"""What restarts bring: fits that differ in nothing but their random numbers, with the same people held out.

    genovi benchmark GENOTYPES --labels LABELS --methods pca --splits 2 --out DIR      # makes DIR/data
    python benchmarks/restarts.py DIR [--fits 8] [--data seeds split1 split2] [--posterior ddvi] [--out DIR]

Each fit has its own initial weights, batches and noise; all hold out the same samples, so that their bounds can be
compared. The one with the highest held-out bound is what a user would keep who cannot see labels. "together" are
neighbours by the sum of squared distances in all maps: what an ensemble knows, though it is no map of two dimensions.
Of everybody (seeds) 20-NN and NMI, of new people (split1, ...) 20-NN from the others, as in ``ancestry.py``.

Finished fits are kept in OUT/restarts.json; the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from genovi.baselines import pca_embedding
from genovi.comparison.shared import CellData
from genovi.embedding import Embedding
from genovi.encoding import Components, encode
from genovi.evaluation import evaluate, inductive_knn
from genovi.model.config import ModelConfig
from genovi.placing import embedding_seed
from genovi.seeding import Seeds
from genovi.summaries import measure_bounds
from genovi.training.config import TrainingConfig
from genovi.training.device import choose_device
from genovi.training.loop import fit
from genovi.training.monitor import Monitor

SHARED = ("split", "held-out", "bounds")
Row = dict[str, Any]


@dataclass(frozen=True)
class Restart(Seeds):
    """Streams of one restart: who is held out, and what bounds are measured with, are those of the root.

    Attributes:
        number: Of the restart, from 1.
    """

    number: int

    def integer(self, name: str) -> int:
        root = Seeds(self.root)
        return root.integer(name) if name in SHARED else root.child(f"restart/{self.number}").integer(name)


def one(data: CellData, posterior: str, seeds: Restart) -> tuple[Row, Embedding, Embedding | None]:
    """Fit, and place everybody."""
    begin = time.process_time()
    config = replace(ModelConfig(), posterior=posterior)
    found = fit(data.fitted.x, config, TrainingConfig(device="cpu", threads=1), seeds, Monitor(), data.noise_floor)
    seconds = time.process_time() - begin
    bounds = measure_bounds(found, torch.as_tensor(data.fitted.x, dtype=torch.float32), seeds.integer("bounds"))
    device, draws = choose_device("cpu"), embedding_seed(seeds.number)

    def placed(people: Any) -> Embedding:
        excess = people.excess if people.excess.size else None
        return encode(found.model, Components(people.x, people.missing, excess), people.names, draws, device)

    row: Row = {"elbo": bounds.elbo, "iwae": bounds.iwae, "gap": bounds.gap, "seconds": seconds}
    return row, placed(data.fitted), None if data.new is None else placed(data.new)


def judged(data: CellData, fitted: Embedding, new: Embedding | None) -> Row:
    """Read-outs of one map, or of several side by side."""
    if new is None or data.new is None:
        scores = evaluate(fitted, data.fitted.labels).populations
        own = {} if scores.clusters is None else {"own": scores.clusters.nmi}
        return {"knn": scores.knn_accuracy, "nmi": scores.mixture.nmi, **own}
    known, asked = (people.populations.tolist() for people in (data.fitted, data.new))
    return {"knn": inductive_knn(fitted, known, new, asked).accuracy}


def together(data: CellData, maps: list[tuple[Embedding, Embedding | None]]) -> Row:
    """Neighbours in all maps at once."""
    joined = [
        pca_embedding(np.hstack([part.mean for part in parts]), parts[0].samples, 2 * len(parts))
        for which in range(1 if data.new is None else 2)
        if (parts := [pair[which] for pair in maps])
    ]
    return {"knn": judged(data, joined[0], None if data.new is None else joined[1])["knn"]}


def markdown(rows: list[Row]) -> str:
    """For each protocol and read-out the mean fit and the one chosen by its bound; do bounds tell good maps?."""
    head = ("people", "read-out", "fits", "mean ± SD", "lowest, highest", "chosen by bound", "correlation", "together")
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for name in dict.fromkeys(row["data"] for row in rows):
        fits = [row for row in rows if row["data"] == name and "elbo" in row]
        whole = next((row for row in rows if row["data"] == name and "elbo" not in row), {})
        bound = [row["elbo"] for row in fits]
        kept = fits[int(np.argmax(bound))]
        for key, title in (("knn", "20-NN"), ("nmi", "NMI, mixture of 20"), ("own", "NMI, own clusters")):
            values = [row[key] for row in fits if key in row]
            if not values:
                continue
            correlation = f"{spearmanr(bound, values)[0]:+.2f}" if np.ptp(values) > 0 else ""
            lines.append(
                f"| {name} | {title} | {len(values)} | {np.mean(values):.3f} ± {np.std(values, ddof=1):.3f} | "
                f"{min(values):.3f}, {max(values):.3f} | {kept[key]:.3f} | {correlation} | "
                + (f"{whole[key]:.3f} |" if key in whole else "|")
            )
        lines.append(
            f"| {name} | held-out bound | {len(bound)} | {np.mean(bound):.2f} ± {np.std(bound, ddof=1):.2f} | "
            f"{min(bound):.2f}, {max(bound):.2f} | {max(bound):.2f} | | |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fits", type=int, default=8)
    parser.add_argument("--data", nargs="+", default=["seeds", "split1", "split2"])
    parser.add_argument("--posterior", default="ddvi")
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    file = arguments.out / "restarts.json"
    rows: list[Row] = json.loads(file.read_text()) if file.exists() else []
    for root, name in enumerate(arguments.data, start=1):
        data = CellData.load(arguments.folder / "data" / f"{name}.npz")
        maps = []
        for number in range(1, arguments.fits + 1):
            stem = f"{name}.{number}"
            parts = ("fitted",) if data.new is None else ("fitted", "new")
            places = [arguments.out / f"{stem}.{part}.tsv" for part in parts]
            if not any(row.get("fit") == stem for row in rows):
                row, *pair = one(data, arguments.posterior, Restart(root, number))
                for place, embedding in zip(places, pair, strict=False):
                    assert embedding is not None
                    embedding.write_tsv(place)
                rows.append({"data": name, "fit": stem, **row, **judged(data, pair[0], pair[1])})
                print(rows[-1], flush=True)
                file.write_text(json.dumps(rows, indent=1) + "\n")
            read = [Embedding.read_tsv(place) for place in places]
            maps.append((read[0], read[1] if len(read) > 1 else None))
        rows = [row for row in rows if row["data"] != name or "elbo" in row]
        rows.append({"data": name, **together(data, maps)})
        file.write_text(json.dumps(rows, indent=1) + "\n")
    (arguments.out / "restarts.md").write_text(markdown(rows))
    print(markdown(rows))


if __name__ == "__main__":
    main()
