"""The map as the report's script takes it: numbers as base64 of little-endian arrays, everything else as JSON.

Numbers are float32: the six digits of ``embedding.tsv`` survive, and 50,000 samples stay small. Nothing in the text
can end the script element that holds it, or begin another one.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import Any

import numpy as np

from genovi.plotting.colors import to_hex as lch_to_hex
from genovi.plotting.colors import to_lch
from genovi.plotting.palette import GREY, Style
from genovi.plotting.panel import COLORMAP
from genovi.report.gathering import ReportContent

_GROUND, _HAIR = "#1a1e23", "#e4e7eb"  # --plot of the dark page in report.css; a light hair line
_DARKEST = 0.3  # lightness below which an outline is a dark one
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def map_data(content: ReportContent) -> dict[str, Any]:
    """Samples, coordinates, populations and columns of numbers, JSON-ready."""
    import matplotlib
    from matplotlib.colors import to_hex

    embedding = content.run.embedding
    populations = content.coloring.populations[0]
    counts = Counter(populations)
    groups = {name: [p for p in members if counts[p]] for name, members in content.coloring.palette.groups.items()}
    names = [name for members in groups.values() for name in members]
    code = {name: i + 1 for i, name in enumerate(names)}  # 0: no label
    group_of = {name: group for group, members in groups.items() for name in members}
    styles = content.coloring.palette.styles
    return {
        "run": content.run.name,
        "column": content.column,
        "samples": list(embedding.samples),
        "mean": [_floats(axis) for axis in embedding.mean.T],
        "std": None if embedding.std is None else [_floats(axis) for axis in embedding.std.T],
        "missing": None if embedding.missing is None else _floats(embedding.missing),
        "misfit": None if embedding.misfit is None else _floats(embedding.misfit),
        "cluster": None if embedding.cluster is None else _codes(embedding.cluster),
        "clusterProb": None if embedding.cluster_prob is None else _floats(embedding.cluster_prob),
        "population": _codes(np.array([code.get(name, 0) for name in populations])),
        "similar": _similar(content, code),
        "neighbours": None if content.judgement is None else content.judgement.confusion.k,
        "populations": [
            _style(styles[name]) | {"name": name, "group": group_of[name], "count": counts[name]} for name in names
        ],
        "numbers": [{"name": name, "values": _floats(values)} for name, values in content.numbers.items()],
        "shown": content.shown,
        "scale": [to_hex(matplotlib.colormaps[COLORMAP](k / 63)) for k in range(64)],
        "unlabelled": _style(GREY) | {"name": "", "group": "", "count": counts[""]},
    }


def to_json(data: Any) -> str:
    """JSON that is inert inside of a script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return "".join(_ESCAPES.get(c, c) for c in text) if any(c in text for c in _ESCAPES) else text


def _similar(content: ReportContent, code: dict[str, int]) -> str | None:
    """Code of the most similar reference population of each sample, 0 where there is none."""
    if content.judgement is None:
        return None
    read = content.judgement.read.populations
    codes = np.zeros(len(content.run.embedding.samples), dtype=np.int64)
    codes[read.rows] = [code.get(name, 0) for name in read.neighbours]
    return _codes(codes)


def _style(style: Style) -> dict[str, Any]:
    return {
        "color": style.color,
        "edge": style.edge,
        "marker": style.marker,
        "area": style.area,
        "line": style.line,
        "outlined": style.outlined,
        "dark": on_dark(style),
    }


def on_dark(style: Style) -> dict[str, str]:
    """Fill and outline on the page's dark ground, where a dark outline or a white fill would turn things around.

    A dark outline becomes a light one of the same hue, an open marker stays open, and other outlines get light enough
    to be seen.
    """
    if not style.outlined:
        return {"color": style.color, "edge": _HAIR}
    lightness, chroma, hue = to_lch(style.edge)
    seen = lch_to_hex((max(lightness, 0.62), chroma, hue))
    if style.color.lower() == "#ffffff":
        return {"color": _GROUND, "edge": seen}
    if lightness < _DARKEST and to_lch(style.color)[0] > lightness + 0.25:
        return {"color": style.color, "edge": lch_to_hex((0.95, min(chroma, 0.04), hue))}
    return {"color": style.color, "edge": seen}


def _floats(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode("ascii")


def _codes(values: np.ndarray) -> str:
    """Non-negative whole numbers below 65,536."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<u2").tobytes()).decode("ascii")
