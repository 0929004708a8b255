"""Encoders and the networks of others: what they take, what they give, and what is said where they do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import jensen
from jensen.errors import JensenWarning, SpaceError, UsageError
from jensen.models.encoder import Encoder
from jensen.objectives.contrastive import Contrastive
from jensen.space import Column, Space

few_steps = pytest.mark.filterwarnings("ignore:the representation has collapsed")


@pytest.mark.parametrize(
    ("space", "net", "features"),
    [
        (Space.levels((1, 8, 8), 17), "small", 128),
        (Space.levels((3, 64, 48), 256), "small", 128),
        (Space.binary((1, 28, 28)), "small", 128),
        (Space.real((3, 32, 32)), "resnet18", 512),
        (Space.real(7), "mlp", 256),
        (Space((2,), (Column("categorical", 5), Column("levels", 3))), "mlp", 256),
    ],
)
def test_rows_of_every_kind_become_vectors(space: Space, net: str, features: int) -> None:
    torch.manual_seed(0)
    model = Encoder(space, net=net).eval()
    levels = torch.tensor(space.levels_by_site()).reshape(space.shape)
    rows = torch.rand(3, *space.shape, generator=torch.Generator().manual_seed(1))
    rows = rows if space.kind == "real" else (rows * levels).long()
    h = model.embed(rows)
    assert h.shape == (3, features) and not torch.equal(h[0], h[1])


@pytest.mark.parametrize(("width", "features"), [(8, 128), (16, 8), (4, 3), (1, 1)])
@pytest.mark.parametrize("side", [1, 8, 28, 64])
def test_a_small_net_of_any_width_gives_the_features_that_it_is_told_to(
    width: int, features: int, side: int
) -> None:
    model = Encoder(Space.levels((1, side, side), 3), width=width, features=features).eval()
    assert model.embed(torch.ones(2, 1, side, side, dtype=torch.int64)).shape == (2, features)


def test_resnet18_has_the_layers_and_the_size_of_its_form_for_cifar() -> None:
    model = Encoder(Space.levels((3, 32, 32), 256), net="resnet18")
    # the network of 10 classes has 11,173,962 parameters, 5,130 of them in its last layer
    assert sum(p.numel() for p in model.parameters()) == 11_173_962 - 5_130
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(convolutions) == 17 and convolutions[0].stride == (1, 1)


def test_a_class_is_one_hot_in_a_table_and_a_level_is_a_number() -> None:
    model = Encoder(Space((2,), (Column("categorical", 5), Column("levels", 3))))
    assert model.sites.size == 6


def test_rows_between_the_levels_are_embedded_between_them() -> None:
    """What a blurred or resampled view is: the encoder takes it without rounding."""
    model = Encoder(Space.levels((1, 8, 8), 17), width=4, features=8).eval()
    rows = torch.randint(16, (2, 1, 8, 8))
    low, middle, high = (model.embed(rows + step) for step in (0, 0.5, 1))
    assert not torch.equal(low, middle) and not torch.equal(middle, high)
    assert torch.equal(low, model.embed(rows.float()))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Encoder(Space.real(3), net="small"), SpaceError, "not for these rows"),
        (lambda: Encoder(Space.real((1, 8, 8)), net="mlp"), SpaceError, "not for these rows"),
        (lambda: Encoder(Space.real(3), net="vit"), UsageError, "unknown net"),
        (lambda: Encoder(Space.real(3), width=0), UsageError, "width"),
        (lambda: Encoder(Space.real((3, 8, 8)), net="resnet18", features=100), UsageError, "8 x width"),
    ],
)
def test_a_net_that_does_not_fit_is_named(make: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()  # type: ignore[operator]


# --- the networks of others ----------------------------------------------------------------------------------------


def test_a_module_embeds_rows_scaled_to_minus_one_to_one() -> None:
    model = jensen.adapt.encoder(nn.Flatten(), Space.levels((1, 2, 2), 5))
    rows = torch.tensor([[[[0, 1], [2, 4]]]])
    assert model.embed(rows).tolist() == [[-1.0, -0.5, 0.0, 1.0]]


@few_steps
def test_a_module_is_trained_by_contrast_and_embeds_the_rows_of_its_fit() -> None:
    rows = jensen.rows("digits")
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    before = net[0].weight.detach().clone()
    fitted = jensen.fit(jensen.adapt.encoder(net, rows.space), rows, steps=5)
    assert fitted.embed(rows).shape == (len(rows.test), 4)
    assert not torch.equal(before, net[0].weight)


@pytest.mark.parametrize(
    ("module", "error", "words"),
    [
        (nn.Conv2d(1, 4, 3), UsageError, r"one vector of floats a row.*\(2, 4, 6, 6\).*pool its maps"),
        (nn.Conv2d(3, 4, 3), SpaceError, r"does not take rows of shape \(n, 1, 8, 8\)"),
        (nn.Flatten(0), UsageError, "one vector of floats a row"),
        (lambda x: x, UsageError, "torch module"),
    ],
)
def test_a_module_that_gives_no_vectors_is_named(
    module: nn.Module, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        jensen.adapt.encoder(module, Space.levels((1, 8, 8), 17))


class Maps(Encoder):
    """An encoder that forgot to pool."""

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(x), 4, 3, 3) * next(self.parameters()).sum()


def test_a_model_that_gives_maps_is_named_before_it_is_trained() -> None:
    with pytest.raises(UsageError, match="pool its maps"):
        jensen.fit(Maps, jensen.rows("digits"), steps=3)


def test_rows_in_batches_of_one_are_named() -> None:
    with pytest.raises(UsageError, match="batch of two rows"):
        jensen.fit("encoder", jensen.rows("digits"), plan=jensen.Plan(steps=2, batch=1))


@few_steps
def test_an_encoder_has_no_score_and_its_head_is_not_in_the_run(tmp_path: object) -> None:
    rows = jensen.rows("digits")
    fitted = jensen.fit("encoder", rows, steps=5, width=4, features=8, out=f"{tmp_path}/run")
    again = jensen.load(f"{tmp_path}/run")
    assert np.array_equal(again.embed(rows), fitted.embed(rows))
    assert set(again.model.state_dict()) == set(Encoder(rows.space, width=4, features=8).state_dict())
    assert again.record["health"]["contrastive loss"]["how"]["chance"] > 5
    with pytest.raises(jensen.Cannot, match="log_prob"):
        fitted.score(rows)


@few_steps
def test_a_fit_repeats_bit_for_bit() -> None:
    rows = jensen.rows("digits")
    first, again = (
        jensen.fit("encoder", rows, steps=6, seed=4, width=4, features=8).embed(rows) for _ in range(2)
    )
    assert np.array_equal(first, again)


def test_views_of_ones_own_are_recorded_by_name() -> None:
    from jensen.objectives import describe_objective
    from jensen.views.blur import Blur

    assert "views=auto" in describe_objective(Contrastive())
    assert "Blur(strength=0.1" in describe_objective(Contrastive(views=(Blur(0.1),)))


def test_an_encoder_that_has_not_begun_to_form_is_warned_of_and_still_saved(tmp_path: object) -> None:
    with pytest.warns(JensenWarning, match="collapsed"):
        jensen.fit("encoder", jensen.rows("digits"), steps=1, width=4, features=8, out=f"{tmp_path}/run")
    [note] = jensen.load(f"{tmp_path}/run").record["notes"]
    assert note["doubtful"] and "collapsed" in note["text"]
