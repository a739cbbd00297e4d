"""What all figures share: fonts, sizes, and files that are the same bytes for the same input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genovi.errors import ConfigError
from genovi.files import atomic_path
from genovi.provenance import version

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".pdf", ".svg")
PAGE_WIDTH = 510.0  # points: 180 mm, the full width of a journal page
RASTER_ABOVE = 20_000  # points in a panel above which vector files hold a bitmap of them

_RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.0,
    "axes.linewidth": 0.6,
    "axes.labelsize": 7.5,
    "axes.titlesize": 8.0,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.unicode_minus": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "genovi",
    "pdf.fonttype": 42,
    "savefig.bbox": None,
}


def check_suffix(path: Path) -> str:
    """The suffix of a figure file, in lower case.

    Raises:
        ConfigError: it is not one of ``SUFFIXES``.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(
            f"cannot draw {suffix} files" if suffix else "figure file has no suffix",
            where=path,
            fix=f"let --out end in one of {', '.join(SUFFIXES)}",
        )
    return suffix


@contextmanager
def style() -> Iterator[None]:
    """Within it genovi's fonts and line widths hold, whatever the user's matplotlibrc says."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        with matplotlib.rc_context(_RC):
            yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` x ``height`` points, without any global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72), dpi=300)
    FigureCanvasAgg(figure)
    return figure


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of ``text`` at font size ``size``, both in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    font = FontProperties(family=_RC["font.sans-serif"], weight="bold" if bold else "normal")
    return float(TextPath((0, 0), text, size=size, prop=font).get_extents().width)


def write_figure(figure: Figure, path: Path, command: str | None = None) -> None:
    """Write a figure: PNG at 300 dpi, PDF with embedded TrueType, SVG with real text; no date inside.

    Args:
        figure: The figure.
        path: Its suffix chooses the format.
        command: Recorded in the file's metadata, with the version of genovi, as a figure has no log beside it.

    Raises:
        ConfigError: unknown suffix.
        ResourceError: the file cannot be written.
    """
    suffix = check_suffix(path)
    creator = f"genovi {version()}"
    by_suffix: dict[str, dict[str, Any]] = {
        ".png": {"Software": creator, "Description": command or ""},
        ".pdf": {"Creator": creator, "Subject": command or "", "CreationDate": None},
        ".svg": {"Creator": creator, "Description": command or "", "Date": None},
    }
    with style(), atomic_path(Path(path)) as temporary:
        figure.savefig(temporary, format=suffix[1:], dpi=300, metadata=by_suffix[suffix])
