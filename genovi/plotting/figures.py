"""What all figures share: paper, fonts, a user's own style, and files that are the same bytes for the same input."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genovi.errors import ConfigError, DataError
from genovi.files import atomic_path
from genovi.provenance import version

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_log = logging.getLogger("genovi")

SUFFIXES = (".png", ".pdf", ".svg")
DPI = 300
RASTER_ABOVE = 20_000  # points in a panel above which vector files hold a bitmap of them
_MM = 72 / 25.4  # points in a millimetre
WIDTHS = {"column": 85.0, "page": 180.0}  # mm: one column of a journal page, and its full width
_SMALLEST, _LARGEST = 40.0, 2000.0  # mm

_FONT_SIZE = 7.0
_GLYPH = re.compile(r"Glyph (\d+) .*missing from font\(s\) (.*)\.")  # of matplotlib's warnings
_MOST_GLYPHS = 12
_RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": _FONT_SIZE,
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
}


@dataclass(frozen=True)
class Sheet:
    """The paper that a figure is drawn on.

    Attributes:
        width: Points (1/72 inch).
        height: Points; None for what the content needs.
        style: A matplotlib style file, or the name of one of matplotlib's styles, applied over genovi's own settings;
            None for those alone.
    """

    width: float = WIDTHS["page"] * _MM
    height: float | None = None
    style: str | None = None

    @staticmethod
    def parse(size: str, style: str | None = None) -> Sheet:
        """A sheet from what is typed: "column" (85 mm), "page" (180 mm), "WIDTH" or "WIDTHxHEIGHT" in mm.

        Raises:
            ConfigError: it is none of these, or not between 40 and 2,000 mm.
        """
        if size in WIDTHS:
            return Sheet(WIDTHS[size] * _MM, None, style)
        found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:x(\d+(?:\.\d+)?))?(?:mm)?", size.strip().lower())
        lengths = [float(number) for number in found.groups() if number is not None] if found else []
        if not lengths or not all(_SMALLEST <= length <= _LARGEST for length in lengths):
            raise ConfigError(
                f"--size {size}",
                why=f"a figure is {_SMALLEST:.0f} to {_LARGEST:.0f} mm wide and high",
                fix="type column (85 mm), page (180 mm), or WIDTHxHEIGHT in mm, such as 120x90",
            )
        return Sheet(lengths[0] * _MM, lengths[1] * _MM if len(lengths) == 2 else None, style)

    def too_small(self, needed: str, legend: bool = True) -> ConfigError:
        """The error of a sheet that does not hold what it should; ``legend``: there is one that can be left out."""
        height = "" if self.height is None else f" x {self.height / _MM:.0f}"
        return ConfigError(
            f"figure of {self.width / _MM:.0f}{height} mm is too small",
            why=needed,
            fix="choose a larger --size" + (", or leave the legend out with --no-legend" if legend else ""),
        )


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
def style(sheet: Sheet | None = None) -> Iterator[None]:
    """Within it genovi's fonts and line widths hold, then those of the sheet's style, whatever matplotlibrc says.

    Raises:
        DataError: the style file is not there or is none.
    """
    import matplotlib

    own = _own_settings(sheet.style) if sheet is not None and sheet.style is not None else {}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = {**_RC, **own, "savefig.bbox": None}  # a tight box would change the size
        with matplotlib.rc_context(settings):
            yield


def _own_settings(name: str) -> dict[str, Any]:
    """Settings of a style file, or of a style of matplotlib's; those that are no matter of style are left out."""
    import matplotlib
    import matplotlib.style

    fix = f"give a matplotlib style file, or one of {', '.join(matplotlib.style.available[:4])}, ..."
    if name in matplotlib.style.library:
        return dict(matplotlib.style.library[name].items())
    path = Path(name)
    if not path.is_file():
        raise DataError("no such style", where=name, fix=fix)
    try:
        settings = matplotlib.rc_params_from_file(path, fail_on_error=True, use_default_template=False)
    except (ValueError, KeyError, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError("not a matplotlib style", where=path, why=reason, fix=fix) from error
    if not settings:
        raise DataError("not a matplotlib style", where=path, why="it sets nothing", fix=fix)
    kept = set(matplotlib.rcParams) - {key for key in matplotlib.rcParams if key.startswith(("backend", "toolbar"))}
    return {str(key): value for key, value in settings.items() if key in kept}


def counted(n: int, noun: str) -> str:
    """A number and its noun: 1 sample, 2,504 samples."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def scaled(points: float) -> float:
    """A length that was chosen for genovi's font size, at the font size in force."""
    import matplotlib

    return points * matplotlib.rcParams["font.size"] / _FONT_SIZE


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` x ``height`` points, without any global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of ``text`` at font size ``size`` in the font in force, both in points."""
    import matplotlib

    return _width(text, size, bold, tuple(matplotlib.rcParams["font.family"]))


@lru_cache(maxsize=4096)
def _width(text: str, size: float, bold: bool, family: tuple[str, ...]) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    font = FontProperties(family=list(family), weight="bold" if bold else "normal")
    outline = TextPath((0, 0), text, size=size, prop=font)
    # not get_extents(), which looks for the extrema of every curve: those of letters are at their knots
    x = outline.vertices[outline.codes != outline.CLOSEPOLY, 0]
    return float(x.max() - x.min())


def write_figure(figure: Figure, path: Path, command: str | None = None, sheet: Sheet | None = None) -> None:
    """Write a figure: PNG at 300 dpi, PDF with embedded TrueType, SVG with real text; no date inside.

    Args:
        figure: The figure.
        path: Its suffix chooses the format.
        command: Recorded in the file's metadata, with the version of genovi, as a figure has no log beside it.
        sheet: Its style holds while the figure is written, too.

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
    with style(sheet), _naming_glyphs(suffix), atomic_path(Path(path)) as temporary:
        figure.savefig(temporary, format=suffix[1:], dpi=DPI, metadata=by_suffix[suffix])


@contextmanager
def _naming_glyphs(suffix: str) -> Iterator[None]:
    """Within it matplotlib's warnings, one for each glyph that the font lacks, become one line with a remedy.

    SVG holds real text, for which its viewer finds a font.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    missing: dict[str, str] = {}
    for warning in caught:
        found = _GLYPH.match(str(warning.message))
        if found is None:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        else:
            missing[chr(int(found.group(1)))] = found.group(2)
    if missing and suffix != ".svg":
        more = ", ..." if len(missing) > _MOST_GLYPHS else ""
        _log.warning(
            "the font %s cannot draw %s: boxes stand there; --style FILE with a line font.family: NAME chooses a font "
            "that can, and an .svg leaves it to the viewer",
            next(iter(missing.values())),
            " ".join(list(missing)[:_MOST_GLYPHS]) + more,
        )
