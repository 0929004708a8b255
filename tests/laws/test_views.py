"""Views: what they leave alone, what they keep, and that each row has its own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jensen.errors import SpaceError, UsageError
from jensen.space import Column, Space
from jensen.views import PRESETS, Views
from jensen.views.affine import Affine
from jensen.views.blur import Blur
from jensen.views.colour import Jitter
from jensen.views.corruption import Corruption

SPACES = {
    "small": Space.levels((1, 8, 8), 17),
    "grey": Space.binary((1, 20, 16)),
    "colour": Space.levels((3, 16, 18), 256),
    "table": Space((3,), (Column("categorical", 4), Column("levels", 7), Column("binary"))),
    "real image": Space.real((3, 16, 16)),
    "real table": Space.real(5),
}
PARTS = {
    "affine": Affine(crop=(0.3, 0.9), aspect=1.3, zoom=(0.8, 1.2), rotate=20, shift=0.1, flip=0.5),
    "jitter": Jitter(grey=0.3),
    "blur": Blur(),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows_of(space: Space, n: int = 6) -> Tensor:
    if space.kind == "real":
        return torch.randn(n, *space.shape, generator=seeded(0))
    levels = torch.tensor(space.levels_by_site()).reshape(space.shape)
    return (torch.rand(n, *space.shape, generator=seeded(0)) * levels).long()


@pytest.mark.parametrize("where", SPACES)
def test_views_keep_the_shape_and_the_range_repeat_by_seed_and_differ_without(where: str) -> None:
    space = SPACES[where]
    x, views = rows_of(space), Views(space)
    first, again, other = views(x, seeded(1)), views(x, seeded(1)), views(x, seeded(2))
    assert first.shape == x.shape and torch.equal(first, again) and not torch.equal(first, other)
    if not space.is_image:
        assert first.dtype == x.dtype
        assert all(set(first[:, j].tolist()) <= set(x[:, j].tolist()) for j in range(x.size(1)))
    elif space.kind != "real":
        top = (space.max_levels or 0) - 1
        assert -0.5 * top <= float(first.min()) and float(first.max()) <= 2 * top


def test_views_keep_their_digits_where_the_network_runs_in_bfloat16() -> None:
    x, views = rows_of(SPACES["colour"]), Views(SPACES["colour"])
    plain = views(x, seeded(1))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(views(x, seeded(1)), plain)


@pytest.mark.parametrize("part", [Affine(), Jitter(0, 0, 0, 0), Blur(0.0), Jitter(chance=0)])
def test_a_view_without_strength_leaves_images_as_they_are(part: object) -> None:
    x = torch.rand(4, 3, 7, 9, generator=seeded(0))
    torch.testing.assert_close(part(x, seeded(1)), x, rtol=0, atol=2e-6)  # type: ignore[operator]


@pytest.mark.parametrize("name", PARTS)
def test_the_view_of_a_row_does_not_depend_on_the_other_rows(name: str) -> None:
    x = torch.rand(5, 3, 12, 10, generator=seeded(0))
    beside = torch.cat([x[:1], torch.rand(4, 3, 12, 10, generator=seeded(9))])
    first, again = (PARTS[name](rows, seeded(1))[:1] for rows in (x, beside))
    torch.testing.assert_close(first, again, rtol=0, atol=1e-6)


def test_a_crop_is_the_matrix_product_of_linear_interpolations() -> None:
    """y = W_y X W_x^T with W[o, i] = max(0, 1 - |position of o - i|), positions held inside the image."""
    x = torch.rand(6, 2, 9, 12, generator=seeded(0), dtype=torch.float64)
    crop = Affine(crop=(0.2, 0.9), aspect=1.5)
    maps, found = crop.maps(x, seeded(3)), crop(x, seeded(3))
    weights = []
    for axis, size in ((1, 9), (0, 12)):
        centres = (2 * torch.arange(size, dtype=torch.float64) + 1) / size - 1
        at = maps[:, axis, axis, None] * centres + maps[:, axis, 2, None]
        position = (((at + 1) * size - 1) / 2).clamp(0, size - 1)
        gap = (position[..., None] - torch.arange(size)).abs()
        weights.append((1 - gap).clamp(min=0))
        assert float(at.abs().max()) < 1  # the crop lies inside
    torch.testing.assert_close(found, weights[0][:, None] @ x @ weights[1][:, None].mT, rtol=0, atol=1e-12)
    area = (maps[:, 0, 0] * maps[:, 1, 1]).tolist()
    assert all(0.2 - 1e-9 <= a <= 0.9 + 1e-9 for a in area) and max(area) - min(area) > 0.1


def test_a_certain_flip_mirrors_and_rotations_are_rotations_by_angles_of_the_range() -> None:
    x = torch.rand(3, 1, 6, 6, generator=seeded(0))
    torch.testing.assert_close(Affine(flip=1.0)(x, seeded(1)), x.flip(3), rtol=0, atol=1e-5)
    turns = Affine(rotate=90).maps(torch.zeros(2000, 1, 6, 6), seeded(2))[:, :, :2]
    # a rotation matrix: orthogonal, of determinant 1, its angles spread over -90 to 90 degrees
    torch.testing.assert_close(turns @ turns.mT, torch.eye(2).expand_as(turns), rtol=0, atol=1e-6)
    assert float(torch.linalg.det(turns).min()) > 0.99
    angle = torch.asin(turns[:, 1, 0]).rad2deg()
    assert float(angle.min()) < -85 and float(angle.max()) > 85


def test_a_rotation_does_not_stretch_an_oblong_image() -> None:
    # pixels one apart stay one apart: coordinates of a 4 x 12 image run from -1 to 1 along both sides
    maps = Affine(rotate=40).maps(torch.zeros(50, 1, 4, 12, dtype=torch.float64), seeded(0))[:, :, :2]
    pixels = torch.tensor([6.0, 2.0], dtype=torch.float64)  # half a side
    turned = maps * pixels[:, None] / pixels
    torch.testing.assert_close(
        turned @ turned.mT, torch.eye(2, dtype=torch.float64).expand_as(turned), rtol=0, atol=1e-12
    )


def test_hue_keeps_brightness_and_grey_has_no_colour() -> None:
    x = torch.rand(8, 3, 5, 5, generator=seeded(0), dtype=torch.float64)
    y = Jitter(0, 0, 0, hue=0.5, chance=1)(x, seeded(1))
    weights = torch.tensor((0.299, 0.587, 0.114), dtype=torch.float64)
    brightness = [torch.einsum("nchw,c->nhw", image, weights) for image in (x, y)]
    torch.testing.assert_close(*brightness, rtol=0, atol=1e-12)
    assert not torch.allclose(x, y)
    grey = Jitter(0, 0, 0, 0, grey=1.0)(x, seeded(1))
    torch.testing.assert_close(grey, brightness[0].unsqueeze(1).expand_as(grey), rtol=0, atol=1e-12)


def test_contrast_keeps_the_mean_and_brightness_scales() -> None:
    x = torch.rand(9, 1, 6, 6, generator=seeded(0))
    y = Jitter(brightness=0, contrast=0.9, chance=1)(x, seeded(1))
    torch.testing.assert_close(y.mean((1, 2, 3)), x.mean((1, 2, 3)), rtol=0, atol=1e-6)
    ratio = Jitter(brightness=0.5, contrast=0, chance=1)(x, seeded(1)) / x
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio), rtol=1e-5, atol=0)
    assert 0.5 <= float(ratio.min()) < 0.9 and 1.1 < float(ratio.max()) <= 1.5


def test_blur_keeps_flat_images_and_the_sum_inside() -> None:
    assert torch.equal(
        Blur(chance=1)(torch.full((2, 1, 5, 5), 0.25), seeded(0)), torch.full((2, 1, 5, 5), 0.25)
    )
    x = torch.zeros(20, 1, 7, 7)
    x[:, 0, 3, 3] = 1
    y = Blur(chance=1.0)(x, seeded(0))
    torch.testing.assert_close(y.sum((1, 2, 3)), torch.ones(20), rtol=0, atol=1e-6)
    torch.testing.assert_close(y, y.mT, rtol=0, atol=1e-7)
    assert float(y[:, 0, 3, 3].min()) < 0.5


def test_corruption_changes_the_share_of_cells_that_it_is_told_to() -> None:
    x = torch.arange(4000.0 * 5).reshape(4000, 5)
    changed = (Corruption(0.3)(x, seeded(0)) != x).float().mean(0)
    # 4000 cells a column, of which one in 4000 draws itself: five standard errors of sqrt(.3 * .7 / 4000)
    assert bool(((changed - 0.3).abs() < 5 * 0.00725).all())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Affine(crop=(0.0, 1.0)), "0 < crop"),
        (lambda: Jitter(brightness=2), "from 0 to 1"),
        (lambda: Blur(strength=0.5), "1/3"),
        (lambda: Corruption(1.0), "between 0 and 1"),
        (lambda: Views(Space.real(3), "colour"), "not for these rows"),
        (lambda: Views(Space.real((3, 8, 8)), "table"), "not for these rows"),
        (lambda: Views(Space.real(3), "tables"), "did you mean table"),
        (lambda: Views(Space.real(3), [3]), "callables"),
        (lambda: Views(Space.categorical((1, 8, 8), 4)), "unordered categories"),
    ],
)
def test_what_is_no_view_is_named(make: object, words: str) -> None:
    with pytest.raises((UsageError, SpaceError), match=words):
        make()  # type: ignore[operator]


def test_only_photographs_in_colour_are_flipped() -> None:
    flipped = {name for name, parts in PRESETS.items() for part in parts if getattr(part, "flip", 0)}
    assert flipped == {"colour"}
    assert Views(Space.levels((1, 8, 8), 17)).name == "small"
    assert Views(Space.levels((3, 8, 8), 256)).name == "small"
    assert Views(Space.levels((1, 28, 28), 256)).name == "grey"
    assert Views(Space.real((3, 32, 32))).name == "colour"
