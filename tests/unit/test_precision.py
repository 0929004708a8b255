"""Where numbers are reported, convolutions of a GPU run in float32; elsewhere torch's switch stays as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from jensen.nn.precision import full_float32

GPU = torch.device("cuda")  # the switch is there without one


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("given", [True, False])
def test_tf32_is_off_within_and_as_before_after(given: bool) -> None:
    torch.backends.cudnn.allow_tf32 = given
    with full_float32(GPU):
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 is given


def test_it_is_as_before_after_an_error() -> None:
    torch.backends.cudnn.allow_tf32 = True
    with pytest.raises(ZeroDivisionError), full_float32(GPU):
        raise ZeroDivisionError
    assert torch.backends.cudnn.allow_tf32


def test_on_a_cpu_nothing_is_switched() -> None:
    torch.backends.cudnn.allow_tf32 = True
    with full_float32(torch.device("cpu")):
        assert torch.backends.cudnn.allow_tf32


@pytest.mark.skipif(
    not hasattr(torch.backends.cudnn, "conv"), reason="torch before 2.9 has one way to say it"
)
@pytest.mark.parametrize("given", ["tf32", "ieee"])
def test_a_switch_set_by_its_newer_name_is_put_back_by_it(given: str) -> None:
    conv = torch.backends.cudnn.conv
    before = conv.fp32_precision
    try:
        conv.fp32_precision = given
        with full_float32(GPU):
            assert conv.fp32_precision in ("ieee", "none")
        assert conv.fp32_precision == given
    finally:
        conv.fp32_precision = before
