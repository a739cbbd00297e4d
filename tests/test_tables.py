"""Tables of labels: every separator and encoding that people hold, and files that are no tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genovi.errors import DataError
from genovi.tables import Row, read_lines, split_headerless, split_table


def table_of(path: Path, content: str | bytes) -> tuple[list[str], list[Row]]:
    """Header and rows of ``content``, written to ``path`` and read from there."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return split_table(read_lines(path), path)


@pytest.mark.parametrize(
    "text",
    [
        "sample,pop,note\na,P,x y\nb,Q,\n",
        "sample;pop;note\na;P;x y\nb;Q;\n",
        'sample,pop,note\r\n"a","P","x y"\r\n"b","Q",""\r\n',
        "sample\tpop\tnote\na\tP\tx y\nb\tQ\n",
        "\ufeffsample,pop,note\na,P,x y\n\nb,Q\n",
        "#sample\tpop\tnote\ra\tP\tx y\rb\tQ\t\r",
        '"sample"   "pop" "note"\n  "a" "P"   "x y"\nb Q ""\n',
    ],
    ids=["comma", "semicolon", "quoted-crlf", "tab", "bom", "old-mac", "blanks"],
)
def test_separators_are_found(tmp_path: Path, text: str) -> None:
    header, rows = table_of(tmp_path / "labels", text)
    assert header == ["sample", "pop", "note"]
    assert [cells for _, cells in rows] == [["a", "P", "x y"], ["b", "Q", ""]]


def test_separator_inside_cells_does_not_mislead(tmp_path: Path) -> None:
    _, rows = table_of(tmp_path / "a.csv", 'id,place name\na,"Lima, Peru"\nb,"Dai; Xishuangbanna"\n')
    assert rows == [(2, ["a", "Lima, Peru"]), (3, ["b", "Dai; Xishuangbanna"])]
    header, rows = table_of(tmp_path / "a.tsv", "id\tname, place\tpop\na\tx, y\tP\nb\tx, z\tQ\n")
    assert header == ["id", "name, place", "pop"]
    assert rows == [(2, ["a", "x, y", "P"]), (3, ["b", "x, z", "Q"])]


def test_utf16_of_a_spreadsheet(tmp_path: Path) -> None:
    assert table_of(tmp_path / "a.txt", "sample\tpop\nä\tP\n".encode("utf-16"))[1] == [(2, ["ä", "P"])]


def test_rows_keep_their_line_numbers(tmp_path: Path) -> None:
    header, rows = table_of(tmp_path / "a.tsv", "##note\n\n#IID\tpop\n\na\tP\n\t\nb\t\n")
    assert header == ["IID", "pop"]
    assert rows == [(5, ["a", "P"]), (7, ["b", ""])]


def test_headerless_lines_are_split_at_blanks_and_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.ind"
    path.write_text("  a  M\tP more\n\nb U Q\n")
    assert split_headerless(read_lines(path), path, 3) == [(1, ["a", "M", "P"]), (3, ["b", "U", "Q"])]
    with pytest.raises(DataError, match=r"3 columns where a \.ind file has 4 .*line 3"):
        split_headerless(read_lines(path), path, 4)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.tsv", b"", "empty label file"),
        ("blank.tsv", b"\n \n", "empty label file"),
        ("one.tsv", b"sample\nHG1\n", "at least two columns"),
        ("x.vcf", b"##fileformat=VCFv4.2\n#CHROM\tPOS\n", "not a table of labels"),
        ("x.bed", b"l\x1b\x01\xff\x00", "not a table of labels"),
        ("wide.tsv", b"sample\tpop\na\tP\tQ\n", r"3 cells under 2 column names .*line 2"),
        ("r.txt", b'"sample" "pop"\n"1" "a" "P"\n', "row.names=FALSE"),
        ("narrow.txt", b"sample pop sex\na P\n", r"2 cells under 3 column names .*line 2"),
        ("twice.tsv", b"sample\tpop\tpop\na\tP\tQ\n", "two columns are called 'pop'"),
        ("quote.csv", b'sample,pop\na,"P\n', r"cannot split .*line 2"),
    ],
)
def test_files_that_are_no_tables_say_what_and_where(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        table_of(tmp_path / name, content)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_folder_is_no_label_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"this is a folder, not a table of labels .*give a panel, TSV or CSV"):
        read_lines(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        read_lines(tmp_path / "no.tsv")


CELL = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters='"'), min_size=1)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8), st.sampled_from("\t,;"))
def test_any_table_round_trips(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], separator: str
) -> None:
    text = "\n".join([f"sample{separator}pop", *(f'"{key}"{separator}"{value}"' for key, value in pairs)])
    header, rows = table_of(tmp_path_factory.mktemp("tables") / "a", text)
    assert header == ["sample", "pop"]
    assert rows == [(i, list(pair)) for i, pair in enumerate(pairs, start=2)]
