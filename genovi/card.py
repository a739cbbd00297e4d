"""A model card: what a trained model is, on whom it was trained, how good it is and what it is not for, in Markdown.

After Mitchell et al. (2019), "Model cards for model reporting". All of it comes from the model's own files, which may
be a stranger's: what they say is written as plain text, never as markup.
"""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genovi.embedding import embedding_of
from genovi.labels import SampleLabels, match
from genovi.manifest import Manifest, number_at, read_manifest, recorded_at
from genovi.modelfiles import NEEDED, VARIANTS, WEIGHTS, damaged, inflate, read_member

_LONGEST = 200
_NOT_RECORDED = "not recorded"
_MOST_LISTED = 30

Rows = Sequence[tuple[str, object]]


def model_card(place: Path, labels: SampleLabels | None = None, population: str | None = None) -> str:
    """The card of the model at ``place``, a folder or a file of ``genovi export``, as Markdown.

    Args:
        place: The model.
        labels: Labels of its training samples; the card counts them by population and names nobody.
        population: Column of the labels; None takes the one that looks like populations.

    Raises:
        DataError: the model is damaged, or, with labels, does not come with its embedding.
        MismatchError: no training sample has a label.
    """
    manifest = read_manifest(place)
    contents = {name: read_member(place, name) for name in NEEDED}
    name = place.absolute().name.removesuffix(".genovi")
    parts = [
        f"# Model card: {_plain(name)}",
        "An ancestry map made by genovi: it places samples by their genotypes in "
        f"{manifest.model['latent_dim']} dimensions, near those to which they are genetically similar.",
        "## Model",
        _table(_model_rows(manifest, contents[WEIGHTS])),
        "## Panel",
        _table(_panel_rows(manifest, contents[VARIANTS], place)),
        _populations(place, labels, population),
        "## Quality control",
        _quality_control(manifest),
        "## Metrics",
        _table(_metric_rows(manifest)),
        "The bounds are of log p(x) in nats per sample, higher is better, and compare models of the same data and "
        "principal components only. A sample whose `MISFIT` is over 1.25 times the 99 % quantile is unlike the panel.",
        "## Use",
        _USE.format(place=shlex.quote(place.name or str(place)).replace("`", "")),
        "## Limits",
        _LIMITS,
        "## Citing",
        _CITING,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_USE = """\
For looking at the structure of a cohort, for placing new samples among those of the panel, and for covariates:

```
genovi embed {place} NEW.vcf.gz --out new
```

New samples need at least half of the variants, on the same genome build."""

_LIMITS = """\
- The map shows genetic similarity to the samples of this panel. It is not ethnicity, nationality or race. Of a person,
  say "most similar reference population" and name the panel, never that a person "is" of it.
- Who is absent from the panel cannot be found: such samples are placed near whatever they resemble most. `MISFIT` tells
  most of them, not all. Groups of few samples are squeezed together.
- Two dimensions cannot keep all distances. Neighbourhoods are kept well, large distances only roughly; axes have no
  meaning.
- Not for decisions about a person: not for medicine, insurance, policing, borders or claims of descent.
- The model holds no genotypes and names no samples of the panel, but it holds allele frequencies. Whoever has a
  person's genome may tell from frequencies of a small panel whether that person was in it (Homer et al. 2008, PLoS
  Genetics 4:e1000167): share the model under the terms of the data that it was trained on."""

_CITING = """\
Piriyakulkij, Wang and Kuleshov, *Denoising Diffusion Variational Inference: Diffusion Models as Expressive Variational
Posteriors*, AAAI 2025, 39(19):19921-19930, arXiv:2401.02739; genovi itself; and the panel."""


def _model_rows(manifest: Manifest, weights: bytes) -> Rows:
    model = manifest.model
    steps = "1 step" if model["steps"] == 1 else f"{model['steps']} steps"
    variant = "" if model["posterior"] == "ddvi" else f", {model['posterior']}"
    chain = (
        f"diffusion chain of {steps} (DDVI{variant})" if model["posterior"].startswith("ddvi") else model["posterior"]
    )
    prior = f"mixture of {model['components']} Gaussians" if model["prior"] == "mixture" else model["prior"]
    return [
        ("posterior", chain),
        ("prior", prior),
        ("input", f"{manifest.n_axes} principal components"),
        ("genovi", recorded_at(manifest.summary, "provenance", "genovi")),
        ("trained", recorded_at(manifest.summary, "provenance", "finished")),
        ("seed", manifest.seed),
        ("command", recorded_at(manifest.summary, "provenance", "command")),
        ("format version", manifest.format_version),
        (f"SHA-256 of {WEIGHTS}", hashlib.sha256(weights).hexdigest()),
    ]


def _panel_rows(manifest: Manifest, variants: bytes, place: Path) -> Rows:
    chromosomes, frequencies = _variants(variants, manifest.n_variants, place)
    minor = np.minimum(frequencies, 1 - frequencies)
    low, middle, high = np.quantile(minor, [0.05, 0.5, 0.95])
    inputs = recorded_at(manifest.summary, "provenance", "inputs")
    files = [f"{name} (SHA-256 {str(digest)[:12]}...)" for name, digest in inputs.items()] if _is_dict(inputs) else None
    return [
        ("training samples", manifest.n_samples),
        ("variants", manifest.n_variants),
        ("chromosomes", _listed([f"{name} ({count})" for name, count in chromosomes.items()])),
        ("minor allele frequency", f"{middle:.3f} (median), 90 % from {low:.3f} to {high:.3f}"),
        ("genome build", manifest.build),
        ("input", None if files is None else _listed(files)),
    ]


def _variants(content: bytes, n_variants: int, place: Path) -> tuple[Counter[str], np.ndarray]:
    """Variants on each chromosome, and frequencies of counted alleles, shape (n_variants,), float64."""
    try:
        header, *lines = inflate(content, n_variants, place).decode().splitlines()
        columns = header.split("\t")
        chrom, freq = columns.index("CHROM"), columns.index("FREQ")
        rows = [line.split("\t") for line in lines]
        frequencies = np.array([float(row[freq]) for row in rows])
        chromosomes = Counter(row[chrom] for row in rows)
    except (ValueError, IndexError) as error:
        raise damaged(place, f"{VARIANTS}: {error}") from error
    if len(frequencies) != n_variants or not ((frequencies > 0) & (frequencies < 1)).all():
        raise damaged(place, f"{VARIANTS} contradicts model.json")
    return chromosomes, frequencies


def _populations(place: Path, labels: SampleLabels | None, population: str | None) -> str:
    if labels is None:
        return (
            "Training saw no labels, so the model does not know who the samples are. Say it here, with where they come "
            "from and under which terms: `genovi card --labels PANEL` counts them by population."
        )
    column = population if population is not None else labels.default_population_column()
    values = match(labels, embedding_of(place).samples).column(column)
    counts = Counter(value or "without a label" for value in values)
    rows = [
        f"| {_plain(name)} | {count} |" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    return "\n".join([f"Training samples by `{_plain(column)}`, which training did not see:", "",
                      "| population | samples |", "|---|---|", *rows])  # fmt: skip


def _quality_control(manifest: Manifest) -> str:
    steps = recorded_at(manifest.summary, "qc", "steps")
    known = [step for step in steps if _is_dict(step)] if isinstance(steps, list) else []
    if not known:
        return f"Quality control was {_NOT_RECORDED}."
    keys = ("name", "kind", "before", "removed", "reason")
    rows = ["| " + " | ".join(_plain(step.get(key)) for key in keys) + " |" for step in known]
    return "\n".join(["| step | of | before | removed | what |", "|---|---|---|---|---|", *rows])


def _metric_rows(manifest: Manifest) -> Rows:
    def number(*path: str, digits: int = 2) -> str | None:
        found = number_at(manifest.summary, *path)
        return None if found is None else f"{found:,.{digits}f}"

    return [
        ("measured on", recorded_at(manifest.summary, "bounds", "on")),
        ("samples", number("bounds", "n", digits=0)),
        ("bound (ELBO)", number("bounds", "elbo")),
        ("importance-weighted bound", number("bounds", "iwae")),
        ("draws", number("bounds", "draws", digits=0)),
        ("median effective draws", number("bounds", "effective_size", digits=1)),
        ("epochs", number("epochs", digits=0)),
        ("training ended", recorded_at(manifest.summary, "ended")),
        ("`MISFIT` of training samples, median", number("misfit", "median")),
        ("`MISFIT` of training samples, 99 % quantile", number("misfit", "q99")),
    ]


def _listed(entries: Sequence[str]) -> tuple[str, ...]:
    """The first entries and how many more there are: each is cut where it is too long, never the list."""
    more = len(entries) - _MOST_LISTED
    return tuple(entries[:_MOST_LISTED]) + ((f"and {more} more",) if more > 0 else ())


def _table(rows: Rows) -> str:
    return "\n".join(["| what | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows)])


def _cell(value: object) -> str:
    return ", ".join(map(_plain, value)) if isinstance(value, tuple) else _plain(value)


def _plain(value: object) -> str:
    """A value as text of one line in which Markdown sees no markup."""
    if value is None:
        return _NOT_RECORDED
    text = "".join(c if c.isprintable() else " " for c in str(value)[: _LONGEST + 1])
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for special in "\\`*_[]|#!":
        text = text.replace(special, "\\" + special)
    return text


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)
