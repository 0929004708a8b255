"""ActNorm begins at the first training batch, once, and never depends on a batch again."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import jensen
from jensen.models.maf import MAF
from jensen.space import Space
from jensen.train import Interrupted, Moment
from jensen.transforms.actnorm import ActNorm


def interrupt(moment: Moment) -> None:
    signal.raise_signal(signal.SIGINT)


def batch(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, 50, generator=generator, dtype=torch.float64)
    return x * torch.tensor([[3.0], [0.01], [0.0]]) + torch.tensor([[-7.0], [2.0], [4.0]])


@pytest.mark.parametrize("way", ["encode", "decode"])
def test_the_first_training_batch_comes_out_standardised_either_way(way: str) -> None:
    one = ActNorm(3).double()
    out, _ = getattr(one, way)(batch())
    # the third feature is constant: it is only shifted
    torch.testing.assert_close(out.mean(1), torch.zeros(3).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(
        out.std(1, correction=0), torch.tensor([1.0, 1, 0]).double(), rtol=0, atol=1e-10
    )
    again, _ = getattr(one, way)(batch(1))
    assert float(again.detach().mean(1).abs().max()) > 1e-3


def test_nothing_but_a_training_pass_with_gradients_begins_it() -> None:
    one = ActNorm(3).double()
    with torch.no_grad():
        one.encode(batch())
    one.encode(batch()[:, :1])
    one.eval().encode(batch())
    assert not one.ready and not one.logit.any()


def test_having_begun_is_saved_with_the_weights() -> None:
    one, other = ActNorm(3).double(), ActNorm(3).double()
    one.encode(batch())
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(one.encode(batch(1))[0], other.encode(batch(1))[0], rtol=0, atol=0)


def test_a_resumed_run_with_actnorm_ends_with_the_same_weights(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(2.0, 3.0, (300, 2))
    settings = {"steps": 40, "transforms": 2, "hidden": (8,), "actnorm": True}

    whole = jensen.fit("maf", rows, **settings)
    with pytest.raises(Interrupted):
        jensen.fit("maf", rows, out=tmp_path / "run", watch=interrupt, **settings)
    resumed = jensen.fit("maf", rows, out=tmp_path / "run", resume=True, **settings)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    loaded = jensen.load(tmp_path / "run").model
    assert isinstance(loaded, MAF) and all(one.ready for one in loaded.maps if isinstance(one, ActNorm))


def test_a_flow_with_actnorm_fits_rows_far_from_standard() -> None:
    torch.manual_seed(0)
    flow = MAF(Space.real(2), 1, (8,), actnorm=True)
    x = 1e3 + 50 * torch.randn(200, 2)
    # the normal law of these rows, to the constants of the batch
    expected = -np.log(50) - 0.5 * np.log(2 * np.pi) - 0.5
    assert float(flow.log_prob(x).detach().mean()) == pytest.approx(2 * expected, abs=0.3)
