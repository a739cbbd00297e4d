"""One root seed, split by name into independent streams.

The stream ``name`` of root seed ``s`` is seeded by SHA-256 of ``"s/name"``: adding a new stream, or drawing
more from one, never changes another. The global generators of NumPy and torch are never touched.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Seeds:
    """Named random streams.

    Attributes:
        root: The user's seed, recorded in every output's provenance.
    """

    root: int

    def integer(self, name: str) -> int:
        """A 63-bit seed for stream ``name``."""
        digest = hashlib.sha256(f"{self.root}/{name}".encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1

    def numpy(self, name: str) -> np.random.Generator:
        """A NumPy generator for stream ``name``."""
        return np.random.default_rng(self.integer(name))

    def torch(self, name: str, device: str = "cpu") -> torch.Generator:
        """A torch generator for stream ``name`` on ``device``."""
        import torch

        return torch.Generator(device=device).manual_seed(self.integer(name))

    def child(self, name: str) -> Seeds:
        """A subordinate root, e.g. one for each restart."""
        return Seeds(self.integer(name))
