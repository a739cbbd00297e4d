"""Sample labels: population, region, sex and whatever else a table says about samples, matched by sample id.

Labels are only ever used to colour, to judge and to count; no model sees them. Every value is kept as the string
that the file holds: identifiers keep leading zeros, "NA" is a label like any other, and only an empty cell is blank.

Formats, chosen by suffix:

- ``.fam``   PLINK 1: no header, six columns; the family id is the population when families look like populations.
- ``.ind``   EIGENSTRAT: no header, sample, sex, population.
- ``.psam``  PLINK 2: header line beginning ``#FID`` or ``#IID``; without one it is read as ``.fam``.
- others     a table with a header: the 1000 Genomes panel and pedigree, TSV, CSV (comma, semicolon), or columns
             separated by spaces.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from genovi.errors import ConfigError, DataError, MismatchError
from genovi.tables import Row, read_lines, split_headerless, split_table

_log = logging.getLogger("genovi")

_SAMPLE_NAMES = ("sample", "sampleid", "iid", "id", "individualid", "samplename", "individual")
_POPULATION_NAMES = ("pop", "population", "populationcode", "popcode", "poplabel", "populationid", "ethnicity")
_GROUP_NAMES = ("superpop", "superpopulation", "superpopulationcode", "spop", "region", "continent", "group")
_SEX_NAMES = ("sex", "gender")
_FAMILY_NAMES = ("fid", "familyid")
_SEX = {"1": "male", "2": "female", "M": "male", "F": "female"}
_FAMILY_SIZE = 3  # families of a .fam that are smaller than this on average are pedigrees, not populations


def _plain(name: str) -> str:
    """A column name without case, leading ``#``, blanks, ``_``, ``-`` and ``.``: "Individual ID" is "individualid"."""
    return "".join(c for c in name.lower().lstrip("#") if c not in " _-.")


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class SampleLabels:
    """A table of labels, one row per sample.

    Attributes:
        samples: Sample identifiers, unique, in file order.
        columns: Values by column name, each of the length of ``samples``; "" is blank.
        source: Name of the file, for messages.
        sample_column: Header of the column that holds the identifiers.
    """

    samples: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    source: str = "labels"
    sample_column: str = "sample"

    def column(self, name: str) -> tuple[str, ...]:
        """Values of column ``name``; a name that differs in case only is accepted where it is unambiguous.

        Raises:
            ConfigError: there is no such column.
        """
        if name in self.columns:
            return self.columns[name]
        same = [other for other in self.columns if other.lower() == name.lower()]
        if len(same) == 1:
            return self.columns[same[0]]
        near = get_close_matches(name, list(self.columns), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "name one of these"
        raise ConfigError(
            f"no label column {name!r}",
            where=self.source,
            why=f"columns are {', '.join(self.columns) or 'none'}",
            fix=hint,
        )

    def default_population_column(self) -> str:
        """The column that most likely holds populations.

        A column called pop, population or the like; else the first one whose values are names and repeat.

        Raises:
            ConfigError: no column looks like one.
        """
        named = self._first_named(_POPULATION_NAMES)
        if named is not None:
            return named
        for name, values in self.columns.items():
            counts = Counter(value for value in values if value)
            if _plain(name) in (*_SEX_NAMES, *_GROUP_NAMES, *_FAMILY_NAMES) or all(map(_is_number, counts)):
                continue
            if len(counts) >= 2 and sum(counts.values()) >= 2 * len(counts):
                return name
        raise ConfigError(
            "no population column found",
            where=self.source,
            why=f"columns are {', '.join(self.columns) or 'none'}",
            fix="name the column to use, or call it 'pop'",
        )

    def default_group_column(self) -> str | None:
        """The column that holds super-populations, regions or continents; None where there is none."""
        return self._first_named(_GROUP_NAMES)

    def _first_named(self, names: Sequence[str]) -> str | None:
        by_name: dict[str, str] = {}
        for column in self.columns:
            by_name.setdefault(_plain(column), column)
        return next((by_name[name] for name in names if name in by_name), None)


@dataclass(frozen=True)
class MatchedLabels:
    """Labels in the order of a list of samples.

    Attributes:
        labels: One row for each of the samples asked for, blank for those that the table does not have.
        unmatched: Samples of the data that have no row in the table.
        unused: Samples of the table that are not in the data.
    """

    labels: SampleLabels
    unmatched: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def samples(self) -> tuple[str, ...]:
        """Samples of the data, in their order."""
        return self.labels.samples

    def column(self, name: str) -> tuple[str, ...]:
        """Values of column ``name`` in the order of the data; see ``SampleLabels.column``."""
        return self.labels.column(name)


def match(labels: SampleLabels, samples: Sequence[str]) -> MatchedLabels:
    """Put labels in the order of ``samples``; nothing is dropped, what does not match is counted and named.

    Args:
        labels: The table.
        samples: Sample identifiers of the data, compared as strings: IIDs, or FID_IID, as readers of genotypes name
            samples whose IIDs repeat, where the table has families.

    Raises:
        DataError: the table has no header line (its "column name" is one of the samples).
        MismatchError: not one sample is in both.
    """
    wanted = set(samples)
    if labels.sample_column in wanted and _plain(labels.sample_column) not in _SAMPLE_NAMES:
        raise DataError(
            "label file has no header line",
            where=labels.source,
            why=f"its first line holds the sample {labels.sample_column}",
            fix="add a first line such as 'sample<TAB>pop'",
        )
    names = _names_in(labels, wanted)
    row = {sample: i for i, sample in enumerate(names)}
    unmatched = tuple(sample for sample in samples if sample not in row)
    if len(unmatched) == len(samples):
        raise _no_overlap(labels, samples)
    unused = tuple(sample for sample in names if sample not in wanted)
    if unmatched:
        _log.warning(
            "%d of %d samples have no labels in %s: %s", len(unmatched), len(samples), labels.source, _some(unmatched)
        )
    if unused:
        _log.info("%d labelled samples of %s are not in the data", len(unused), labels.source)
    columns = {
        name: tuple(values[row[sample]] if sample in row else "" for sample in samples)
        for name, values in labels.columns.items()
    }
    return MatchedLabels(replace(labels, samples=tuple(samples), columns=columns), unmatched, unused)


def _names_in(labels: SampleLabels, wanted: set[str]) -> tuple[str, ...]:
    """Names of the rows: FID_IID where that is how more of the data's samples are called."""
    family = next((name for name in labels.columns if _plain(name) in _FAMILY_NAMES), None)
    if family is None:
        return labels.samples
    joined = tuple(_joined(*pair) for pair in zip(labels.columns[family], labels.samples, strict=True))
    return joined if len(wanted.intersection(joined)) > len(wanted.intersection(labels.samples)) else labels.samples


def _joined(family: str, individual: str) -> str:
    return f"{family}_{individual}"


def _no_overlap(labels: SampleLabels, samples: Sequence[str]) -> MismatchError:
    wanted, known = set(samples), set(labels.samples)
    fix = "check that the labels belong to these samples and that the ids are in that column"
    stripped = {sample.split("_", 1)[-1] for sample in samples}
    if stripped & known:
        fix = (
            "ids agree without the 'FID_' prefix of the data: write them as IID only (plink2 --export vcf id-paste=iid)"
        )
    elif wanted & {sample.split("_", 1)[-1] for sample in known}:
        fix = "ids agree without the 'FID_' prefix of the labels: remove it there"
    else:
        others = [name for name, values in labels.columns.items() if wanted & set(values)]
        if others:
            fix = f"column {others[0]!r} holds ids of the data: rename it to 'sample'"
    return MismatchError(
        "no sample has labels",
        where=f"{labels.source}, column {labels.sample_column!r}",
        why=f"the data have {_some(samples, 3)}; the labels have {_some(labels.samples, 3)}",
        fix=fix,
    )


def _some(names: Sequence[str], n: int = 5) -> str:
    return ", ".join(names[:n]) + (", ..." if len(names) > n else "")


def read_labels(path: Path, sample_column: str | None = None) -> SampleLabels:
    """Read a label file; the format is described at the top of this module.

    Args:
        path: The file.
        sample_column: Header of the column of sample ids; None takes the one called sample, IID, id, ... or the first.

    Raises:
        DataError: the file cannot be read, is no table, or labels one sample in two ways.
        ConfigError: ``sample_column`` is not there.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    lines = read_lines(path)
    if suffix == ".psam" and not lines[0][1].startswith(("#FID", "#IID")):
        suffix = ".fam"
    if suffix == ".fam":
        return _fam_labels(lines, path)
    if suffix == ".ind":
        header, rows = ["sample", "sex", "pop"], split_headerless(lines, path, 3)
        rows = [(line, [sample, _SEX.get(sex, ""), pop]) for line, (sample, sex, pop) in rows]
        return _labels(header, rows, 0, path)
    if suffix == ".ped" and not set(map(_plain, re.split("[\t,;]", lines[0][1]))) & set(_SAMPLE_NAMES):
        raise DataError(
            "no 'Individual ID' column",
            where=path,
            why="a PLINK .ped without header holds genotypes, not labels",
            fix="give a pedigree with a header, a panel, a TSV or a CSV",
        )
    header, rows = split_table(lines, path)
    if sample_column is not None:
        if sample_column not in header:
            raise ConfigError(
                f"no column {sample_column!r}",
                where=path,
                why=f"columns are {', '.join(header)}",
                fix="name one of these",
            )
        return _labels(header, rows, header.index(sample_column), path)
    plain = [_plain(name) for name in header]
    index = next((plain.index(name) for name in _SAMPLE_NAMES if name in plain), None)
    return _labels(header, rows, index or 0, path)


def join_groups(labels: SampleLabels, path: Path, on: str | None = None) -> SampleLabels:
    """Add columns from a table about populations, e.g. the super-population of each.

    The table is either two columns without header (population, group; the new column is called ``super_pop``), or has
    a header with a population column. Columns that ``labels`` already has are kept as they are.

    Args:
        labels: Labels with a population column.
        path: The table.
        on: That column's name; None guesses it.

    Raises:
        ConfigError: ``labels`` has no column ``on``.
        DataError: the table cannot be read or gives one population two groups.
        MismatchError: not one population is in both.
    """
    path = Path(path)
    populations = labels.column(on if on is not None else labels.default_population_column())
    header, rows = split_table(read_lines(path), path)
    plain = [_plain(name) for name in header]
    keys = [i for i, name in enumerate(plain) if name in _POPULATION_NAMES]
    if not keys and len(header) != 2:
        raise DataError(
            "no population column", where=path, why=f"columns are {', '.join(header)}", fix="call one of them 'pop'"
        )
    if not keys and not any(name in _GROUP_NAMES for name in plain):
        rows = [(1, header), *rows]
        header = ["pop", "super_pop"]
    key = keys[0] if keys else 0
    table = _labels(header, [row for row in rows if row[1][key]], key, path)
    known = {population: i for i, population in enumerate(table.samples)}
    present = {population for population in populations if population}
    missing = sorted(present - known.keys())
    if len(missing) == len(present):
        raise MismatchError(
            "no population has a group",
            where=path,
            why=f"the labels have {_some(missing, 3)}; the table has {_some(table.samples, 3)}",
            fix="check that both use the same population names",
        )
    if missing:
        _log.warning("%d of %d populations are not in %s: %s", len(missing), len(present), path.name, _some(missing))
    columns = dict(labels.columns)
    for name, values in table.columns.items():
        if name in columns:
            _log.info("column %s of %s is already there and kept", name, path.name)
            continue
        columns[name] = tuple(values[known[p]] if p in known else "" for p in populations)
    return replace(labels, columns=columns)


def _fam_labels(lines: list[tuple[int, str]], path: Path) -> SampleLabels:
    rows = split_headerless(lines, path, 5)
    families = [cells[0] for _, cells in rows]
    n_families = len(set(families))
    informative = n_families > 1 and len(families) >= _FAMILY_SIZE * n_families
    header = ["sample", *(["pop"] if informative else []), "FID", "sex"]
    named = [
        (number, [iid, *([fid] if informative else []), fid, _SEX.get(sex, "")])
        for number, (fid, iid, _, _, sex) in rows
    ]
    return _labels(header, named, 0, path)


def _labels(header: list[str], rows: list[Row], index: int, path: Path) -> SampleLabels:
    """Rows keyed by column ``index``; equal repeats are merged, contradictions refused.

    Where one individual identifier stands in several families, all samples are named FID_IID.
    """
    rows = _by_family(header, rows, index)
    seen: dict[str, Row] = {}
    for number, cells in rows:
        sample = cells[index]
        if not sample:
            raise DataError(
                f"no {header[index]}", where=f"{path}, line {number}", fix="fill in the id or remove the line"
            )
        first = seen.setdefault(sample, (number, cells))
        if first[1] != cells:
            j = next(j for j, cell in enumerate(cells) if cell != first[1][j])
            raise DataError(
                f"{sample} is labelled twice",
                where=f"{path}, line {number}",
                why=f"{header[j]} is {first[1][j]!r} in line {first[0]} and {cells[j]!r} here",
                fix="keep one of the lines",
            )
    if not seen:
        raise DataError(
            "no samples in label file", where=path, why="it holds a header only", fix="add one row a sample"
        )
    kept = list(seen.values())
    columns = {name: tuple(cells[j] for _, cells in kept) for j, name in enumerate(header) if j != index and name}
    return SampleLabels(tuple(seen), columns, path.name, header[index])


def _by_family(header: list[str], rows: list[Row], index: int) -> list[Row]:
    family = next((j for j, name in enumerate(header) if j != index and _plain(name) in _FAMILY_NAMES), None)
    if family is None:
        return rows
    family_of: dict[str, str] = {}
    if all(family_of.setdefault(cells[index], cells[family]) == cells[family] for _, cells in rows if cells[index]):
        return rows
    _log.info("%s repeat in several families: samples are named FID_IID", header[index])
    return [
        (number, [*cells[:index], cells[index] and _joined(cells[family], cells[index]), *cells[index + 1 :]])
        for number, cells in rows
    ]
