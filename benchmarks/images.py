"""The paper's common benchmark: images, priors that are curves, and every posterior, with bounds that are bounds.

    python benchmarks/images.py [--data digits | --data FOLDER] [--priors pinwheel swissroll square] [--methods ...]
                                [--seeds 1 2] [--updates 2000] [--out DIR]

digits: scikit-learn's bundled handwritten digits (1,797 of 8 x 8 pixels). FOLDER: the idx files of MNIST, plain or .gz
(train-images-idx3-ubyte and t10k-images-idx3-ubyte), of which 28 x 28 pixels are averaged to 14 x 14. Grey levels get
uniform noise of one level, so that they have a density, and constant pixels are left out; data are given in units of
that noise's standard deviation times --noise. One fifth of the digits (of MNIST its test images) are for testing.

    vae, iwae, iaf, hiaf, aae, ddvi-simple, ddvi-nosleep, ddvi     encoder, decoder, prior, budget and seeds are shared

latent NLL   -E log p(z) of draws z ~ q(z|x), x a test image, less the same of draws from the prior itself: 0 where q
             aggregates to the prior, and below 0 where it huddles where the prior is densest
MMD          squared maximum mean discrepancy of both sets of draws, unbiased, Gaussian kernel of median distance
ELBO, IWAE   of test images, nats an image; log p(x) by quadrature, and gap, log p(x) - ELBO, over some: the first
             --exact test images

Finished cells are kept in DIR/images.json; the same command goes on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genovi.bounds import Bounds, measure
from genovi.errors import TrainingError
from genovi.model.config import CURVES, ModelConfig
from genovi.model.densities import Noise
from genovi.model.vae import LatentModel
from genovi.seeding import Seeds
from genovi.training.config import TrainingConfig
from genovi.training.loop import fit
from genovi.training.monitor import Monitor

# method: posterior, objective
METHODS = {
    "vae": ("gaussian", "elbo"),
    "iwae": ("gaussian", "iwae"),
    "iaf": ("iaf", "elbo"),
    "hiaf": ("hiaf", "elbo"),
    "aae": ("aae", "elbo"),
    "ddvi-simple": ("ddvi-simple", "elbo"),
    "ddvi-nosleep": ("ddvi-nosleep", "elbo"),
    "ddvi": ("ddvi", "elbo"),
}
STEPS = 4  # T of the diffusion posteriors
DRAWS = 64
DATA_SEED = 0
Row = dict[str, Any]


def digits() -> tuple[np.ndarray, np.ndarray, int]:
    """Grey levels of training and test images, shape (n, pixels), and the number of levels."""
    from sklearn.datasets import load_digits

    levels = load_digits().data
    order = np.random.default_rng(DATA_SEED).permutation(len(levels))
    test = len(levels) // 5
    return levels[order[test:]], levels[order[:test]], 17


def mnist(folder: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """As ``digits``, of the idx files in a folder."""

    def images(name: str) -> np.ndarray:
        path = next((p for p in (folder / name, folder / f"{name}.gz") if p.exists()), None)
        if path is None:
            raise SystemExit(f"no {name} or {name}.gz in {folder}: --data takes the folder of MNIST's idx files")
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        magic, n, height, width = np.frombuffer(data, ">i4", 4)
        if magic != 2051 or len(data) != 16 + n * height * width or height % 2 or width % 2:
            raise SystemExit(f"{path} is not an idx file of images")
        pixels = np.frombuffer(data, np.uint8, offset=16).reshape(n, height // 2, 2, width // 2, 2)
        return np.rint(pixels.mean(axis=(2, 4))).reshape(n, -1)

    return images("train-images-idx3-ubyte"), images("t10k-images-idx3-ubyte"), 256


def standardised(train: np.ndarray, test: np.ndarray, levels: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Images as the model takes them, in units of ``noise`` (of the range of grey)."""
    rng = np.random.default_rng(DATA_SEED)
    varied = np.ptp(train, axis=0) > 0
    train, test = train[:, varied], test[:, varied]
    grey = [(part + rng.random(part.shape)) / levels for part in (train, test)]
    centre = grey[0].mean(axis=0)
    return (grey[0] - centre) / noise, (grey[1] - centre) / noise


@torch.no_grad()
def draws_from(model: LatentModel, x: torch.Tensor, seed: int) -> torch.Tensor:
    """One z from q(z|x) for each image, shape (n, d); where there is no density, where the encoder puts it."""
    if not model.config.has_density:
        return model.locate(x)
    return model.posterior.draw(model.whiten(x), Noise(torch.Generator().manual_seed(seed))).z


def mmd(a: torch.Tensor, b: torch.Tensor) -> float:
    """Unbiased squared maximum mean discrepancy of two sets of points, shapes (n, d) and (m, d)."""
    a, b = a.double(), b.double()
    width = torch.cdist(b, b).square().median()
    kernels = [torch.exp(-torch.cdist(s, t).square() / width) for s, t in ((a, a), (b, b), (a, b))]
    within = [(k.sum() - len(k)) / (len(k) * (len(k) - 1)) for k in kernels[:2]]
    return float(within[0] + within[1] - 2 * kernels[2].mean())


def cell(x: np.ndarray, test: np.ndarray, prior: str, method: str, seed: int, arguments: argparse.Namespace) -> Row:
    posterior, objective = METHODS[method]
    config = ModelConfig(prior=prior, posterior=posterior, steps=STEPS)
    training = TrainingConfig(steps=arguments.updates, device="cpu", threads=1, objective=objective)
    begin = time.process_time()
    # the noise of a pixel is not below that of its grey levels
    floor = np.full(x.shape[1], 1 / (arguments.levels * arguments.noise * 12**0.5))
    trained = fit(x, config, training, Seeds(seed), Monitor(), floor)
    seconds = time.process_time() - begin
    model, images = trained.model, torch.as_tensor(test, dtype=torch.float32)
    z = draws_from(model, images, seed)
    with torch.no_grad():
        own = model.prior.sample(len(z), Noise(torch.Generator().manual_seed(seed + 1)))
        entropy = -model.prior.log_density(own).double().mean().item()
        nll = -model.prior.log_density(z).double().mean().item() - entropy
    row: Row = {"nll": nll, "mmd": mmd(z, own), "seconds": seconds}
    if model.config.has_density:
        sample = model.importance_sample(images, DRAWS, seed, shared=False)
        row |= {"elbo": sample.elbo.double().mean().item(), "iwae": sample.iwae.double().mean().item()}
    if arguments.exact:
        found = Bounds.of(measure(model, images[: arguments.exact], DRAWS, seed), "test", arguments.exact)
        row |= {name: value for name in ("gap", "log_evidence") if (value := getattr(found, name)) is not None}
    return row


def spread(values: list[float], places: int) -> str:
    """Mean and half the range."""
    if not values:
        return ""
    return f"{np.mean(values):.{places}f}" + (f" ± {np.ptp(values) / 2:.{places}f}" if len(values) > 1 else "")


def markdown(rows: list[Row]) -> str:
    columns = (("elbo", "ELBO", 1), ("iwae", "IWAE-64", 1), ("log_evidence", "log p(x), some", 1),
               ("gap", "gap, some", 1), ("nll", "latent NLL", 2), ("mmd", "MMD", 3),
               ("seconds", "CPU s", 0))  # fmt: skip
    lines = ["| prior | method | " + " | ".join(title for _, title, _ in columns) + " |", "| --- " * 9 + "|"]
    for prior, method in dict.fromkeys((row["prior"], row["method"]) for row in rows):
        same = [row for row in rows if (row["prior"], row["method"]) == (prior, method)]
        failed = [row["seed"] for row in same if "error" in row]
        cells = [spread([row[key] for row in same if key in row], places) for key, _, places in columns]
        note = f" (diverged: seed {', '.join(map(str, failed))})" if failed else ""
        lines.append(f"| {prior} | {method}{note} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--priors", nargs="+", choices=(*CURVES, "normal", "mixture"), default=list(CURVES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--exact", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("benchmark-out"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    train, test, arguments.levels = digits() if arguments.data == "digits" else mnist(Path(arguments.data))
    x, new = standardised(train, test, arguments.levels, arguments.noise)
    file = arguments.out / "images.json"
    rows: list[Row] = json.loads(file.read_text()) if file.exists() else []
    shared = {name: getattr(arguments, name) for name in ("data", "updates", "noise", "exact")}
    for seed in arguments.seeds:
        for prior in arguments.priors:
            for method in arguments.methods:
                key = {"prior": prior, "method": method, "seed": seed, **shared}
                if any(row.items() >= key.items() for row in rows):
                    continue
                try:
                    row = cell(x, new, prior, method, seed, arguments)
                except TrainingError as error:  # a method that diverges is a line of the table, with its seed
                    row = {"error": str(error)}
                rows.append(key | row)
                print(rows[-1], flush=True)
                file.write_text(json.dumps(rows, indent=1) + "\n")
    wanted = [row for row in rows if row.items() >= shared.items()]
    order = {method: i for i, method in enumerate(METHODS)}
    wanted.sort(
        key=lambda row: (list(CURVES).index(row["prior"]) if row["prior"] in CURVES else 9, order[row["method"]])
    )
    (arguments.out / "images.md").write_text(markdown(wanted))
    print(markdown(wanted))


if __name__ == "__main__":
    main()
