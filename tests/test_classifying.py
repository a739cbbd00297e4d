"""Most similar reference populations: from genotypes to answers, as a user types it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import simulate_structure, write_vcf
from typer.testing import CliRunner, Result

from genovi.calibration import Scores, fit_populations
from genovi.classifying import Reference, classify_run
from genovi.errors import DataError
from genovi.genotypes.matrix import GenotypeMatrix, pack
from genovi.labels import SampleLabels, read_labels
from genovi.populationfile import read_populations, write_populations
from genovi.populations import (
    GRID,
    MIN_PEOPLE,
    UNLIKE,
    Classes,
    Panel,
    Populations,
    Trust,
    are_unlike,
    choose_temperature,
    group_probabilities,
    tempered,
    typicality,
    without_own,
)
from genovi.preparing import fit_components
from genovi.provenance import Provenance
from genovi.seeding import Seeds
from genovi_cli.app import app

FAST = ("--epochs", "6", "--batch-size", "64", "--steps", "1", "--device", "cpu", "--threads", "1", "--seed", "1")
ABOVE = {"pop1": "north", "pop2": "north", "pop3": "south", "pop4": "south"}
N_PER, N_OLD = 60, 40


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="genovi")


def some(matrix: GenotypeMatrix, rows: np.ndarray) -> GenotypeMatrix:
    return matrix.take_samples(np.flatnonzero(rows))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five populations; a model and reference populations of the first four, new people of all."""
    folder = tmp_path_factory.mktemp("classes")
    matrix, pops = simulate_structure(7, 5, N_PER, 400, 0.03, 0.01)
    old = np.arange(5 * N_PER) % N_PER < N_OLD
    write_vcf(folder / "ref.vcf.gz", some(matrix, old & (pops != "pop5")), "bgzf")
    new = some(matrix, ~old & (pops != "pop5"))
    write_vcf(folder / "new.vcf", new)
    write_vcf(folder / "foreign.vcf", some(matrix, ~old & (pops == "pop5")))
    write_vcf(folder / "both.vcf", some(matrix, (~old | (np.arange(5 * N_PER) % N_PER < 3)) & (pops == "pop1")))
    dosages = new.dosages().copy()
    rng = np.random.default_rng(1)
    dosages[rng.random(dosages.shape) < 0.97] = -1
    write_vcf(folder / "sparse.vcf", GenotypeMatrix(pack(dosages), new.samples, new.variants))
    rows = [f"{s}\t{p}\t{ABOVE.get(p, 'south')}" for s, p in zip(matrix.samples, pops, strict=True)]
    (folder / "panel.tsv").write_text("\n".join(["sample\tpop\tsuper_pop", *rows]) + "\n")
    result = typed("train", folder / "ref.vcf.gz", "--out", folder / "run", *FAST)
    assert result.exit_code == 0, result.output
    result = typed(
        "classify", folder / "run", folder / "new.vcf", "--reference", folder / "ref.vcf.gz", "--labels",
        folder / "panel.tsv", "--out", folder / "new", "--device", "cpu", "--threads", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (folder / "said.txt").write_text(result.stderr + result.stdout)
    return folder


def classes(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", keep_default_na=False, dtype={"IID": str})


def truth(made: Path, table: pd.DataFrame, column: str) -> np.ndarray:
    labels = pd.read_csv(made / "panel.tsv", sep="\t", dtype=str).set_index("sample")
    return labels.loc[table["IID"], column].to_numpy()


def classify(made: Path, tmp_path: Path, vcf: str, **options: object) -> pd.DataFrame:
    """With the populations that were kept."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    out = tmp_path / "again"
    result = typed(
        "classify", made / "run", made / vcf, "--populations", made / "new.populations.json", "--out", out,
        "--device", "cpu", "--threads", "1", "--force", *words,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return classes(tmp_path / "again.classes.tsv")


def test_new_people_are_most_similar_to_their_own_population(made: Path) -> None:
    table = classes(made / "new.classes.tsv")
    assert len(table) == 4 * (N_PER - N_OLD)
    assert (table["POP_1"] == truth(made, table, "pop")).mean() > 0.9
    assert (table["SUPER_POP_1"] == truth(made, table, "super_pop")).mean() > 0.9
    assigned = table["POP"] != "unassigned"
    assert assigned.mean() > 0.5
    assert (table["POP"] == truth(made, table, "pop"))[assigned].mean() > 0.9
    assert (table["TRAINING"] == "no").all()


def test_answers_follow_from_the_probabilities(made: Path, tmp_path: Path) -> None:
    for max_error in (0.01, 0.05, 0.3):
        table = classify(made, tmp_path, "new.vcf", max_error=max_error)
        for level in ("POP", "SUPER_POP"):
            ranked = table[[name for name in table if name.startswith(f"{level}_P")]].to_numpy()
            assert (np.diff(ranked, axis=1) <= 0).all()
            sure = (table[f"{level}_P1"] >= 1 - max_error) & (table["UNLIKE"] == "no")
            expected = np.where(sure, table[f"{level}_1"], "unassigned")
            assert (table[level] == expected).all()
        finest = np.where(table["POP"] != "unassigned", "pop",
                          np.where(table["SUPER_POP"] != "unassigned", "super_pop", "none"))  # fmt: skip
        assert (table["LEVEL"] == finest).all()
        assert ((table["TYPICALITY"] < UNLIKE) <= (table["UNLIKE"] == "yes")).all()


def test_kept_populations_give_the_same_answers(made: Path, tmp_path: Path) -> None:
    again = classify(made, tmp_path, "new.vcf")
    pd.testing.assert_frame_equal(again, classes(made / "new.classes.tsv"))
    kept = read_populations(made / "new.populations.json")
    write_populations(kept, tmp_path / "copy.json")
    assert (tmp_path / "copy.json").read_bytes() == (made / "new.populations.json").read_bytes()


def test_what_is_kept_names_nobody(made: Path) -> None:
    record = json.loads((made / "new.populations.json").read_text())
    samples = set(pd.read_csv(made / "panel.tsv", sep="\t", dtype=str)["sample"])
    text = json.dumps(record) + (made / "new.classes.json").read_text()
    assert not [name for name in samples if f'"{name}"' in text]
    assert record["counts"] == [N_OLD] * 4


def test_an_export_is_enough_for_new_people(made: Path, tmp_path: Path) -> None:
    assert typed("export", made / "run", "--out", tmp_path / "m.genovi").exit_code == 0
    words = [
        "classify",
        tmp_path / "m.genovi",
        made / "new.vcf",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--out",
        tmp_path / "x",
    ]
    result = typed(*words, "--populations", made / "new.populations.json")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "x.classes.tsv").read_bytes() == (made / "new.classes.tsv").read_bytes()
    result = typed(*words, "--reference", made / "ref.vcf.gz", "--labels", made / "panel.tsv", "--force")
    assert result.exit_code == 2
    assert "without the embedding of its training samples" in result.stderr


def test_a_left_out_population_is_flagged_or_doubted(made: Path, tmp_path: Path) -> None:
    foreign, own = classify(made, tmp_path, "foreign.vcf"), classes(made / "new.classes.tsv")
    # a population amid the others, in five components: what can be asked is that its people are doubted far more often
    assert (foreign["POP"] == "unassigned").mean() > (own["POP"] == "unassigned").mean() + 0.2
    assert foreign["POP_P1"].mean() < own["POP_P1"].mean() - 0.05
    assert foreign["TYPICALITY"].median() < own["TYPICALITY"].median()


def test_probabilities_flatten_as_genotypes_vanish(made: Path, tmp_path: Path) -> None:
    sparse, full = classify(made, tmp_path, "sparse.vcf"), classes(made / "new.classes.tsv")
    assert (sparse["MISSING"] > 0.9).all()
    assert sparse["POP_P1"].mean() < full["POP_P1"].mean() - 0.2
    assert (sparse["POP_1"] == truth(made, sparse, "pop")).mean() < sparse["POP_P1"].mean() + 0.15
    assert (sparse["UNLIKE"] == "no").mean() > 0.9  # little is known of them, which is not the same as unlike


def test_training_people_are_told(made: Path, tmp_path: Path) -> None:
    table = classify(made, tmp_path, "both.vcf")
    assert (table["TRAINING"] == "yes").sum() == 3
    assert (table["POP_1"] == "pop1").mean() > 0.9


def test_what_is_reported_is_what_held_out_people_say(made: Path) -> None:
    record = json.loads((made / "new.classes.json").read_text())
    said = (made / "said.txt").read_text()
    for level in ("pop", "super_pop"):
        trust = record["levels"][level]
        assert trust["n"] == 4 * N_OLD
        assert 0.85 < trust["accuracy"] <= 1
        assert trust["calibration_error"] < 0.1
        assert trust["error"] <= 0.1
        assert f"{level}: of {4 * N_OLD} reference people" in said
        assert trust["absent"] < 0.2  # populations lie far apart: most would be unlike all that are left
        absent = f"{100 * trust['absent']:.1f} % would be assigned all the same"
        wrongly = (
            "" if level == "pop" else f", {100 * trust['absent_error']:.1f} % of these wrongly"
        )  # pop: all of them
        assert f"were their own population not in the panel, {absent}{wrongly}\n" in said + "\n"
    assert record["levels"]["pop"]["absent_error"] == 1
    table = classes(made / "new.classes.tsv")
    assert record["levels"]["pop"]["assigned"] == (table["POP"] != "unassigned").sum()
    # what was promised holds for people who were truly new
    assert abs((table["POP"] != "unassigned").mean() - record["levels"]["pop"]["coverage"]) < 0.2


def test_the_columns_are_documented(made: Path) -> None:
    section = (Path(__file__).parents[1] / "docs" / "files.md").read_text().split("## Classes")[1].split("\n## ")[0]
    for name in classes(made / "new.classes.tsv"):
        assert f"`{name.replace('SUPER_POP', 'POP')}`" in section
    for name in json.loads((made / "new.classes.json").read_text())["levels"]["pop"]:
        assert f"`{name}`" in section


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "no reference populations"),
        (["--labels", "panel.tsv"], 2, "genotypes of the labelled people are missing"),
        (["--reference", "ref.vcf.gz"], 2, "labels are missing"),
        (["--populations", "new.populations.json", "--labels", "panel.tsv"], 2, "exclude each other"),
        (["--populations", "absent.json"], 3, "no such file"),
        (["--populations", "panel.tsv"], 3, "not a file of populations"),
        (["--populations", "run/model.json"], 3, "not a file of populations"),
        (["--populations", "new.populations.json", "--max-error", "1.5"], 2, "--max-error must lie"),
        (["--reference", "ref.vcf.gz", "--labels", "strangers.tsv"], 4, "no sample has labels"),
        (["--reference", "ref.vcf.gz", "--labels", "one.tsv"], 3, "only 1 population with 10 samples or more"),
        (["--reference", "ref.vcf.gz", "--labels", "panel.tsv", "--color", "nope"], 2, "no label column 'nope'"),
    ],
)  # fmt: skip
def test_bad_input(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in made.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "strangers.tsv").write_text("sample\tpop\nx1\ta\nx2\tb\n")
    one = [f"s{i}\t{'a' if i < 40 else 'few' if i < 45 else ''}" for i in range(1, 61)]
    (tmp_path / "one.tsv").write_text("\n".join(["sample\tpop", *one]) + "\n")
    result = typed("classify", "run", "new.vcf", "--out", "out", "--device", "cpu", "--threads", "1", *words)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert not list(tmp_path.glob("out*"))


def test_outputs_are_not_overwritten_and_models_are_not_mixed(made: Path, tmp_path: Path) -> None:
    words = ["classify", made / "run", made / "new.vcf", "--populations", made / "new.populations.json"]
    (tmp_path / "out.classes.tsv").write_text("mine")
    result = typed(*words, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert (tmp_path / "out.classes.tsv").read_text() == "mine"
    (tmp_path / "file").write_text("")
    assert typed(*words, "--out", tmp_path / "file" / "out").exit_code in (2, 5)
    other = replace(read_populations(made / "new.populations.json"), model="0" * 16)
    write_populations(other, tmp_path / "other.json")
    result = typed(*words[:3], "--populations", tmp_path / "other.json", "--out", tmp_path / "new")
    assert result.exit_code == 4
    assert "belong to another model" in result.stderr


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [[0.0]]},
        {"names": ["a", "a", "b", "c"]},
        {"covariance": [[-1.0]]},
        {"temperature": "hot"},
        {"pull": -1},
        {"distances": [3.0, 1.0]},
        {"counts": [1]},
        {"trust": []},
        {"trust": None},
        {"levels": ["pop"]},
        {"groups": [1, 2, 3, 4]},
    ],
)
def test_damaged_populations(made: Path, tmp_path: Path, change: dict[str, object]) -> None:
    record = json.loads((made / "new.populations.json").read_text()) | change
    (tmp_path / "bad.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="damaged file of populations"):
        read_populations(tmp_path / "bad.json")


def test_the_library_takes_genotypes_in_memory(made: Path, tmp_path: Path) -> None:
    from genovi.genotypes.reading import open_genotypes

    reference = Reference([open_genotypes([made / "ref.vcf.gz"])], read_labels(made / "panel.tsv"), "super_pop")
    started = Provenance.start(command="test")
    found = classify_run(
        made / "run", [made / "new.vcf"], tmp_path / "x", reference, device="cpu", threads=1, provenance=started
    )
    assert found.classified.populations.names == ("north", "south")
    assert found.classified.populations.levels == ("super_pop",)


def test_a_reference_of_few_training_people_is_told(
    made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from genovi.genotypes.reading import open_genotypes

    whole = open_genotypes([made / "ref.vcf.gz"])
    few = whole.take_samples(np.flatnonzero(np.arange(whole.n_samples) % N_OLD < 12))
    reference = Reference([few], read_labels(made / "panel.tsv"))
    started = Provenance.start(command="test")
    classify_run(made / "run", [made / "new.vcf"], tmp_path / "x", reference, threads=1, provenance=started)
    said = [record.getMessage() for record in caplog.records if "held-out answers" in record.getMessage()]
    assert len(said) == 1 and said[0].startswith("48 of the 160 samples")
    assert "held-out answers" not in (made / "said.txt").read_text()


def test_a_few_training_people_among_new_ones_change_little(made: Path, caplog: pytest.LogCaptureFixture) -> None:
    """People who are new to the model are held out from populations alone, on the axes of the model."""
    matrix, pops = simulate_structure(7, 4, 120, 500, 0.03, 0.0)
    third = np.arange(matrix.n_samples) % 3
    model = fit_components(some(matrix, third == 0), None, Seeds(1), incomplete=False)
    new = Scores.of(model.axes, model.standardiser, some(matrix, third == 2), False)
    truth = pops[third == 2]

    def fitted(shared: int) -> Populations:
        rows = np.r_[np.flatnonzero(third == 1), 12 * np.arange(shared) % matrix.n_samples]  # of every population
        reference = matrix.take_samples(np.sort(rows))
        panel = Panel.of(SampleLabels(matrix.samples, {"pop": tuple(pops)}), reference.samples, None, None)
        return fit_populations(
            model.axes, model.standardiser, reference, third[np.sort(rows)] == 0, panel, Seeds(1)
        )  # fmt: skip

    none = fitted(0)
    for shared in (2, 40):
        found = fitted(shared)
        assert found.trust[0].n == 160 and sum(found.counts) == 160 + shared
        right = np.array(found.names)[found.predict(new.x, None).log_probability[0].argmax(1)] == truth
        assert found.trust[0].accuracy == pytest.approx(right.mean(), abs=0.06)
        assert found.trust[0].accuracy == pytest.approx(none.trust[0].accuracy, abs=0.04)
        assert found.trust[0].at(0.05)[0] == pytest.approx(none.trust[0].at(0.05)[0], abs=0.1)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_new_people_without_a_label_judge_nothing() -> None:
    """However many there are: those with a label are training people here, and are held out from the axes."""
    matrix, pops = simulate_structure(7, 2, 90, 300, 0.05, 0.0)
    third = np.arange(matrix.n_samples) % 3
    model = fit_components(some(matrix, third < 2), None, Seeds(1), incomplete=False)
    rows = np.flatnonzero((third == 2) | (np.arange(matrix.n_samples) % 6 == 0))
    labels = SampleLabels(matrix.samples, {"pop": tuple(np.where(third == 2, "", pops))})
    reference = matrix.take_samples(rows)
    panel = Panel.of(labels, reference.samples, None, None)
    found = fit_populations(model.axes, model.standardiser, reference, third[rows] < 2, panel, Seeds(1))
    assert found.trust[0].n == sum(found.counts) == 30


@pytest.mark.parametrize("n", [20, 80, 99, 100, 1000])
def test_whoever_is_beyond_everybody_is_unlike(n: int) -> None:
    distances = np.linspace(1, 2, n)
    typical = typicality(np.array([1.5, 1.99999, 2.0, 1e9]), distances, n)
    assert are_unlike(typical, n).tolist() == [False, n >= 100, True, True]


def test_density_is_that_of_the_multivariate_t() -> None:
    from scipy.stats import multivariate_t

    rng = np.random.default_rng(0)
    x, member = rng.normal(size=(60, 3)), np.repeat([0, 1], 30)
    found = Classes.fit(x, member, 2, 30.0)
    excess = np.einsum("nij,nkj->nik", a := rng.normal(size=(60, 3, 3)), a)
    each = list(zip(found.mean, found.covariance, strict=True))
    density, square = found.measure(x, None)
    oracle = np.stack([multivariate_t(m, c, df=10).logpdf(x) for m, c in each], axis=1)
    np.testing.assert_allclose(density - oracle, (density - oracle)[0, 0])
    wide, shorter = found.measure(x, excess)
    lines = [[multivariate_t(m, c + e, df=10).logpdf(one) for m, c in each] for one, e in zip(x, excess, strict=True)]
    np.testing.assert_allclose(wide - np.array(lines), (wide - np.array(lines))[0, 0])
    assert (shorter <= square + 1e-9).all()


def test_temperature_is_found() -> None:
    rng = np.random.default_rng(0)
    honest = np.log(rng.dirichlet(np.ones(4), size=20_000))
    member = np.array([rng.choice(4, p=row / row.sum()) for row in np.exp(honest)])
    temperature, loss = choose_temperature(3 * honest, member)
    assert temperature == pytest.approx(3, rel=0.05)
    assert loss == pytest.approx(-tempered(honest, 1)[np.arange(20_000), member].mean(), abs=1e-3)
    without = without_own(honest, member)
    beyond, unlike = (rng.random(20_000) < share for share in (0.1, 0.3))
    judged = Trust.of("x", honest, member, beyond, without, unlike)
    assert judged.calibration_error < 0.02
    coverage, error, absent, absent_error = judged.at(0.3)
    best = np.exp(honest.max(axis=1))
    assert coverage == pytest.approx(((best >= 0.7) & ~beyond).mean())
    assert error == pytest.approx(1 - best[(best >= 0.7) & ~beyond].mean(), abs=0.02)
    others = np.exp(honest)
    others[np.arange(20_000), member] = 0
    others /= others.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(without), others, atol=1e-12)
    assert absent == pytest.approx(((others.max(axis=1) >= 0.7) & ~unlike).mean())
    assert absent_error == 1
    assert Trust.of("x", honest / 5, member, beyond, without, unlike).calibration_error > 0.1
    assert len(judged.coverage) == GRID + 1


def test_without_their_population_people_are_answered_as_if_it_had_never_been_there() -> None:
    """At the level of groups what is left of a group answers for it."""
    rng = np.random.default_rng(2)
    mean = np.array([[0.0, 0.0], [1.0, 0.0], [9.0, 0.0], [9.0, 8.0]])
    groups, member = ("A", "A", "B", "C"), np.repeat(np.arange(4), 50)
    x = mean[member] + rng.normal(size=(200, 2))
    all_four = Classes.fit(x, member, 4, 100.0)
    fine = without_own(tempered(all_four.measure(x, None)[0], 1.5), member)
    for c in range(4):
        rest = [k for k in range(4) if k != c]
        three = Classes(all_four.mean[rest], all_four.covariance[rest])
        expected = tempered(three.measure(x[member == c], None)[0], 1.5)
        np.testing.assert_allclose(fine[member == c][:, rest], expected, atol=1e-10)
    coarse = group_probabilities(fine, groups)
    place = np.array([0, 0, 1, 2])[member]
    nobody = np.zeros(200, dtype=bool)
    trust = Trust.of("group", coarse, place, nobody, coarse, nobody)
    _, _, absent, absent_error = trust.at(0.5)
    assert absent > 0.9
    # A has another population, B and C have none: their people go to the other of the two, or to A
    assert absent_error == pytest.approx(100 / (absent * 200), abs=0.1)


def test_panel_leaves_small_populations_out(caplog: pytest.LogCaptureFixture) -> None:
    samples = [f"s{i}" for i in range(40)]
    pops = ["a"] * 15 + ["b"] * 15 + ["small"] * (MIN_PEOPLE - 1) + [""]
    groups = ["x"] * 15 + ["x"] * 14 + ["y"] * 11
    panel = Panel.of(
        SampleLabels(tuple(samples), {"pop": tuple(pops), "super_pop": tuple(groups)}), samples, None, None
    )
    assert panel.names == ("a", "b")
    assert (panel.member[30:] == -1).all()
    assert "small (9)" in caplog.text
    assert panel.groups == ()  # b is in two groups
    assert "b does not belong to one" in caplog.text
