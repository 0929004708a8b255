"""Masks that order a network: the taps of claim A1, channel groups, and MADE's degrees, against paths one by one."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch

from jensen.errors import UsageError
from jensen.functional.masks import MadeMasks, channel_group, conv_mask, made_degrees, made_masks
from jensen.models.gated_pixelcnn import GatedPixelCNN
from jensen.models.pixelcnn import PixelCNN
from jensen.space import Space


def test_masks_a_and_b_keep_the_taps_of_claim_a1() -> None:
    assert conv_mask("A", 1, 1, 3)[0, 0].tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert conv_mask("B", 1, 1, 3)[0, 0].tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, (1, 3), (3, 1), (5, 3), (3,), (7,), (3, 3, 3), (1, 3, 5)])
@pytest.mark.parametrize("kind", ["A", "B"])
def test_a_tap_is_kept_if_it_comes_before_the_centre_in_raster_order(kind: str, kernel: Any) -> None:
    sizes = (kernel, kernel) if isinstance(kernel, int) else kernel
    centre = tuple(size // 2 for size in sizes)
    mask = conv_mask(kind, 2, 3, kernel)
    assert mask.shape == (2, 3, *sizes) and mask.dtype == torch.float32
    for tap in product(*map(range, sizes)):
        kept = tap < centre or (kind == "B" and tap == centre)  # tuples compare as raster order does
        assert (mask[(slice(None), slice(None), *tap)] == kept).all()


@pytest.mark.parametrize("kind", ["A", "B"])
@pytest.mark.parametrize(("out", "into", "groups"), [(3, 3, 3), (6, 3, 3), (7, 5, 3), (4, 4, 1), (4, 6, 2)])
def test_at_the_centre_a_group_sees_earlier_groups_and_its_own_in_b_only(
    kind: str, out: int, into: int, groups: int
) -> None:
    mask = conv_mask(kind, out, into, 3, channel_groups=groups)
    assert (mask[:, :, 0] == 1).all() and (mask[:, :, 1, 0] == 1).all()
    assert (mask[:, :, 2] == 0).all() and (mask[:, :, 1, 2] == 0).all()
    for o, i in product(range(out), range(into)):
        later, earlier = o * groups // out, i * groups // into
        assert mask[o, i, 1, 1] == (earlier < later or (kind == "B" and earlier == later))


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (3, 3), (7, 3), (768, 3), (5, 2)])
def test_channel_groups_are_contiguous_and_even(channels: int, groups: int) -> None:
    group = channel_group(channels, groups)
    counts = torch.bincount(group)
    assert (group.diff() >= 0).all() and len(counts) == groups
    assert counts.max() - counts.min() <= 1


def paths(masks: MadeMasks) -> torch.Tensor:
    """Whether some path of live weights leads from an input to an output, by walking them one by one."""
    links = torch.zeros(masks.skip.shape, dtype=torch.bool)
    for source in range(masks.skip.shape[1]):
        reached = {source}
        for layer in masks.layers:
            reached = {unit for unit in range(len(layer)) if any(layer[unit, i] for i in reached)}
        links[sorted(reached), source] = True
    return links


ORDERS = [4, [2, 0, 3, 1], [3, 2, 1, 0], torch.tensor([1, 3, 0, 2])]


@pytest.mark.parametrize("hidden", [[], [3], [8], [9, 7], [5, 6, 12]])
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_made_links_every_site_to_all_earlier_ones_and_to_no_other(order: Any, hidden: list[int]) -> None:
    masks = made_masks(order, hidden)
    sites = list(range(order)) if isinstance(order, int) else [int(site) for site in order]
    before = torch.tensor([[sites.index(j) < sites.index(i) for j in range(4)] for i in range(4)])
    assert torch.equal(paths(masks), before)
    assert torch.equal(masks.skip.bool(), before)


def test_made_with_too_few_units_loses_paths_but_never_gains_one() -> None:
    masks = made_masks(6, [2, 9])
    before = torch.ones(6, 6, dtype=torch.bool).tril(-1)
    assert not (paths(masks) & ~before).any()
    assert not torch.equal(paths(masks), before)
    assert torch.equal(masks.skip.bool(), before)


def test_made_features_lie_site_after_site_whatever_the_order() -> None:
    masks = made_masks([1, 2, 0], [6], inputs_per_site=[2, 1, 3], outputs_per_site=2)
    links = paths(masks)
    owner = torch.tensor([0, 0, 1, 2, 2, 2])
    place = torch.tensor([2, 0, 1])
    wanted = place[owner][None, :] < place.repeat_interleave(2)[:, None]
    assert torch.equal(links, wanted)


@pytest.mark.parametrize(("sites", "size"), [(5, 4), (5, 11), (2, 3), (1, 2), (10, 4)])
def test_degrees_are_dealt_evenly_from_0_to_sites_minus_2(sites: int, size: int) -> None:
    (degrees,) = made_degrees(sites, [size])
    counts = torch.bincount(degrees, minlength=max(sites - 1, 1))
    assert len(counts) == max(sites - 1, 1)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: conv_mask("C", 1, 1, 3),
        lambda: conv_mask("A", 1, 1, 4),
        lambda: conv_mask("A", 1, 1, (3, 2)),
        lambda: conv_mask("A", 1, 1, ()),
        lambda: conv_mask("A", 1, 1, -1),
        lambda: conv_mask("B", 2, 3, 3, channel_groups=3),
        lambda: channel_group(3, 0),
        lambda: made_degrees(0, [3]),
        lambda: made_degrees(3, [0]),
        lambda: made_masks([0, 0, 1], [3]),
        lambda: made_masks([1, 2], [3]),
        lambda: made_masks([], [3]),
        lambda: made_masks(3, [3], inputs_per_site=[1, 2]),
        lambda: made_masks(3, [3], outputs_per_site=0),
    ],
)
def test_errors_have_three_parts(wrong: Any) -> None:
    with pytest.raises(UsageError) as error:
        wrong()
    assert error.value.wrong and error.value.given and error.value.do


@pytest.mark.parametrize("cls", [PixelCNN, GatedPixelCNN])
def test_windows_fit_the_image(cls: type[PixelCNN] | type[GatedPixelCNN]) -> None:
    """By default as wide as the image can use; a wider one that is asked for is refused."""
    tiny = cls(Space.binary((1, 2, 2)), 4, 1)
    assert tiny.log_prob(torch.zeros(1, 1, 2, 2, dtype=torch.long)).shape == (1,)
    for wrong in ({"kernel": 5}, {"block_kernel": 5}, {"kernel": 2}, {"layers": -1}, {"channels": 0}):
        with pytest.raises(UsageError) as caught:
            cls(Space.binary((1, 2, 2)), **{"channels": 4, "layers": 1, **wrong})
        assert caught.value.given and caught.value.do
