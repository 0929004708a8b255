"""Splits, hashes, duplicates and shards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jensen.data import hash_rows, rows, shards
from jensen.data.split import DEFAULT_SPLIT, fingerprint, split_rows, split_sizes
from jensen.errors import DataError, UsageError

RNG = np.random.default_rng(4)


@given(n=st.integers(3, 500), seed=st.integers(0, 9))
def test_a_split_is_disjoint_complete_sorted_and_never_empty(n: int, seed: int) -> None:
    parts = split_rows(n, DEFAULT_SPLIT, seed)
    assert all(len(part) > 0 and (np.diff(part) > 0).all() for part in parts)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))


@given(n=st.integers(50, 5000))
def test_shares_are_kept_within_a_row(n: int) -> None:
    for count, share in zip(split_sizes(n, (0.5, 0.2, 0.3)), (0.5, 0.2, 0.3)):
        assert abs(count - share * n) <= 1


def test_a_seed_repeats_the_split_and_another_changes_it() -> None:
    values = RNG.normal(size=(50, 2))
    np.testing.assert_array_equal(rows(values, seed=7).test, rows(values, seed=7).test)
    assert not np.array_equal(rows(values, seed=7).test, rows(values, seed=8).test)
    assert rows(values, seed=7).hash == rows(values, seed=8).hash


def test_counts_are_taken_as_they_are() -> None:
    found = rows(RNG.normal(size=(50, 2)), split=(30, 5, 10))
    assert [len(found.train), len(found.valid), len(found.test)] == [30, 5, 10]


@pytest.mark.parametrize("split", [(0.7, 0.3), (0.7, 0.1, 0.1), (1.0, 0.0, 0.0), (-1, 2, 3), ("a", 1, 1)])
def test_a_split_that_is_none_is_refused(split) -> None:
    with pytest.raises(UsageError, match="three shares that sum to one, or three counts"):
        rows(RNG.normal(size=(50, 2)), split=split)


def test_more_counts_than_rows_are_refused() -> None:
    with pytest.raises(DataError, match="need 60 in all; got 50"):
        rows(RNG.normal(size=(50, 2)), split=(40, 10, 10))


@given(st.lists(st.integers(0, 255), min_size=6, max_size=6))
def test_the_hash_depends_on_the_numbers_not_on_their_type(values: list[int]) -> None:
    array = np.array(values).reshape(3, 2)
    same = {hash_rows(array.astype(kind)) for kind in (np.uint8, np.int64, np.float32, ">f8")}
    assert len(same) == 1
    changed = array.copy()
    changed[2, 1] += 1
    assert hash_rows(changed) not in same
    assert hash_rows(array.reshape(2, 3)) not in same


def test_the_hash_does_not_depend_on_how_rows_arrive_nor_on_the_sign_of_zero() -> None:
    values = RNG.normal(size=(1000, 3)).round(1)
    one, many = fingerprint(values), fingerprint(values)
    assert one.hash == many.hash
    pieces = type(one)(values.shape, each=True)
    for start in range(0, 1000, 7):
        pieces.add(values[start : start + 7])
    assert pieces.hash == one.hash
    np.testing.assert_array_equal(pieces.row_hashes, one.row_hashes)
    assert hash_rows(np.array([[-0.0]])) == hash_rows(np.array([[0.0]]))


def test_row_hashes_tell_rows_apart_and_copies_together() -> None:
    values = np.array([[a, b, c] for a in range(20) for b in range(20) for c in range(20)], dtype=float)
    hashes = fingerprint(values).row_hashes
    assert len(np.unique(hashes)) == 8000
    np.testing.assert_array_equal(fingerprint(values[[5, 5, 17]]).row_hashes, hashes[[5, 5, 17]])


def test_test_rows_that_also_are_training_rows_are_counted() -> None:
    values = RNG.normal(size=(100, 2))
    values[50:] = values[:50]
    found = rows(values)
    copies = sum((found.train == row).all(1).any() for row in found.test)
    assert copies > 0
    assert any(note.startswith(f"{copies} of 20 test rows also are training rows") for note in found.notes)
    assert not any("also are" in note for note in rows(RNG.normal(size=(100, 2))).notes)


@given(
    n=st.integers(1, 300),
    size=st.integers(1, 100),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 5),
    block=st.none() | st.integers(1, 20),
)
def test_shards_are_one_pass_over_the_rows(
    n: int, size: int, seed: int, epoch: int, block: int | None
) -> None:
    parts = list(shards(n, size, seed, epoch, block))
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    assert all(0 < len(part) <= size and (np.diff(part) > 0).all() for part in parts)
    again = list(shards(n, size, seed, epoch, block))
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


def test_shards_change_with_seed_and_epoch_and_mix_rows_from_far_apart() -> None:
    first = list(shards(100_000, 3200, 0, 0))
    for other in (list(shards(100_000, 3200, 1, 0)), list(shards(100_000, 3200, 0, 1))):
        assert not np.array_equal(first[0], other[0])
    # sixteen uniform blocks: all within the same third of the data has probability below 3 * 3**-16 a shard
    assert all(np.ptp(part) > 33_000 for part in first[:-1])
    # and few runs, so that a shard is read in pieces and not row by row
    assert all((np.diff(part) > 1).sum() <= 16 for part in first)


def test_a_shard_of_no_rows_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one row a shard"):
        shards(10, 0, 0, 0)
