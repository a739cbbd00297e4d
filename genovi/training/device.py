"""Where training runs: the one place that chooses device and number of threads."""

from __future__ import annotations

import torch

from genovi.errors import ConfigError, ResourceError


def choose_device(name: str) -> torch.device:
    """The device called ``name``: "auto" takes CUDA, else Apple's MPS, else the CPU.

    Raises:
        ResourceError: the device is not there.
        ConfigError: no such name.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "mps" if available["mps"] else "cpu")
    if name not in available:
        raise ConfigError("unknown --device", where=name, fix="choose auto, cpu, cuda or mps")
    if not available[name]:
        there = ", ".join(device for device, found in available.items() if found)
        raise ResourceError(
            "device not available", where=f"--device {name}", why=f"this machine offers {there}", fix="--device auto"
        )
    return torch.device(name)


def choose_precise_device(name: str) -> torch.device:
    """As ``choose_device``, but one that has float64: the CPU in place of MPS."""
    chosen = choose_device(name)
    return torch.device("cpu") if chosen.type == "mps" else chosen


def choose_for_ranks(name: str) -> str:
    """Where several processes share a run on the device called ``name``: "cpu" or "cuda".

    Raises:
        ResourceError: the device is not there.
        ConfigError: no such name, or a device that processes cannot share.
    """
    kind = choose_device(name).type
    if name == "mps":
        raise ConfigError("several processes cannot share this device", where="--device mps", fix="--device cpu")
    return "cuda" if kind == "cuda" else "cpu"


def set_threads(threads: int | None) -> int:
    """Let torch use ``threads`` CPU threads (None: leave as is); returns the number in use."""
    if threads is not None:
        torch.set_num_threads(threads)
    return torch.get_num_threads()
