"""The parts of a report that need no script, as HTML: facts, tables and charts. Every text from outside is escaped."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from genovi.report.charts import Chart, Curve, Rule, draw
from genovi.report.gathering import Confusion, Filtering, ReportContent, RunRecord
from genovi.resampling import COVERAGE, DRAWS, Interval

_WIDE = 60  # populations that a matrix can show
_SHADES = 5
_MINUS = "\N{MINUS SIGN}"
_CITATION = (
    "Wasu Top Piriyakulkij, Yingheng Wang and Volodymyr Kuleshov. Denoising Diffusion Variational Inference: Diffusion "
    "Models as Expressive Variational Posteriors. Proceedings of the AAAI Conference on Artificial Intelligence "
    "39(19):19921-19930, 2025. arXiv:2401.02739"
)


def facts(content: ReportContent) -> str:
    """What the run is, in a line of numbers."""
    run = content.run
    manifest, noise = run.manifest, run.spectrum.noise
    pairs = [
        ("samples", f"{len(run.embedding.samples):,}"),
        ("variants", f"{manifest.n_variants:,}"),
        ("components above the noise", f"{noise.significant:,}"),
        ("genome build", manifest.build),
        ("epochs", f"{len(run.history):,}"),
    ]
    bounds = run.summary.get("bounds")
    if isinstance(bounds, dict):
        pairs.append((f"{bounds.get('on')} bound, nats per sample", _decimal(bounds.get("elbo"))))
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{cells}</dl>'


def scores(content: ReportContent) -> str:
    """Measures with intervals, or why there are none."""
    judged = content.judgement
    if judged is None:
        return _note(_unjudged(content, "how well the map tells populations apart"))
    heads = ["measure", judged.read.populations.column]
    columns: list[Mapping[str, Interval]] = [judged.populations]
    if judged.groups is not None and judged.read.groups is not None:
        heads.append(judged.read.groups.column)
        columns.append(judged.groups)
    rows = [[name, *(_interval(column[name]) for column in columns)] for name in judged.populations]
    n, k = len(judged.read.populations.rows), judged.read.populations.k
    note = (
        f"{n:,} labelled samples; {k} nearest neighbours in the other four fifths of the samples. In brackets "
        f"{COVERAGE:.0%} percentile intervals of {DRAWS:,} bootstrap draws of samples, moved so that their mean is the "
        "value, with the map held fixed: they say nothing of training again with another seed. Each measure is 1 where "
        "map and labels agree."
    )
    return _table(heads, rows, "Agreement of the map with the labels") + _note(note)


def confusion(content: ReportContent) -> str:
    """Populations against the most similar reference population of their samples."""
    judged = content.judgement
    if judged is None:
        return _note(_unjudged(content, "which populations are alike on the map"))
    table = judged.confusion
    note = (
        f"For each sample, the most similar reference population is the one that most of its {table.k} nearest "
        "neighbours on the map belong to, asked among the other four fifths of the samples. It says whom a sample "
        "resembles on this map, not who anybody is."
    )
    matrix = _matrix(table) if len(table.names) <= _WIDE else ""
    return _note(note) + matrix + _confusion_list(table, open_=not matrix)


def filtering(run: RunRecord) -> str:
    """What quality control removed, as a waterfall for variants and one for samples."""
    parts = []
    for kind in ("variants", "samples"):
        steps = [step for step in run.filters if step.kind == kind]
        if steps:
            parts.append(f"<h3>{kind.capitalize()}</h3>{_waterfall(steps, kind)}")
    return "".join(parts) or _note("The run records no steps.")


def spectrum(run: RunRecord) -> str:
    """Eigenvalues with the noise floor."""
    values, noise = run.spectrum.eigenvalues, run.spectrum.noise
    axes = np.arange(1, len(values) + 1, dtype=np.float64)
    above = axes <= noise.significant
    curves = [
        Curve("above the noise", axes[above], values[above], 1, dots=True),
        Curve("not told from noise", axes[~above], values[~above], 5, dots=True),
    ]
    rule = Rule(f"noise floor {noise.edge:.3g} (Marchenko-Pastur edge)", y=noise.edge)
    curves = [curve for curve in curves if len(curve.x)]
    note = (
        f"{noise.significant} components lie above the largest variance that noise alone would reach. The model keeps "
        f"the {len(values)} leading components; the rest of the spectrum is not stored. The noise is that of "
        f"{noise.effective_variants:,.0f} independent variants."
    )
    chart = Chart("Variance of each principal component", "component", "variance of scores", curves, [rule], log=True)
    return draw(chart) + _note(note)


def training(run: RunRecord) -> str:
    """The bound and its terms over the epochs."""
    history = run.history
    epoch = history["epoch"].to_numpy(np.float64)

    def curve(column: str, name: str, slot: int) -> Curve:
        return Curve(name, epoch, history[column].to_numpy(np.float64), slot)

    bounds = [curve("bound", "training", 5)]
    rules = []
    for column, name, slot in (("held_out", "held out", 3), ("held_out_iwae", "held out, importance-weighted", 2)):
        values = history[column].to_numpy(np.float64)
        if np.isfinite(values).any():
            bounds.append(curve(column, name, slot))
            best = int(epoch[np.nanargmax(values)])
            rules = [Rule(f"best: epoch {best:,}", x=float(best))]  # early stopping goes by the last of them
    terms = [
        curve(column, column, slot)
        for slot, column in enumerate(("reconstruction", "prior", "chain", "entropy", "sleep"), start=1)
        if history[column].abs().max() > 0
    ]
    charts = [draw(Chart("Bound over the epochs", "epoch", "bound (nats per sample)", bounds, rules))]
    if terms:
        charts.append(draw(Chart("Terms of the bound over the epochs", "epoch", "term (nats per sample)", terms)))
    return f'<div class="pair">{"".join(charts)}</div>{_note(_ending(run))}'


def provenance(run: RunRecord) -> str:
    """How the run was made and how to make it again; the host's name is nobody's business and left out."""
    record = run.provenance
    command = repeat_command(run)
    pairs = [
        ("genovi", record.get("genovi")),
        ("Python", record.get("python")),
        ("root seed", record.get("seed", run.manifest.seed)),
        ("device", run.summary.get("device")),
        ("threads", run.summary.get("threads")),
        ("started", record.get("started")),
        ("wall time", _unit(record.get("wall_seconds"), "s")),
        ("peak memory", _unit(record.get("peak_memory_mib"), "MiB")),
    ]
    versions = _pairs(record.get("packages"))
    inputs = _pairs(record.get("inputs"))
    return "".join(
        [
            "<p>The same command, inputs and versions give the same numbers on the same kind of machine.</p>",
            f'<div class="command"><pre tabindex="0"><code id="command">{escape(command)}</code></pre>'
            '<button type="button" class="copy" data-copy="command">Copy</button></div>',
            _table(["what", "value"], [[n, str(v)] for n, v in pairs if v is not None], "The run"),
            _table(["input", "SHA-256"], inputs, "Inputs", code=True) if inputs else "",
            _details("Versions of packages", _table(["package", "version"], versions, "")) if versions else "",
        ]
    )


def repeat_command(run: RunRecord) -> str:
    """The command of the run, with the seed that was drawn for it where none was typed."""
    command = str(run.provenance.get("command", ""))
    seed = run.provenance.get("seed", run.manifest.seed)
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    typed = any(word == "--seed" or word.startswith("--seed=") for word in words)
    return command if typed or seed is None or not words else f"{command} --seed {seed}"


def citation() -> str:
    """What to cite."""
    return (
        "<p>genovi is written from the equations of this paper; please cite it, and genovi with its version.</p>"
        f'<div class="command"><pre tabindex="0"><code id="citation">{escape(_CITATION)}</code></pre>'
        '<button type="button" class="copy" data-copy="citation">Copy</button></div>'
    )


def _unjudged(content: ReportContent, what: str) -> str:
    if content.column is None:
        return f"No labels were given. genovi report RUN --labels PANEL also shows {what}."
    return f"Column {content.column} of the labels does not say {what}: {content.unjudged}."


def _matrix(table: Confusion) -> str:
    """Counts as a matrix, shaded by the share of the row."""
    share = table.counts / np.maximum(table.counts.sum(axis=1, keepdims=True), 1)
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in table.names)
    rows = []
    for i, name in enumerate(table.names):
        cells = "".join(
            f'<td class="h{_shade(share[i, j])}{" own" if i == j else ""}">{count or ""}</td>'
            for j, count in enumerate(table.counts[i].tolist())
        )
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    caption = "Samples of each population (rows) by most similar reference population (columns)"
    return _scrolled(
        "Confusion matrix",
        f'<table class="matrix"><caption>{caption}</caption><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>",
    )


def _shade(share: float) -> int:
    return 0 if share <= 0 else min(1 + int(share * _SHADES), _SHADES)


def _confusion_list(table: Confusion, open_: bool) -> str:
    rows = []
    for i, name in enumerate(table.names):
        row = table.counts[i]
        total = int(row.sum())
        others = [j for j in np.argsort(-row, kind="stable") if j != i and row[j]][:3]
        nearest = ", ".join(f"{table.names[j]} ({row[j]})" for j in others)
        rows.append([name, f"{total:,}", f"{row[i] / total:.0%}" if total else "", nearest])
    heads = ["population", "samples", "own is most similar", "otherwise most similar"]
    return _details("As a list", _table(heads, rows, ""), open_)


def _waterfall(steps: Sequence[Filtering], kind: str) -> str:
    whole = max(step.before for step in steps) or 1
    rows = [_fall("", "read", None, steps[0].before, whole, "")]
    rows += [
        _fall("cut" if step.removed else "idle", step.name, step.removed, step.kept, whole, step.reason)
        for step in steps
    ]
    head = (
        '<th scope="col">step</th><th scope="col" class="n">removed</th><th scope="col" class="n">kept</th>'
        '<th scope="col"><span class="unseen">share kept</span></th><th scope="col">what the step removes</th>'
    )
    return _scrolled(
        f"Quality control of {kind}",
        f'<table class="waterfall"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>',
    )


def _fall(look: str, name: str, removed: int | None, kept: int, whole: int, reason: str) -> str:
    """One row of a waterfall: what is kept as a bar, and at its end what went."""
    gone = f'<b style="width:{100 * removed / whole:.3f}%"></b>' if removed else ""
    count = "" if removed is None else f"{_MINUS}{removed:,}" if removed else "0"
    return (
        f'<tr class="{look}"><th scope="row">{escape(name)}</th><td class="n">{count}</td><td class="n">{kept:,}</td>'
        f'<td class="wide"><span class="bar" aria-hidden="true"><i style="width:{100 * kept / whole:.3f}%"></i>{gone}'
        f"</span></td><td>{escape(reason)}</td></tr>"
    )


def _ending(run: RunRecord) -> str:
    text = f"Training ended after {len(run.history):,} epochs"
    text += f" ({run.summary['ended']})." if run.summary.get("ended") else "."
    bounds = run.summary.get("bounds")
    if isinstance(bounds, dict):
        text += (
            f" Lower bounds of the log-likelihood on {bounds.get('n')} {bounds.get('on')} samples: "
            f"{_decimal(bounds.get('elbo'))}, importance-weighted with {bounds.get('draws')} draws "
            f"{_decimal(bounds.get('iwae'))} nats per sample. They compare models of the same data and components only."
        )
    return text


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str, code: bool = False) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = []
    for row in rows:
        cells = "".join(f"<td>{f'<code>{escape(c)}</code>' if code else escape(c)}</td>" for c in row[1:])
        body.append(f'<tr><th scope="row">{escape(row[0])}</th>{cells}</tr>')
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    table = f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return _scrolled(caption or heads[0], table)


def _scrolled(name: str, inside: str) -> str:
    """What may be wider than the page; keys scroll it, too."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">{inside}</div>'


def _details(title: str, inside: str, open_: bool = False) -> str:
    return f"<details{' open' if open_ else ''}><summary>{escape(title)}</summary>{inside}</details>"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _interval(found: Interval) -> str:
    return f"{found.value:z.3f} ({found.low:z.3f} to {found.high:z.3f})"


def _decimal(value: Any) -> str:
    return f"{value:.2f}".replace("-", _MINUS) if isinstance(value, int | float) else "unknown"


def _unit(value: Any, unit: str) -> str | None:
    return f"{value:,.0f} {unit}" if isinstance(value, int | float) else None


def _pairs(found: Any) -> list[list[str]]:
    return [[str(name), str(value)] for name, value in found.items()] if isinstance(found, dict) else []
