"""Compiling functions with numba, and keeping them on disk where there is a place. Import inside functions."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numba


def _pass_over_scipy() -> None:
    """Load numba's array functions without scipy.linalg, a fifth of a second.

    numba imports it at once to see whether np.dot can be compiled. genovi requires SciPy, so the answer is known, and
    where np.dot is compiled numba asks again.
    """
    linalg: Any = importlib.import_module("numba.np.linalg")
    ask = getattr(linalg, "ensure_blas", None)
    if ask is None:
        return
    linalg.ensure_blas = lambda: None
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = ask


_pass_over_scipy()


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` compiled on first call, and kept on disk where there is a place for it."""
    return _compiled(function, parallel=False)


def compiled_in_parallel(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same with ``numba.prange`` loops shared by the threads of numba."""
    return _compiled(function, parallel=True)


def _compiled(function: Callable[..., Any], parallel: bool) -> Callable[..., Any]:
    try:
        return numba.njit(cache=True, nogil=True, parallel=parallel)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written, as in a container
        return numba.njit(nogil=True, parallel=parallel)(function)
