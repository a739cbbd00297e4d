"""A run as one HTML file that opens offline: BokehJS, the data and the style sheet are inside of it.

The page's content security policy lets it load nothing, and run no script but the two that were written into it, so
that a name of a sample or a population can neither fetch nor run anything.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from tempfile import gettempdir

from genovi.errors import ConfigError
from genovi.files import atomic_path, check_writable
from genovi.labels import SampleLabels
from genovi.plotting.coloring import ColorBy
from genovi.plotting.figures import counted
from genovi.provenance import version
from genovi.report import sections
from genovi.report.gathering import ReportContent, gather, read_run
from genovi.report.payload import map_data, to_json

SUFFIXES = (".html", ".htm")
_COMPONENTS = ["bokeh", "bokeh-api"]


@dataclass(frozen=True)
class ReportSummary:
    """What was written.

    Attributes:
        path: The file.
        samples: Samples on the map.
        populations: Populations, or clusters, among them.
        labelled: Whether labels were given.
        size: Bytes.
    """

    path: Path
    samples: int
    populations: int
    labelled: bool
    size: int

    def lines(self) -> list[str]:
        """For people to read."""
        kind = "population" if self.labelled else "cluster"
        return [
            f"{self.path}: {counted(self.samples, 'sample')}, {counted(self.populations, kind)}, "
            f"{self.size / 1e6:.1f} MB; opens in any browser, offline"
        ]


def check_suffix(path: Path) -> None:
    """Refuse what is not called a web page.

    Raises:
        ConfigError: the suffix is another one.
    """
    suffix = Path(path).suffix
    if suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"unknown suffix {suffix!r}" if suffix else "no suffix",
            where=path,
            why="a report is an HTML file",
            fix="end --out in .html",
        )


def write_report(
    run: Path,
    out: Path,
    *,
    labels: SampleLabels | None = None,
    by: ColorBy | None = None,
    force: bool = False,
    command: str | None = None,
) -> ReportSummary:
    """Write the report of a run.

    Args:
        run: The folder that training wrote.
        out: The HTML file.
        labels: Labels of the samples; without them samples are coloured by cluster and nothing is judged.
        by: Columns of populations and groups, and settled styles.
        force: Overwrite ``out``.
        command: The command line, which the report's foot shows.

    Raises:
        ConfigError: unknown suffix, ``out`` exists, no such column, or more populations than can be told apart.
        DataError: no such run, or a damaged one.
        MismatchError: no sample has a label.
        ResourceError: ``out`` cannot be written.
    """
    out = Path(out)
    check_suffix(out)
    check_writable(out, force)
    content = gather(read_run(run), labels, by or ColorBy())
    text = report_page(content, command)
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    populations = {name for name in content.coloring.populations[0] if name}
    return ReportSummary(
        out, len(content.run.embedding.samples), len(populations), labels is not None, out.stat().st_size
    )


def report_page(content: ReportContent, command: str | None = None) -> str:
    """The text of the file."""
    library, script = _library(), _asset("report.js")
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
        f"script-src {_hash(library)} {_hash(script)}"
    )
    title = f"{content.run.name}: genovi report"
    parts = {
        "policy": escape(policy),
        "title": escape(title),
        "run": escape(content.run.name),
        "style": _asset("report.css"),
        "facts": sections.facts(content),
        "scores": sections.scores(content),
        "confusion": sections.confusion(content),
        "filtering": sections.filtering(content.run),
        "spectrum": sections.spectrum(content.run),
        "training": sections.training(content.run),
        "provenance": sections.provenance(content.run),
        "citation": sections.citation(),
        "foot": escape(f"genovi {version()}" + (f": {command}" if command else "")),
        "data": to_json(map_data(content)),
        "library": library,
        "script": script,
    }
    return Template(_asset("page.html")).substitute(parts)


def _library() -> str:
    """BokehJS without what the map does not use."""
    try:
        Path.home()
    except RuntimeError:  # nor has bokeh a place for its settings then, as in a container whose user has no name
        os.environ["HOME"] = gettempdir()
    from bokeh.resources import Resources

    text = "\n".join(Resources(mode="inline", minified=True, components=_COMPONENTS, log_level="error").js_raw)
    return text.replace("</script", "<\\/script")


def _asset(name: str) -> str:
    return resources.files("genovi.report").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
