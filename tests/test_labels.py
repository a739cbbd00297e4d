"""Labels: every format that people hold, ids kept as text, nothing lost silently."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import real_data
from hypothesis import given
from hypothesis import strategies as st

from genovi.errors import ConfigError, DataError, GenoviError, MismatchError
from genovi.labels import SampleLabels, join_groups, match, read_labels

PANEL = "sample\tpop\tsuper_pop\tgender\t\t\nHG1\tGBR\tEUR\tmale\nHG2\tYRI\tAFR\tfemale\t\t\n"


def written(folder: Path, text: str | bytes, name: str = "labels.tsv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_panel_with_trailing_tabs(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, PANEL, "x.panel"))
    assert labels.samples == ("HG1", "HG2")
    assert dict(labels.columns) == {"pop": ("GBR", "YRI"), "super_pop": ("EUR", "AFR"), "gender": ("male", "female")}
    assert labels.default_population_column() == "pop"
    assert labels.default_group_column() == "super_pop"
    assert labels.source == "x.panel"


@pytest.mark.parametrize("header", ["Sample", "sample_id", "IID", "#IID", "ID", "Individual ID", "SampleID"])
def test_sample_column_is_found_by_name(tmp_path: Path, header: str) -> None:
    labels = read_labels(written(tmp_path, f"pop\t{header}\nP\ts1\nQ\ts2\n"))
    assert labels.samples == ("s1", "s2")
    assert list(labels.columns) == ["pop"]


def test_first_column_is_the_sample_unless_named(tmp_path: Path) -> None:
    path = written(tmp_path, "who\tcode\tpop\nx\t7\tP\ny\t8\tQ\n")
    assert read_labels(path).samples == ("x", "y")
    assert read_labels(path, sample_column="code").samples == ("7", "8")
    with pytest.raises(ConfigError, match=r"no column 'nix'.*who, code, pop"):
        read_labels(path, sample_column="nix")


def test_values_stay_text(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, "sample\tpop\tage\n007\tNA\t1.50\n7\t00\t\n1e3\tnan\tNone\n"))
    assert labels.samples == ("007", "7", "1e3")
    assert labels.column("pop") == ("NA", "00", "nan")
    assert labels.column("age") == ("1.50", "", "None")


def test_fam_families_are_populations_only_when_they_look_like_it(tmp_path: Path) -> None:
    populations = "".join(f"P{i % 2} s{i} 0 0 {i % 3} -9\n" for i in range(8))
    labels = read_labels(written(tmp_path, populations, "a.fam"))
    assert labels.column("pop") == tuple(f"P{i % 2}" for i in range(8))
    assert labels.column("sex")[:3] == ("", "male", "female")
    for name, family in {"trios": "F{h}", "same": "s{i}", "zero": "0"}.items():
        text = "".join(f"{family.format(h=i // 2, i=i)} s{i} 0 0 1 -9\n" for i in range(8))
        pedigrees = read_labels(written(tmp_path, text, f"{name}.fam"))
        assert "pop" not in pedigrees.columns
        with pytest.raises(ConfigError, match="no population column"):
            pedigrees.default_population_column()


def test_psam_with_and_without_header(tmp_path: Path) -> None:
    text = "##note\n#FID\tIID\tSEX\tSuperPop\tPopulation\nf\ts1\t1\tEUR\tGBR\nf\ts2\t2\tAFR\tYRI\n"
    labels = read_labels(written(tmp_path, text, "a.psam"))
    assert labels.samples == ("s1", "s2")
    assert (labels.default_population_column(), labels.default_group_column()) == ("Population", "SuperPop")
    assert read_labels(written(tmp_path, "#IID SEX\ns1 1\ns2 2\n", "b.psam")).samples == ("s1", "s2")
    bare = read_labels(written(tmp_path, "f s1 0 0 1 -9\nf s2 0 0 1 -9\n", "c.psam"))
    assert bare.samples == ("s1", "s2")


FAMILIES = {
    "x.fam": "F1 1 0 0 1 -9\nF1 2 0 0 2 -9\nF2 1 0 0 2 -9\nF2 2 0 0 1 -9\n",
    "x.psam": "#FID\tIID\tsex\nF1\t1\tmale\nF1\t2\tfemale\nF2\t1\tfemale\nF2\t2\tmale\n",
    "x.tsv": "IID\tFamily ID\tsex\n1\tF1\tmale\n2\tF1\tfemale\n1\tF2\tfemale\n2\tF2\tmale\n",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_individuals_of_several_families_are_told_apart(tmp_path: Path, name: str) -> None:
    labels = read_labels(written(tmp_path, FAMILIES[name], name))
    assert labels.samples == ("F1_1", "F1_2", "F2_1", "F2_2")
    matched = match(labels, ("F2_1", "F1_1", "F3_1"))
    assert matched.column("sex") == ("female", "male", "")
    assert matched.unmatched == ("F3_1",)
    assert matched.unused == ("F1_2", "F2_2")


def test_families_name_individuals_where_the_data_do(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, "FID\tIID\tpop\nF1\t1\tP\nF2\t2\tQ\n"))
    for samples in (("2", "1", "7"), ("F2_2", "F1_1", "F2_1")):
        matched = match(labels, samples)
        assert matched.column("pop") == ("Q", "P", "")
        assert (matched.unmatched, matched.unused) == (samples[2:], ())
    text = "FID\tIID\tpop\nF1\t1\tP\nF1\t1\tQ\nF2\t1\tP\n"
    with pytest.raises(DataError, match="F1_1 is labelled twice"):
        read_labels(written(tmp_path, text))


def test_eigenstrat_ind(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, "   HGDP1 M  Han\nHGDP2\t U \tFrench\n", "a.ind"))
    assert labels.samples == ("HGDP1", "HGDP2")
    assert dict(labels.columns) == {"sex": ("male", ""), "pop": ("Han", "French")}


def test_equal_duplicates_merge_and_contradictions_are_refused(tmp_path: Path) -> None:
    assert read_labels(written(tmp_path, "sample\tpop\na\tP\nb\tQ\na\tP\n")).samples == ("a", "b")
    with pytest.raises(DataError, match=r"a is labelled twice .*line 4.*pop is 'P' in line 2 and 'Q' here"):
        read_labels(written(tmp_path, "sample\tpop\na\tP\nb\tQ\na\tQ\n"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.tsv", None, "no such file"),
        ("header.tsv", b"sample\tpop\n", "no samples in label file"),
        ("noid.tsv", b"sample\tpop\na\tP\n\tQ\n", r"no sample .*line 3"),
        ("short.fam", b"f s1 0 0\n", r"4 columns .*line 1"),
        ("short.ind", b"a U P\nb U\n", r"2 columns .*line 2"),
        ("geno.ped", b"f s1 0 0 1 -9 A A C T\n", "holds genotypes"),
    ],
)
def test_bad_files_say_what_and_where(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_labels(path)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_match_orders_counts_and_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = read_labels(written(tmp_path, PANEL))
    with caplog.at_level(logging.INFO, "genovi"):
        matched = match(labels, ["HG2", "X1", "X2"])
    assert matched.samples == ("HG2", "X1", "X2")
    assert matched.column("pop") == ("YRI", "", "")
    assert matched.unmatched == ("X1", "X2")
    assert len(matched.unmatched) == 2
    assert matched.unused == ("HG1",)
    assert "2 of 3 samples have no labels in labels.tsv: X1, X2" in caplog.text
    assert "1 labelled samples of labels.tsv are not in the data" in caplog.text


@pytest.mark.parametrize(
    ("samples", "fix"),
    [
        (["X1", "X2"], "check that the labels belong"),
        (["F_HG1", "F_HG2"], "without the 'FID_' prefix of the data"),
        (["GBR", "X"], "column 'pop' holds ids of the data"),
    ],
)
def test_no_overlap_shows_both_sides(tmp_path: Path, samples: list[str], fix: str) -> None:
    labels = read_labels(written(tmp_path, PANEL))
    with pytest.raises(MismatchError, match=f"no sample has labels.*column 'sample'.*{samples[0]}.*HG1.*{fix}"):
        match(labels, samples)


def test_prefix_on_the_label_side_is_recognised() -> None:
    labels = SampleLabels(("F1_a", "F2_b"), {"pop": ("P", "Q")})
    with pytest.raises(MismatchError, match="prefix of the labels"):
        match(labels, ["a", "b"])


def test_missing_header_line_is_recognised(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, "HG1\tGBR\nHG2\tYRI\n"))
    with pytest.raises(DataError, match=r"no header line.*HG1"):
        match(labels, ["HG1", "HG2"])
    headed = read_labels(written(tmp_path, "sample\tpop\nHG1\tGBR\n"))
    assert match(headed, ["sample", "HG1"]).column("pop") == ("", "GBR")


def test_columns_are_found_or_listed(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, PANEL))
    assert labels.column("POP") == labels.column("pop")
    with pytest.raises(ConfigError, match=r"no label column 'supper_pop'.*pop, super_pop, gender.*'super_pop'"):
        labels.column("supper_pop")


def test_population_column_is_guessed_from_repeats() -> None:
    names = tuple(f"s{i}" for i in range(6))
    columns = {
        "sex": ("m", "f") * 3,
        "barcode": names,
        "plate": ("1", "2") * 3,
        "Village": ("A", "A", "B", "B", "C", "C"),
    }
    labels = SampleLabels(names, columns)
    assert labels.default_population_column() == "Village"
    assert labels.default_group_column() is None


def test_join_groups_with_and_without_header(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = SampleLabels(("a", "b", "c"), {"pop": ("GBR", "YRI", "XXX")})
    joined = join_groups(labels, written(tmp_path, "GBR,EUR\nYRI,AFR\nCHB,EAS\n", "plain"))
    assert joined.column("super_pop") == ("EUR", "AFR", "")
    assert "1 of 3 populations are not in plain: XXX" in caplog.text
    headed = "Description\tPopulation Code\tSuper Population\nBritish\tGBR\tEUR\nYoruba\tYRI\tAFR\nTotal\t\t\n"
    joined = join_groups(labels, written(tmp_path, headed, "headed.tsv"), on="pop")
    assert joined.column("Super Population") == ("EUR", "AFR", "")
    assert joined.default_group_column() == "Super Population"
    again = join_groups(joined, written(tmp_path, "pop\tSuper Population\nGBR\tX\n"))
    assert again.column("Super Population") == ("EUR", "AFR", "")


def test_join_groups_refuses_what_cannot_be_joined(tmp_path: Path) -> None:
    labels = SampleLabels(("a", "b"), {"pop": ("GBR", "YRI")})
    with pytest.raises(MismatchError, match=r"no population has a group.*GBR.*CHB"):
        join_groups(labels, written(tmp_path, "CHB,EAS\nJPT,EAS\n"))
    with pytest.raises(DataError, match=r"GBR is labelled twice .*line 2"):
        join_groups(labels, written(tmp_path, "GBR,EUR\nGBR,AFR\n"))
    with pytest.raises(DataError, match="no population column"):
        join_groups(labels, written(tmp_path, "x\ty\tz\n1\t2\t3\n"))
    with pytest.raises(ConfigError, match="no label column 'nix'"):
        join_groups(labels, written(tmp_path, "GBR,EUR\n"), on="nix")


@given(st.binary(max_size=200), st.sampled_from([".tsv", ".csv", ".fam", ".ind", ".psam", ".ped", ".panel"]))
def test_any_bytes_give_labels_or_a_one_line_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    path = written(tmp_path_factory.mktemp("labels"), content, f"x{suffix}")
    try:
        labels = read_labels(path)
    except GenoviError as error:
        assert "\n" not in str(error)
    else:
        assert all(len(values) == len(labels.samples) for values in labels.columns.values())


@pytest.mark.parametrize(
    ("name", "n_samples", "n_populations", "n_groups"),
    [
        ("kgp3/labels.tsv", 2504, 26, 5),
        ("kgp3/kgp3.fam", 2504, 26, 0),
        ("kgp1_chr22/labels.tsv", 1092, 14, 4),
        ("kgp_by_chromosome/labels.tsv", 100, 12, 5),
        ("hapmap3/labels.tsv", 324, 4, 0),
        ("anole/punctatus_n46_meta.csv", 46, 3, 0),
        ("ho249/HumanOrigins249_tiny.fam", 249, 50, 0),
        ("ho249/HumanOrigins249_tiny.ind", 249, 50, 0),
        ("panels/integrated_call_samples_v3.20130502.ALL.panel", 2504, 26, 5),
        ("panels/affy_samples.20141118.panel", 3450, 26, 0),
        ("panels/20130606_g1k.ped", 3501, 26, 0),
    ],
)
def test_real_label_files(name: str, n_samples: int, n_populations: int, n_groups: int) -> None:
    labels = read_labels(real_data(name))
    assert len(labels.samples) == n_samples
    assert len(set(labels.column(labels.default_population_column()))) == n_populations
    group = labels.default_group_column()
    assert len(set(labels.column(group))) == n_groups if group else n_groups == 0


def test_real_pedigrees_are_no_populations() -> None:
    assert "pop" not in read_labels(real_data("hapmap3/hapmap3.fam")).columns


def test_real_label_files_agree_with_each_other() -> None:
    fam = read_labels(real_data("ho249/HumanOrigins249_tiny.fam"))
    ind = read_labels(real_data("ho249/HumanOrigins249_tiny.ind"))
    assert match(ind, fam.samples).column("pop") == fam.column("pop")
    groups = join_groups(ind, real_data("ho249/HO_superpopulations"))
    assert len(set(groups.column("super_pop"))) == 7
    panel = read_labels(real_data("panels/integrated_call_samples_v3.20130502.ALL.panel"))
    pedigree = read_labels(real_data("panels/20130606_g1k.ped"))
    matched = match(pedigree, panel.samples)
    assert not matched.unmatched
    assert matched.column("Population") == panel.column("pop")
    for name in ("20131219.populations.tsv", "sample_info_superpop_coord.tsv"):
        joined = join_groups(matched.labels, real_data(f"panels/{name}"))
        group = joined.default_group_column()
        assert group is not None
        assert joined.column(group) == panel.column("super_pop")


def test_reading_labels_loads_nothing_heavy() -> None:
    code = "import sys, genovi.labels; print([m for m in ('numpy', 'pandas', 'torch', 'sklearn') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
