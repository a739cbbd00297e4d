"""Runs of several seeds compared: which is best by its held-out bound, and where they agree about each sample.

    runs.tsv             one row for each run, the best first
    stability.tsv        one row for each sample
    aligned/             embeddings of all runs, turned onto the best one
    best                 a link to the best run

With z_ri the position of sample i in run r, turned, mirrored and scaled onto the best run b (``genovi.procrustes``), R
the number of runs, and N_r(i) the k samples nearest to i in run r,

    spread_i      = sqrt( 1/R sum_r |z_ri - mean_r z_ri|^2 )              in units of the best run's axes
    neighbours_i  = mean over r != b of |N_r(i) and N_b(i)| / k           k = 20, or all others where there are fewer

The first asks for the same place on the sheet; the second, which does not care how a map is bent, for the same company.
Labels are not used. Axes of a map have no meaning of their own, so nothing is compared before it is aligned.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from genovi.embedding import Embedding, embedding_of
from genovi.errors import ConfigError, DataError, MismatchError
from genovi.manifest import Manifest, number_at, read_manifest, recorded_at
from genovi.modelfiles import VARIANTS, read_member
from genovi.procrustes import align

NEIGHBOURS = 20
UNSTABLE = 0.5
_BLOCK = 4096

logger = logging.getLogger("genovi")


@dataclass(frozen=True)
class Member:
    """A run, and how it compares with the best one.

    Attributes:
        place: Its folder or file.
        name: Short name, different for each run.
        manifest: Of its model.
        embedding: Its training samples, turned onto the best run.
        elbo: Lower bound of its held-out samples, nats per sample.
        iwae: The importance-weighted one, by which runs are ranked.
        iwae_error: Standard error of that mean over samples; NaN where the run does not say it.
        n_held_out: Number of those samples.
        procrustes: Procrustes correlation with the best run.
        neighbours: Mean over samples of the share of neighbours that they have in the best run, too.
    """

    place: Path
    name: str
    manifest: Manifest
    embedding: Embedding
    elbo: float
    iwae: float
    iwae_error: float
    n_held_out: int
    procrustes: float = 1.0
    neighbours: float = 1.0


@dataclass(frozen=True)
class Ensemble:
    """Runs of the same data, the best first.

    Attributes:
        members: The runs.
        spread: Of each sample, shape (n_samples,), float64.
        neighbours: Of each sample, shape (n_samples,), float64.
        k: Neighbours asked.
    """

    members: tuple[Member, ...]
    spread: np.ndarray
    neighbours: np.ndarray
    k: int

    @property
    def best(self) -> Member:
        """The run with the highest importance-weighted bound of held-out samples."""
        return self.members[0]

    def _is_level(self, other: Member) -> bool:
        """Whether two standard errors, of samples that are others in each run, cover what the best run is ahead."""
        error = math.hypot(self.best.iwae_error, other.iwae_error)
        return self.best.iwae - other.iwae <= 2 * error

    def runs_table(self) -> pd.DataFrame:
        """One row for each run, the best first."""
        return pd.DataFrame(
            {
                "RANK": range(1, len(self.members) + 1),
                "RUN": [str(m.place) for m in self.members],
                "SEED": [m.manifest.seed for m in self.members],
                "IWAE": [m.iwae for m in self.members],
                "IWAE_SE": [m.iwae_error for m in self.members],
                "ELBO": [m.elbo for m in self.members],
                "HELD_OUT": [m.n_held_out for m in self.members],
                "PROCRUSTES": [m.procrustes for m in self.members],
                "NEIGHBOURS": [m.neighbours for m in self.members],
                "BEST": ["yes", *["no"] * (len(self.members) - 1)],
            }
        )

    def stability_table(self) -> pd.DataFrame:
        """One row for each sample, in the order of the best run."""
        table = pd.DataFrame({"IID": list(self.best.embedding.samples)})
        for j, axis in enumerate(self.best.embedding.mean.T):
            table[f"Z{j + 1}"] = axis
        return table.assign(SPREAD=self.spread, NEIGHBOURS=self.neighbours)

    def write(self, folder: Path, final: Path) -> None:
        """Write everything into ``folder``, which exists and will be renamed to ``final``."""
        for name, table in (("runs.tsv", self.runs_table()), ("stability.tsv", self.stability_table())):
            table.to_csv(folder / name, sep="\t", index=False, float_format="%.6g", lineterminator="\n")
        (folder / "aligned").mkdir()
        for member in self.members:
            member.embedding.write_tsv(folder / "aligned" / f"{member.name}.embedding.tsv")
        (folder / "best").symlink_to(os.path.relpath(self.best.place.absolute(), final.absolute()))

    def lines(self, out: Path) -> list[str]:
        """For people to read."""
        others = self.members[1:]
        few = int((self.neighbours < UNSTABLE).sum())
        level = sum(self._is_level(m) for m in others)
        return [
            f"compared {len(self.members)} runs of {len(self.spread)} samples",
            f"best run: {self.best.place}, seed {self.best.manifest.seed}, importance-weighted bound "
            f"{self.best.iwae:.2f} nats per sample; others {_range([m.iwae for m in others], 2)}",
            *([f"{level} of them may be as good: within two standard errors of the difference"] if level else []),
            f"Procrustes correlation with it {_range([m.procrustes for m in others], 3)}; samples keep "
            f"{100 * self.neighbours.mean():.0f} % of their {self.k} neighbours on average",
            *([f"{few} samples keep fewer than half: their place depends on the seed"] if few else []),
            f"wrote {out}",
        ]


def _range(values: Sequence[float], digits: int) -> str:
    ends = [f"{end:.{digits}f}" for end in (min(values), max(values))]
    return " to ".join(dict.fromkeys(ends))


def compare_runs(places: Sequence[Path]) -> Ensemble:
    """Rank runs and measure where they agree.

    Args:
        places: Folders of runs, or files of ``genovi export --keep-embedding``.

    Raises:
        ConfigError: fewer than two runs, or one twice.
        DataError: a run is damaged, or does not say its held-out bound.
        MismatchError: the runs are not of the same data.
    """
    if len(places) < 2:
        raise ConfigError("an ensemble has at least two runs", fix="name several runs")
    real = [place.resolve() for place in places]
    if len(set(real)) < len(real):
        twice = next(place for place in places if real.count(place.resolve()) > 1)
        raise ConfigError("a run is named twice", where=twice, fix="name each once")
    members = [_read(place, name) for place, name in zip(places, _names(places), strict=True)]
    _check_same_data(members)
    members.sort(key=lambda member: -member.iwae)
    return _compare(members)


def _read(place: Path, name: str) -> Member:
    manifest = read_manifest(place)
    elbo, iwae, n = (number_at(manifest.summary, "bounds", key) for key in ("elbo", "iwae", "n"))
    if elbo is None or iwae is None or n is None:
        raise DataError(
            "the run does not say its bound", where=place, why="runs are ranked by it", fix="train it again"
        )
    if recorded_at(manifest.summary, "bounds", "on") != "held-out":
        logger.warning("%s held no samples out: its bound is that of the samples that it was trained on", place)
    error = number_at(manifest.summary, "bounds", "errors", "iwae")
    return Member(place, name, manifest, embedding_of(place), elbo, iwae, math.nan if error is None else error, int(n))


def _names(places: Sequence[Path]) -> list[str]:
    """Last parts of the paths, numbered where they are not enough."""
    names = [place.absolute().name.removesuffix(".genovi") for place in places]
    return [name if names.count(name) == 1 else f"{i}-{name}" for i, name in enumerate(names, start=1)]


def _check_same_data(members: Sequence[Member]) -> None:
    """Bounds compare models of the same data and components only."""
    first = members[0]
    variants = read_member(first.place, VARIANTS)
    for other in members[1:]:
        differences = [
            (f"{getattr(first.manifest, name)} and {getattr(other.manifest, name)} {words}")
            for name, words in (
                ("n_samples", "training samples"),
                ("n_variants", "variants"),
                ("n_axes", "principal components"),
            )
            if getattr(first.manifest, name) != getattr(other.manifest, name)
        ]
        if set(first.embedding.samples) != set(other.embedding.samples):
            differences.append("not the same samples")
        elif read_member(other.place, VARIANTS) != variants:
            differences.append("not the same variants")
        elif first.embedding.n_dimensions != other.embedding.n_dimensions:
            differences.append(f"{first.embedding.n_dimensions} and {other.embedding.n_dimensions} axes")
        if differences:
            raise MismatchError(
                "the runs are not of the same data",
                where=f"{first.place}, {other.place}",
                why=f"{differences[0]}; their bounds cannot be compared",
                fix="name runs that differ in their seed",
            )


def _compare(members: Sequence[Member]) -> Ensemble:
    best = members[0].embedding
    k = min(NEIGHBOURS, len(best.samples) - 1)
    near = _nearest(best.mean, k)
    row = {sample: i for i, sample in enumerate(best.samples)}
    compared, positions, kept = [members[0]], [best.mean], []
    for member in members[1:]:
        order = np.argsort([row[sample] for sample in member.embedding.samples])
        own = member.embedding.take(order)
        found = align(own.mean, best.mean, scaling=True)
        turned = replace(own, mean=found.apply(own.mean), std=None)  # deviations are those of the axes before
        shares = _shared(near, _nearest(turned.mean, k))
        positions.append(turned.mean)
        kept.append(shares)
        compared.append(replace(member, embedding=turned, procrustes=found.score, neighbours=float(shares.mean())))
    around = np.stack(positions) - np.mean(positions, axis=0)
    spread = np.sqrt((around**2).sum(axis=2).mean(axis=0))
    return Ensemble(tuple(compared), spread, np.mean(kept, axis=0), k)


def _nearest(points: np.ndarray, k: int) -> np.ndarray:
    """Indices of the ``k`` nearest other points, shape (n, k), int64."""
    from scipy.spatial import cKDTree

    found = cKDTree(points).query(points, k + 1)[1]
    itself = found == np.arange(len(points))[:, None]
    itself[~itself.any(axis=1), -1] = True  # among many points in one place it may not be listed
    return found[~itself].reshape(len(points), k)


def _shared(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share of each row of ``one``, shape (n, k), that is in that row of ``other``, shape (n,), float64."""
    parts = []
    for start in range(0, len(one), _BLOCK):
        rows = slice(start, start + _BLOCK)
        parts.append((one[rows, :, None] == other[rows, None, :]).any(axis=2).mean(axis=1))
    return np.concatenate(parts)
