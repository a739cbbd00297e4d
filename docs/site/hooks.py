"""MkDocs takes pages from one folder; genovi's lie where they belong (README, data/, benchmarks/, docs/).

This hook gives MkDocs the files of the repository under the paths that they have there, so that links between pages are
the same on the site as in a clone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.utils import get_relative_url

REPO = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md", "benchmarks/README.md", "docs/**/*.md")
LINKED = (
    "docs/images/*", "docs/workflow/*", "docs/*.ipynb", "docs/site/*.css", "docs/site/*.js", "benchmarks/report.py",
    "CITATION.cff",
)  # fmt: skip
_SHIM = "https://unpkg.com/iframe-worker/shim"


def on_files(files: Files, config: Any) -> Files:
    """The pages, and what they link to, instead of the files of ``docs_dir``; what the theme adds stays."""
    found = sorted({path for pattern in (*PAGES, *LINKED) for path in REPO.glob(pattern) if path.is_file()})
    ours = [
        File(str(path.relative_to(REPO)), str(REPO), config["site_dir"], config["use_directory_urls"]) for path in found
    ]
    return Files([*(file for file in files if file.src_dir != config["docs_dir"]), *ours])


def _at_home(output: str, url: str) -> str:
    """The page without its one script from elsewhere, which docs/site/offline.js stands in for."""
    return output.replace(_SHIM, get_relative_url("docs/site/offline.js", url))


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Each page that is written."""
    return _at_home(output, page.url)


def on_post_template(output: str, template_name: str, config: Any) -> str:
    """The page for addresses that lead nowhere."""
    return _at_home(output, template_name)
