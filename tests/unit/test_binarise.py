"""Bits of grey rows: what they are, that training sees fresh ones, and that every number says how they were made."""

from __future__ import annotations

import gzip
import json
import signal
import struct
from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from scipy import stats

import jensen
from jensen.binarisation import Binarisation
from jensen.cli import cli
from jensen.codec import Codec, Dequantise, Integers, codec_for, codec_from_dict
from jensen.data import Bits, hash_rows, read, shards
from jensen.data.split import split_rows
from jensen.errors import DataError, Incomparable, SpaceError, UsageError
from jensen.feed import Feed
from jensen.quantity import order
from jensen.space import Column, Space

DYNAMIC = Binarisation("dynamic", None, 0, 0.0, 255.0, 1.0)
HALF = Binarisation("threshold", 0.5, None, 0.0, 255.0, 1.0)
MADE = {"hidden": [8], "steps": 12}
RARE = 1e-6
"""The probability with which a test of chance may fail, all its cells together."""


def grey(n: int = 60, side: int = 4, seed: int = 0) -> np.ndarray:
    """Images (n, 1, side, side) of 8 bits with all values from 0 to 255, the middle ones rarer, as ink has it."""
    rng = np.random.default_rng(seed)
    values = np.rint(255 * rng.beta(0.4, 0.6, (n, 1, side, side))).astype(np.uint8)
    values[0, 0, 0, :2] = 0, 255
    return values


def signed(n: int = 32, sites: int = 16) -> np.ndarray:
    """Rows (n, sites) of grey values whose first five sites are 0 or 255 and spell the row's number in bits."""
    values = np.random.default_rng(3).integers(1, 255, (n, sites)).astype(np.uint8)
    values[:, :5] = 255 * (np.arange(n)[:, None] >> np.arange(5) & 1)
    return values


def numbers(bits: np.ndarray) -> np.ndarray:
    """The rows' numbers, from their first five sites."""
    return bits[:, :5] @ (1 << np.arange(5))


def feed_of(rows: Any, codec: Codec | None = None, batch: int = 32, seed: int = 0) -> Feed:
    codec = codec or Integers(Space.binary(rows.shape[1:]))
    return Feed(rows, codec, batch, seed, torch.device("cpu"), torch.float32)


def batches(feed: Feed, n: int, start: int = 0) -> list[np.ndarray]:
    return [x.numpy() for x, _ in islice(feed.batches(start), n)]


def improbable(ones: np.ndarray, trials: int, p: np.ndarray) -> bool:
    """Whether some count of ones is in a tail of its binomial law that all cells together reach with RARE."""
    ones = ones.astype(np.int64)
    tail = np.minimum(stats.binom.cdf(ones, trials, p), stats.binom.sf(ones - 1, trials, p))
    return bool((tail < RARE / 2 / ones.size).any())


# ---------------------------------------------------------------------------------------------------------------
# The space
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made, text", [(DYNAMIC, "binarised dynamically (seed 0)"), (HALF, "binarised at 0.5")]
)
def test_a_space_says_how_its_bits_were_made_and_keeps_it(made: Binarisation, text: str) -> None:
    space = Space((1, 28, 28), (Column("binary"),), made)
    assert space.describe() == f"1x28x28, binary (0 to 1), mass, {text}"
    again = Space.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space and again.binarisation == made
    assert space != Space.binary((1, 28, 28)) == space.binarised(None)
    assert space.with_columns((Column("binary", name="ink"),)).binarisation == made
    assert space.with_columns((Column("real"),)).binarisation is None
    assert codec_from_dict(Integers(space).to_dict()).space == space
    assert Integers(space).model_space == Space.binary((1, 28, 28))


def test_a_record_of_a_space_from_before_binarisation_has_none() -> None:
    record = Space.binary(3).to_dict()
    assert "binarisation" not in record and Space.from_dict(record).binarisation is None


@pytest.mark.parametrize(
    "column", [Column("real"), Column("levels", 2), Column("binary", 2, -1.0, 2.0), Column("categorical", 2)]
)
def test_only_bits_are_binarised(column: Column) -> None:
    with pytest.raises(SpaceError, match="bits 0 and 1"):
        Space((2,), (column,), HALF)


@pytest.mark.parametrize(
    "wrong",
    [
        ("dynamic", 0.5, 0, 0.0, 1.0),
        ("dynamic", None, None, 0.0, 1.0),
        ("threshold", None, 0, 0.0, 1.0),
        ("threshold", 1.0, None, 0.0, 1.0),
        ("threshold", 0.5, None, 1.0, 1.0),
        ("threshold", 0.5, None, 0.0, 1.0, 0.0),
        ("static", 0.5, None, 0.0, 1.0),
    ],
)
def test_a_binarisation_that_says_nothing_is_refused(wrong: tuple[Any, ...]) -> None:
    with pytest.raises(SpaceError):
        Binarisation(*wrong)


# ---------------------------------------------------------------------------------------------------------------
# Bits of rows
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", ["0.5", "0.2", "0.8", "0.001", "0.999"])
def test_a_threshold_is_exact_for_every_grey_level(threshold: str) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(64, 4)
    found = jensen.rows(levels, binarise=float(threshold))
    expected = [[Fraction(int(k), 255) > Fraction(threshold) for k in row] for row in levels]
    for part, places in zip((found.train, found.valid, found.test), split_rows(64, (0.7, 0.1, 0.2), 0)):
        assert isinstance(part, np.ndarray) and part.dtype == np.uint8
        assert np.array_equal(part, np.array(expected)[places])


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_the_range_is_that_of_the_levels_wherever_they_lie(scale: float) -> None:
    images = grey()
    space = Space.levels((1, 4, 4), 256, low=-100 * scale, step=scale)
    found = jensen.rows(images.astype(float) * scale - 100 * scale, space=space, binarise=0.5)
    assert np.array_equal(found.test, jensen.rows(images, binarise=0.5).test)


def test_real_rows_from_zero_to_one_become_the_same_bits_as_their_levels() -> None:
    images = grey()
    real = jensen.rows(images / 255, kinds="real", binarise=0.5)
    assert real.space.binarisation == Binarisation("threshold", 0.5, None, 0.0, 1.0, None)
    assert np.array_equal(real.train, jensen.rows(images, binarise=0.5).train)


def test_pixels_of_a_table_share_one_range_and_keep_their_names() -> None:
    frame = pd.DataFrame({"a": [0, 255, 100, 130] * 5, "b": [10, 20, 128, 127] * 5, "c": [0, 200] * 10})
    found = jensen.rows(frame, binarise=0.5)
    assert [column.name for column in found.space.columns] == ["a", "b", "c"]
    assert found.space.binarisation == HALF
    assert np.array_equal(
        read(frame[["c", "b", "a"]], found.space)[:4], [[0, 0, 0], [1, 0, 1], [0, 1, 0], [1, 0, 1]]
    )


def test_held_out_dynamic_bits_repeat_and_change_with_the_seed_alone() -> None:
    images = grey()
    first, again = (jensen.rows(images, binarise="dynamic") for _ in range(2))
    for part in ("train", "valid", "test"):
        assert np.array_equal(getattr(first, part), getattr(again, part))
    assert isinstance(first.test, np.ndarray) and first.test.dtype == np.uint8
    space = first.space
    other = Space(space.shape, space.columns, Binarisation("dynamic", None, 1, 0.0, 255.0, 1.0))
    assert not np.array_equal(first.test, jensen.rows(images, space=other).test)
    assert np.array_equal(first.test, jensen.rows(images, space=space, seed=0).test)


def test_dynamic_bits_are_the_same_on_every_machine() -> None:
    values = (np.arange(60)[:, None] * 7 + np.arange(5) * 53) % 256
    bits = Bits(values, DYNAMIC, hash_rows(values))[:]
    assert np.packbits(bits[:16]).tobytes().hex() == "0aae7a9c6a93bccc3884"
    key = np.random.SeedSequence([0, int(hash_rows(values), 16)]).generate_state(2, np.uint64)
    for place, row in enumerate(values):  # two counts of four words a row of five sites
        own = np.random.Generator(np.random.Philox(key=key, counter=2 * place))
        assert np.array_equal(bits[place], own.random(5) < row / 255)


def test_a_draw_belongs_to_the_row_whatever_is_read_beside_it() -> None:
    images = grey(90)
    bits = Bits(images, DYNAMIC, hash_rows(images))
    every = bits[:]
    places = np.array([80, 3, 3, 4, 5, 41])
    assert np.array_equal(bits[places], every[places])
    assert np.array_equal(bits[7:20:3], every[7:20:3]) and np.array_equal(bits[-1], every[-1])
    mask = np.arange(90) % 7 == 0
    assert np.array_equal(bits[mask], every[mask]) and np.array_equal(np.asarray(bits), every)
    for seed in (0, 5):  # of the split; the draw stays that of the space
        data = jensen.rows(images, space=Space((1, 4, 4), (Column("binary"),), DYNAMIC), seed=seed)
        train, valid, test = split_rows(90, (0.7, 0.1, 0.2), seed)
        assert np.array_equal(data.train[:], every[train])
        assert np.array_equal(data.valid, every[valid]) and np.array_equal(data.test, every[test])


def test_bits_of_one_draw_follow_the_grey_values_and_not_each_other() -> None:
    n = 3000
    values = np.tile(np.arange(0, 256, 15, dtype=np.uint8), (n, 1))  # 0, 15, ..., 255
    bits = Bits(values, DYNAMIC, hash_rows(values))[:]
    assert not improbable(bits.sum(0), n, values[0] / 255)
    centred = (bits - values / 255)[:, 1:-1]
    scale = np.sqrt(values[0] / 255 * (1 - values[0] / 255))[1:-1]
    sites = (centred.T @ centred) / n / np.outer(scale, scale)
    off = sites[~np.eye(len(sites), dtype=bool)]
    # a correlation of independent bits has standard deviation 1/sqrt(n); six of them are rarer than RARE over the cells
    assert abs(off).max() < 6 / np.sqrt(n)
    neighbours = (centred[1:] * centred[:-1]).sum(0) / (n - 1) / scale**2
    assert abs(neighbours).max() < 6 / np.sqrt(n - 1)


def test_the_hash_is_that_of_the_grey_rows_and_a_note_says_so() -> None:
    images = grey()
    plain, bits = jensen.rows(images), jensen.rows(images, binarise="dynamic")
    assert plain.hash == bits.hash and plain.space != bits.space
    assert any("drawn afresh" in note and "0 to 255" in note for note in bits.notes)


def test_rows_on_disk_become_the_same_bits_as_rows_in_memory(tmp_path: Path) -> None:
    images = grey(200)
    np.save(tmp_path / "x.npy", images)
    for how in ("dynamic", 0.5):
        there = jensen.rows(tmp_path / "x.npy", memory=1000, binarise=how)
        here = jensen.rows(images, binarise=how)
        assert isinstance(there.test, Bits) and not isinstance(there.test.grey, np.ndarray)
        for part in ("train", "valid", "test"):
            assert np.array_equal(getattr(there, part), getattr(here, part))
        assert (there.hash, there.train_hash, there.space) == (here.hash, here.train_hash, here.space)


def test_training_bits_from_disk_are_fresh_and_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jensen.feed.SHARD_BYTES", 16 * 8 * 10)  # ten rows a shard
    np.save(tmp_path / "x.npy", signed())
    train = jensen.rows(tmp_path / "x.npy", memory=100, binarise="dynamic", split=(28, 2, 2)).train
    assert len(list(shards(28, 10, 0, 0))) > 1
    seen = batches(feed_of(train, batch=5), 15)
    for start in (1, 6, 13):
        assert np.array_equal(batches(feed_of(train, batch=5), 1, start)[0], seen[start])
    by_row: dict[int, set[bytes]] = {}
    for batch in seen:
        for number, row in zip(numbers(batch), batch):
            by_row.setdefault(int(number), set()).add(row.tobytes())
    often = [found for found in by_row.values() if len(found) > 1]
    assert len(often) > 10  # a row seen again has other bits


# ---------------------------------------------------------------------------------------------------------------
# Fresh bits in training
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behind", [Integers, Dequantise])
def test_the_mean_of_fresh_batches_converges_to_the_grey_probabilities(behind: Any) -> None:
    values, epochs = signed(), 500
    train = Bits(values, DYNAMIC, hash_rows(values))
    ones = np.zeros(values.shape)
    for batch in batches(feed_of(train, behind(Space.binary(16))), epochs):
        bits = np.floor(batch).astype(int)
        assert np.array_equal(np.sort(numbers(bits)), np.arange(32))  # an epoch sees every row once
        ones[numbers(bits)] += bits
    p = values / 255
    assert not improbable(ones, epochs, p)
    z = (ones - epochs * p)[:, 5:] / np.sqrt(epochs * p * (1 - p))[:, 5:]
    # the sum of squares of independent standard numbers is chi-squared
    assert RARE < stats.chi2.sf((z**2).sum(), z.size) < 1 - RARE


def test_two_epochs_differ_and_a_resumed_one_repeats() -> None:
    train = Bits(signed(), DYNAMIC, "ab")
    seen = batches(feed_of(train, batch=16), 12)
    first, second = (np.concatenate(seen[i : i + 2]) for i in (0, 2))
    first, second = first[np.argsort(numbers(first))], second[np.argsort(numbers(second))]
    assert np.array_equal(first[:, :5], second[:, :5])
    assert (first != second).any(1).sum() > 28
    for start in range(12):
        assert np.array_equal(batches(feed_of(train, batch=16), 1, start)[0], seen[start])
    assert not np.array_equal(batches(feed_of(train, batch=16, seed=1), 1)[0], seen[0])


def test_threshold_bits_never_change_in_training() -> None:
    data = jensen.rows(signed(), binarise=0.5, split=(28, 2, 2))
    known = {row.tobytes() for row in np.asarray(data.train).astype(np.int64)}
    assert {row.tobytes() for batch in batches(feed_of(data.train), 4) for row in batch} == known


def test_an_interrupted_training_on_fresh_bits_resumes_exactly(tmp_path: Path) -> None:
    data = jensen.rows(grey(), binarise="dynamic")

    def stop(moment: Any) -> None:
        if moment.step == 20:
            signal.raise_signal(signal.SIGINT)

    whole = jensen.fit("made", data, hidden=[8], steps=40)
    with pytest.raises(KeyboardInterrupt):
        jensen.fit("made", data, hidden=[8], steps=40, out=tmp_path / "run", watch=stop)
    cut = jensen.rows(grey(), binarise=0.5)
    with pytest.raises(DataError, match="fingerprint"):
        jensen.fit("made", cut, hidden=[8], steps=40, out=tmp_path / "run", resume=True)
    again = jensen.fit("made", data, hidden=[8], steps=40, out=tmp_path / "run", resume=True)
    assert np.array_equal(again.score(data).values, whole.score(data).values)


# ---------------------------------------------------------------------------------------------------------------
# Models
# ---------------------------------------------------------------------------------------------------------------


def test_a_model_that_solves_itself_counts_the_one_draw() -> None:
    data = jensen.rows(grey(), binarise="dynamic")
    fitted = jensen.fit("independent", data)
    train = data.train[:]
    ones = (train.sum(0) + 1) / (len(train) + 2)  # Laplace's rule
    mass = np.where(data.test, ones, 1 - ones)
    assert np.allclose(fitted.score(data).values, np.log(mass).reshape(len(mass), -1).sum(1), rtol=1e-5)


@pytest.mark.parametrize(
    "model, hyper", [("independent", {}), ("made", MADE), ("mixture", {"components": 2})]
)
@pytest.mark.parametrize("how, says", [("dynamic", "dynamic, seed 0"), (0.5, "threshold 0.5")])
def test_a_run_on_bits_scores_the_same_after_loading_and_says_which(
    tmp_path: Path, model: str, hyper: dict[str, Any], how: Any, says: str
) -> None:
    data = jensen.rows(grey(), binarise=how)
    fitted = jensen.fit(model, data, out=tmp_path / "run", **hyper)
    loaded = jensen.load(tmp_path / "run")
    assert loaded.space == data.space
    scores = fitted.score(data)
    for given in (data, data.test, jensen.rows(grey(), space=loaded.space)):
        again = loaded.score(given)
        assert np.array_equal(again.values, scores.values) and again.rows == scores.rows
        assert again.how["binarisation"] == says and "seen" not in again.how
    assert f"(binarisation: {says})" in repr(scores.bits_per_dim.mean())
    assert data.space.describe() in (tmp_path / "run" / "card.md").read_text()
    assert loaded.score(data.train).how["binarisation"] == says and "seen" in loaded.score(data.train).how
    assert "seen" in loaded.score(grey()).how and "seen" not in loaded.score(grey(seed=1)).how


def test_scores_of_other_binarisations_do_not_compare() -> None:
    by = {how: jensen.rows(grey(), binarise=how) for how in ("dynamic", 0.5)}
    scores = {how: jensen.fit("independent", data).score(data) for how, data in by.items()}
    assert scores["dynamic"].rows != scores[0.5].rows
    with pytest.raises(Incomparable, match=r"got dynamic, seed 0 and threshold 0\.5"):
        order(scores["dynamic"], scores[0.5])


def test_a_comparison_names_the_binarisation_and_refuses_two_for_grey_rows() -> None:
    data, cut = (jensen.rows(grey(), binarise=how) for how in ("dynamic", 0.5))
    stranger = jensen.fit("independent", cut)
    result = jensen.compare({"home": "independent", "away": stranger}, data)
    assert "bits/dim of binarised rows (dynamic, seed 0)" in result.table()
    said = " ".join(result.to_dict()["data"]["notes"])
    assert "away was fitted to rows binarised at 0.5" in said and "home was" not in said
    for model in result.to_dict()["models"]:
        assert model["bits_per_dim"]["how"]["binarisation"] == "dynamic, seed 0"
    with pytest.raises(Incomparable, match="other binarisations"):
        jensen.compare(["independent", stranger], grey())


def test_a_comparison_of_rows_that_are_not_binarised_says_nothing() -> None:
    assert "binarised" not in jensen.compare(["independent"], "digits", lens=None).table()


def test_rows_on_disk_can_be_scored_by_part(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", grey(100))
    there = jensen.rows(tmp_path / "x.npy", memory=1000)
    fitted = jensen.fit("independent", there)
    assert np.array_equal(fitted.score(there.test).values, fitted.score(there).values)


# ---------------------------------------------------------------------------------------------------------------
# Reading rows to score
# ---------------------------------------------------------------------------------------------------------------


def bit_space(made: Binarisation, *shape: int) -> Space:
    return Space(shape, (Column("binary"),), made)


@pytest.mark.parametrize("made", [DYNAMIC, HALF])
def test_bits_are_taken_as_they_are_and_grey_rows_are_binarised(made: Binarisation) -> None:
    space = bit_space(made, 1, 4, 4)
    bits = np.random.default_rng(0).integers(0, 2, (9, 1, 4, 4))
    assert np.array_equal(read(bits, space), bits)
    two = bits * 255  # grey, and happens to hold black and white alone
    assert np.array_equal(read(two, space), bits)
    images = grey()
    once, twice = read(images, space), read(images, space)
    assert np.array_equal(once, twice) and set(np.unique(once)) == {0, 1}
    if made is HALF:
        assert np.array_equal(once, images >= 128)


def test_reading_a_source_gives_each_row_the_bits_it_had_in_the_split() -> None:
    images = grey()
    data = jensen.rows(images, binarise="dynamic")
    assert np.array_equal(read(images, data.space)[split_rows(60, (0.7, 0.1, 0.2), 0)[2]], data.test)


@pytest.mark.parametrize(
    "wrong, place",
    [
        (256.0, "row 1, site 0,2,3 holds 256"),
        (-1.0, "row 1, site 0,2,3 holds -1"),
        (0.5, "row 1, site 0,2,3 holds 0.5"),
    ],
)
def test_other_values_are_refused_with_their_place(wrong: float, place: str) -> None:
    images = grey().astype(float)
    images[1, 0, 2, 3] = wrong
    with pytest.raises(SpaceError, match=place):
        read(images, bit_space(DYNAMIC, 1, 4, 4))
    with pytest.raises(SpaceError, match=r"holds 0\.00392157"):
        read(np.full((2, 1, 4, 4), 1 / 255), bit_space(HALF, 1, 4, 4))  # grey over 255 is not grey
    with pytest.raises(SpaceError, match="expected rows of shape"):
        read(images, bit_space(DYNAMIC, 1, 5, 5))


def test_bits_given_as_bits_are_scored_and_said_to_be_of_unknown_making() -> None:
    data = jensen.rows(grey(), binarise="dynamic")
    fitted = jensen.fit("independent", data)
    bits = (grey(seed=9) > 100).astype(np.uint8)
    assert fitted.score(bits).how["binarisation"] == "not known, given as bits"
    assert fitted.score(jensen.rows(grey(), binarise=0.5)).how["binarisation"] == "threshold 0.5"
    plain = jensen.rows(bits, space=data.space)
    assert plain.space.binarisation is None and any("taken as they are" in note for note in plain.notes)


# ---------------------------------------------------------------------------------------------------------------
# Refusals
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source, wrong",
    [
        ([[0, 1], [1, 0], [1, 1], [0, 0]], "bits already"),
        ([[0, 255], [255, 0], [255, 255], [0, 0]], "bits already"),
        ("wine", "from 0 to 1"),
        (np.random.default_rng(0).normal(size=(9, 2)), "from 0 to 1"),
        (pd.DataFrame({"x": np.linspace(0, 1, 9) ** 2, "k": list("aabbccaab")}), "only grey rows"),
        (pd.DataFrame({"k": list("aabbccaab"), "l": list("abababcab")}), "only grey rows"),
    ],
)
@pytest.mark.parametrize("how", ["dynamic", 0.5])
def test_rows_that_are_not_grey_are_refused(source: Any, wrong: str, how: Any) -> None:
    source = np.array(source) if isinstance(source, list) else source
    with pytest.raises(DataError, match=wrong) as caught:
        jensen.rows(source, binarise=how)
    assert caught.value.given and caught.value.do


def test_grey_rows_that_hold_two_values_are_binarised_when_called_grey() -> None:
    two = 255 * np.random.default_rng(0).integers(0, 2, (20, 3))
    found = jensen.rows(two, space=Space.levels(3, 256), binarise="dynamic")
    assert np.array_equal(found.test, two[split_rows(20, (0.7, 0.1, 0.2), 0)[2]] // 255)


@pytest.mark.parametrize("how", [0.0, 1.0, -0.5, 128, float("nan"), True, "dynamc", "static"])
def test_other_ways_to_binarise_are_refused(how: Any) -> None:
    with pytest.raises(UsageError) as caught:
        jensen.rows(grey(), binarise=how)
    assert caught.value.given and caught.value.do


def test_binarising_twice_is_refused() -> None:
    data = jensen.rows(grey(), binarise=0.5)
    with pytest.raises(UsageError, match="ready already"):
        jensen.rows(data, binarise="dynamic")
    with pytest.raises(UsageError, match="already says how"):
        jensen.rows(grey(), space=data.space, binarise="dynamic")


def test_grey_rows_for_a_model_of_bits_are_refused_with_a_hint() -> None:
    images, hint = grey(), "binarise='dynamic' or binarise=0.5"
    with pytest.raises(SpaceError) as caught:
        codec_for(frozenset({"binary"}), jensen.rows(images).space, torch.zeros(1))
    assert hint in caught.value.do
    with pytest.raises(SpaceError) as caught:
        jensen.fit("independent", images, space=Space.binary((1, 4, 4)))
    assert hint in caught.value.do
    with pytest.raises(DataError) as refused:
        jensen.rows(images, kinds="binary")
    assert hint in refused.value.do
    with pytest.raises(SpaceError, match="two values a site"):
        jensen.fit("made", images, head="bernoulli", **MADE)


# ---------------------------------------------------------------------------------------------------------------
# The command line
# ---------------------------------------------------------------------------------------------------------------


def idx(path: Path, images: np.ndarray) -> Path:
    """Images (n, height, width) of 8 bits as MNIST's files have them."""
    with gzip.open(path, "wb") as file:
        file.write(struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.tobytes())
    return path


def run(*words: object) -> Any:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="jensen", catch_exceptions=False)


def document(words: Sequence[object]) -> Any:
    result = run(*words, "--json", "-q")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_idx_file_goes_through_fit_score_and_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    train, test = (idx(tmp_path / f"{name}.gz", grey(120, 6, seed)[:, 0]) for seed, name in enumerate("ab"))
    made = ("--model", "made", "--steps", 20, "--set", "hidden=[8]")
    fitted = document(["fit", train, *made, "--binarise", "dynamic", "--out", "run"])
    assert fitted["space"] == "1x6x6, binary (0 to 1), mass, binarised dynamically (seed 0)"
    assert fitted["bits_per_dim"]["how"]["binarisation"] == "dynamic, seed 0"
    held_out = document(["score", "run", train])
    assert (
        held_out["part"] == "held-out"
        and held_out["bits_per_dim"]["value"] == fitted["bits_per_dim"]["value"]
    )
    new, again = (document(["score", "run", test]) for _ in range(2))
    assert new == again and new["part"] == "new" and new["n"] == 120
    assert new["log_likelihood"]["how"]["binarisation"] == "dynamic, seed 0"
    assert document(["score", "run", train, "--all"])["part"] == "all"
    assert "of binarised rows (dynamic, seed 0)" in run("score", "run", test).output
    shown = run("compare", train, "--binarise", "dynamic", "--models", "independent", "--runs", "run", "-q")
    assert shown.exit_code == 0 and "bits/dim of binarised rows (dynamic, seed 0)" in shown.output
    assert "bits/dim of binarised rows (dynamic, seed 0)" in (tmp_path / "report" / "a.html").read_text()


def test_the_command_line_names_its_option_in_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for how, says in (("dynamc", "did you mean dynamic"), ("1.5", "--binarise 0.5")):
        result = run("fit", "digits", "--model", "independent", "--binarise", how)
        assert result.exit_code == 2 and says in result.output
    assert not list(tmp_path.iterdir())
    cut = document(["fit", "digits", "--model", "independent", "--binarise", "0.5", "--out", "cut"])
    assert cut["bits_per_dim"]["how"]["binarisation"] == "threshold 0.5"
    result = run("compare", "digits", "--models", "independent", "--runs", "cut")
    assert result.exit_code == 2 and "--binarise dynamic or --binarise 0.5" in result.output
