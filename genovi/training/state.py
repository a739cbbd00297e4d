"""The state of a training run as plain tensors, and back: what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple

import numpy as np
import torch
from torch import Tensor

from genovi.training.monitor import EpochRecord


def prefixed(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` under names that begin with ``name`` and a dot."""
    return {f"{name}.{key}": tensor for key, tensor in tensors.items()}


def under(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that ``prefixed`` put under ``name``."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}


def history_tensor(history: Sequence[EpochRecord]) -> Tensor:
    """Records as rows, shape (epochs, columns), float64, which holds their numbers exactly."""
    return torch.tensor([astuple(record) for record in history], dtype=torch.float64).reshape(
        len(history), len(EpochRecord.columns())
    )


def history_of(rows: Tensor) -> list[EpochRecord]:
    """The records that ``history_tensor`` made rows of."""
    return [EpochRecord(int(row[0]), *row[1:]) for row in rows.tolist()]


def fingerprint(x: np.ndarray) -> Tensor:
    """One number for each sample, by which another run tells whether it sees the same data.

    Args:
        x: Noise-scaled principal components, shape (n, k).

    Returns:
        x (1, ..., 1)' / sqrt(k), shape (n,), float64: unit noise stays unit noise.
    """
    return torch.from_numpy(x.sum(axis=1, dtype=np.float64) / np.sqrt(x.shape[1]))
