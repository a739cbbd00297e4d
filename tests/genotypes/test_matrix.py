from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import matrix_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genovi.errors import DataError
from genovi.genotypes.matrix import GenotypeMatrix, InputFacts, VariantTable, pack
from genovi.genotypes.reading import open_genotypes

dosage_arrays = hnp.arrays(np.int8, st.tuples(st.integers(0, 9), st.integers(0, 13)), elements=st.integers(-1, 2))


@given(dosage_arrays)
def test_packing_and_decoding_give_back_the_dosages(dosages: np.ndarray) -> None:
    matrix = matrix_of(dosages)
    assert matrix.packed.shape == (dosages.shape[0], (dosages.shape[1] + 3) // 4)
    np.testing.assert_array_equal(matrix.dosages(), dosages)


@given(dosage_arrays, st.data())
def test_taking_samples_and_variants_is_indexing(dosages: np.ndarray, data: st.DataObject) -> None:
    matrix = matrix_of(dosages)
    rows = np.array(data.draw(st.lists(st.sampled_from(range(len(dosages))))) if len(dosages) else [], dtype=int)
    mask = np.array(
        data.draw(st.lists(st.booleans(), min_size=dosages.shape[1], max_size=dosages.shape[1])), dtype=bool
    )
    taken = matrix.take_variants(rows).take_samples(mask)
    np.testing.assert_array_equal(taken.dosages(), dosages[rows][:, mask])
    assert list(taken.variants.id) == [f"v{i + 1}" for i in rows]
    assert taken.samples == tuple(f"s{i + 1}" for i in np.flatnonzero(mask))


@given(dosage_arrays)
def test_blocks_cover_every_variant_once(dosages: np.ndarray) -> None:
    parts = [block for _, block in matrix_of(dosages).blocks(size=2)]
    np.testing.assert_array_equal(np.concatenate(parts) if parts else dosages[:0], dosages)


def test_bed_reader_decodes_packed_rows_to_the_same_dosages(tmp_path: Path) -> None:
    from bed_reader import open_bed

    dosages = np.random.default_rng(1).integers(-1, 3, size=(50, 13)).astype(np.int8)
    bed = tmp_path / "x.bed"
    bed.write_bytes(b"\x6c\x1b\x01" + pack(dosages).tobytes())
    with open_bed(bed, iid_count=13, sid_count=50) as reader:
        read = reader.read(dtype="int8").T
    np.testing.assert_array_equal(np.where(read == -127, -1, read), dosages)


def test_scikit_allel_takes_the_genotypes() -> None:
    dosages = np.random.default_rng(2).integers(-1, 3, size=(5000, 13)).astype(np.int8)  # more rows than a block
    calls = matrix_of(dosages).to_allel()
    np.testing.assert_array_equal(calls.to_n_alt(fill=-1), dosages)
    np.testing.assert_array_equal(calls.is_het(), dosages == 1)
    np.testing.assert_array_equal(calls.is_missing(), dosages == -1)
    assert set(map(tuple, calls.values.reshape(-1, 2).tolist())) == {(-1, -1), (0, 0), (0, 1), (1, 1)}


def test_padding_bits_are_zero() -> None:
    assert pack(np.full((1, 1), -1, dtype=np.int8)).item() == 0b01


@pytest.mark.parametrize("value", [-2, 3])
def test_pack_refuses_what_is_no_dosage(value: int) -> None:
    with pytest.raises(DataError, match="expected -1, 0, 1, 2"):
        pack(np.full((1, 1), value, dtype=np.int8))


def test_a_sample_name_twice_is_refused() -> None:
    matrix = matrix_of(np.zeros((1, 2), dtype=np.int8))
    with pytest.raises(DataError, match="'a' occurs twice"):
        GenotypeMatrix(matrix.packed, ("a", "a"), matrix.variants)


def test_packed_rows_must_fit_the_samples() -> None:
    matrix = matrix_of(np.zeros((1, 2), dtype=np.int8))
    with pytest.raises(DataError, match="expected"):
        GenotypeMatrix(matrix.packed, tuple("abcde"), matrix.variants)


def test_parts_in_memory_keep_their_order_and_merges_facts() -> None:
    whole = matrix_of(np.random.default_rng(2).integers(-1, 3, size=(10, 5)).astype(np.int8))
    facts = (InputFacts(("VCF",), ("b37",), {"1": 5}, 1, 2, 3), InputFacts(("BCF",), ("b37",), {"2": 6}, 10, 20, 30))
    parts = [
        GenotypeMatrix(whole.packed[rows], whole.samples, whole.variants.take(rows), "part", fact)
        for rows, fact in zip((slice(0, 4), slice(4, 10)), facts, strict=True)
    ]
    joined = open_genotypes(parts)
    np.testing.assert_array_equal(joined.dosages(), whole.dosages())
    assert list(joined.variants.id) == list(whole.variants.id)
    assert joined.facts == InputFacts(("VCF", "BCF"), ("b37",), {"1": 5, "2": 6}, 11, 22, 33)


def test_variant_tables_concatenate_by_field() -> None:
    table = matrix_of(np.zeros((4, 1), dtype=np.int8)).variants
    joined = VariantTable.concatenate([table.take(np.array([2])), table])
    assert list(joined.id) == ["v3", "v1", "v2", "v3", "v4"]
    assert joined.pos.dtype == np.int64
