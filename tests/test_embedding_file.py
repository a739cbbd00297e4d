"""Embedding files: what is written is read again, and what is wrong is named."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genovi.embedding import Embedding
from genovi.errors import DataError

# Everything that a UTF-8 file can hold in one cell: quotes, "#", "NA", spaces, but no tab and no line break.
sample_names = st.text(st.characters(exclude_characters="\t\r\n", exclude_categories=["Cs"]), min_size=1, max_size=8)
GOOD = "IID\tZ1\tZ2\tSD1\tSD2\tCLUSTER\tCLUSTER_PROB\tMISSING\ns1\t1\t2\t.1\t.2\t3\t.9\t0\ns2\t1\t2\t.1\t.2\t1\t1\t.5\n"


@st.composite
def embeddings(draw: st.DrawFn) -> Embedding:
    n, d = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    finite = st.floats(-1e6, 1e6, allow_subnormal=False)
    share = hnp.arrays(np.float64, n, elements=st.floats(0, 1, allow_subnormal=False))
    return Embedding(
        samples=tuple(draw(st.lists(sample_names, min_size=n, max_size=n, unique=True))),
        mean=draw(hnp.arrays(np.float64, (n, d), elements=finite)),
        std=draw(st.none() | hnp.arrays(np.float64, (n, d), elements=st.floats(0, 1e3, allow_subnormal=False))),
        cluster=draw(st.none() | hnp.arrays(np.int64, n, elements=st.integers(1, 99))),
        cluster_prob=draw(st.none() | share),
        missing=draw(st.none() | share),
        method="run",
    )


@given(embeddings())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, embedding: Embedding) -> None:
    path = tmp_path_factory.mktemp("embedding") / "run.embedding.tsv"
    embedding.write_tsv(path)
    again = Embedding.read_tsv(path)
    assert again.samples == embedding.samples
    assert again.method == "run"
    for name in ("mean", "std", "cluster", "cluster_prob", "missing"):
        expected, found = getattr(embedding, name), getattr(again, name)
        assert (found is None) == (expected is None)
        if expected is not None:
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=6e-6, atol=0)


def test_columns_are_as_documented(tmp_path: Path) -> None:
    one = np.ones((1, 2))
    full = Embedding(("s1",), one, one / 3, np.array([4]), np.array([0.5]), np.array([0.25]))
    full.write_tsv(tmp_path / "a.tsv")
    header = "IID\tZ1\tZ2\tSD1\tSD2\tCLUSTER\tCLUSTER_PROB\tMISSING\n"
    assert (tmp_path / "a.tsv").read_text() == header + "s1\t1\t1\t0.333333\t0.333333\t4\t0.5\t0.25\n"
    full.write_eigenvec(tmp_path / "a.eigenvec")
    assert (tmp_path / "a.eigenvec").read_text() == "#IID\tPC1\tPC2\ns1\t1\t1\n"


def test_names_are_never_quoted(tmp_path: Path) -> None:
    samples = ('"', 'a"b', "'", "#1", "NA", " x ", "1e5")
    Embedding(samples, np.zeros((7, 1))).write_tsv(tmp_path / "a.tsv")
    assert (tmp_path / "a.tsv").read_text() == "IID\tZ1\n" + "".join(f"{sample}\t0\n" for sample in samples)
    assert Embedding.read_tsv(tmp_path / "a.tsv").samples == samples


def test_foreign_columns_blank_ends_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"\xef\xbb\xbfIID\tPOP\tZ2\tZ1\r\ns1\tNA\t2\t1\r\nNA\tx\t4\t3\r\n\r\n")
    embedding = Embedding.read_tsv(path)
    assert embedding.samples == ("s1", "NA")
    np.testing.assert_array_equal(embedding.mean, [[1, 2], [3, 4]])
    assert embedding.std is None
    assert embedding.cluster is None


def changed(old: str, new: str) -> bytes:
    assert old in GOOD
    return GOOD.replace(old, new, 1).encode()


BAD = {
    "empty": (b"", "no samples"),
    "header alone": (GOOD.partition("\n")[0].encode(), "no samples"),
    "binary": (b"\x1f\x8b\x00\xff\n\xfe", "not text"),
    "no IID": (changed("IID", "sample"), "no column IID"),
    "no axis": (changed("Z1\tZ2", "X1\tX2"), "no column Z1"),
    "gap in axes": (changed("Z2", "Z3"), "no column Z2"),
    "a spread is absent": (changed("SD2", "XX"), "no column SD2"),
    "column twice": (changed("Z2", "Z1"), "twice"),
    "comma-separated": (GOOD.replace("\t", ",").encode(), "no column IID"),
    "cut off": (GOOD[:-5].encode(), "line 3"),
    "trailing tab": (changed("\t0\n", "\t0\t\n"), "9 fields where the header has 8.*line 2"),
    "duplicate sample": (changed("s2", "s1"), "duplicate sample.*line 3"),
    "nameless sample": (changed("s2", ""), "without a name.*line 3"),
    "text for number": (changed("s2\t1", "s2\tx"), "Z1 is not a finite number: 'x'.*line 3, sample s2"),
    "NaN": (changed("s1\t1", "s1\tnan"), "Z1 is not a finite number.*line 2, sample s1"),
    "infinite": (changed("s1\t1\t2", "s1\t1\tinf"), "Z2 is not a finite number"),
    "negative spread": (changed(".2", "-.2"), "SD2 is not in"),
    "cluster 0": (changed("\t3\t", "\t0\t"), "CLUSTER is not in"),
    "broken cluster": (changed("\t3\t", "\t3.5\t"), "CLUSTER is not a whole number: '3.5'.*line 2"),
    "probability above 1": (changed("\t.9\t", "\t1.9\t"), "CLUSTER_PROB is not in"),
    "missing share above 1": (changed("\t.5\n", "\t5\n"), "MISSING is not in .*line 3"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_named_in_one_line(tmp_path: Path, case: str) -> None:
    content, message = BAD[case]
    path = tmp_path / "a.embedding.tsv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        Embedding.read_tsv(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_good_file_is_good(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(GOOD)
    assert Embedding.read_tsv(path).samples == ("s1", "s2")


@given(st.binary(max_size=200) | st.text(st.sampled_from("IIDZ1SD\t\n\r0.5e-x\"'")).map(str.encode))
def test_any_bytes_give_an_embedding_or_a_data_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "a.tsv"
    for text in (content, b"IID\tZ1\n" + content):
        path.write_bytes(text)
        try:
            embedding = Embedding.read_tsv(path)
        except DataError:
            continue
        assert np.isfinite(embedding.mean).all()


def test_absent_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        Embedding.read_tsv(tmp_path / "no.tsv")
    with pytest.raises(DataError, match=re.escape(f"folder, not an embedding file ({tmp_path}): give the .embedding")):
        Embedding.read_tsv(tmp_path)
    (tmp_path / "embedding.tsv").touch()
    with pytest.raises(DataError, match=re.escape(f"type {tmp_path / 'embedding.tsv'}")):
        Embedding.read_tsv(tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mean": np.zeros(2)}, "coordinates have shape"),
        ({"mean": np.zeros((2, 0))}, "coordinates have shape"),
        ({"std": np.zeros((2, 1))}, "std has shape"),
        ({"cluster": np.ones(3, dtype=int)}, "cluster has shape"),
        ({"samples": ("a", "a")}, "duplicate sample"),
        ({"samples": ("a", "b\tc")}, "tab or a line break"),
        ({"samples": ("a", "")}, "empty"),
    ],
)
def test_inconsistent_embeddings_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Embedding(**{"samples": ("a", "b"), "mean": np.zeros((2, 2)), **fields})


def test_samples_can_be_taken_in_another_order() -> None:
    mean = np.arange(6.0).reshape(3, 2)
    whole = Embedding(("a", "b", "c"), mean, mean + 1, np.array([1, 2, 3]), method="pca")
    taken = whole.take(np.array([2, 0]))
    assert (taken.samples, taken.method, taken.misfit) == (("c", "a"), "pca", None)
    np.testing.assert_array_equal(taken.mean, mean[[2, 0]])
    assert taken.std is not None
    assert taken.cluster is not None
    np.testing.assert_array_equal(taken.std, mean[[2, 0]] + 1)
    assert taken.cluster.tolist() == [3, 1]
