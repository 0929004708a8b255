"""flowjax's flows of the architecture of `flow_peers`, jitted: training step, log_prob and samples as plain functions.

Its splines have 25 parameters a feature where the others have 23: both ends of the slopes, and one more of the widths
and heights each. Its affine map bounds the scale by a softplus. Compile time is paid before anything is timed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flow_peers import BINS, BOUND, HIDDEN, MAPS


@dataclass(frozen=True)
class Jitted:
    """Functions without arguments that wait for their result; `compiled`: CPU seconds of the first call of each."""

    parameters: int
    run: dict[str, Callable[[], object]]
    compiled: dict[str, float]


def one_thread(threads: int) -> None:
    """Give XLA as many threads as torch has: it reads these once, at import."""
    if threads == 1:
        os.environ["XLA_FLAGS"] = (
            "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 "
            + os.environ.get("XLA_FLAGS", "")
        )
    os.environ["NPROC"] = str(threads)
    os.environ["JAX_PLATFORMS"] = "cpu"


def build(family: str, x: Any, rate: float) -> Jitted:
    """A flow and its jitted functions on the rows x (n, d), a NumPy array. Raises ImportError without flowjax."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jax.random as jr
    import optax
    import paramax
    from flowjax import flows
    from flowjax.bijections import RationalQuadraticSpline
    from flowjax.distributions import Normal

    rows = jnp.asarray(x)
    n, d = rows.shape
    coupled = family in ("RealNVP", "spline coupling")
    spline = RationalQuadraticSpline(knots=BINS - 1, interval=BOUND) if "spline" in family else None
    make = flows.coupling_flow if coupled else flows.masked_autoregressive_flow
    flow = make(
        jr.key(0),
        base_dist=Normal(jnp.zeros(d)),
        transformer=spline,
        flow_layers=MAPS,
        nn_width=HIDDEN[0],
        nn_depth=len(HIDDEN),
    )
    weights, rest = eqx.partition(
        flow, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
    )
    optimiser = optax.adam(rate)

    def whole(weights: Any) -> Any:
        return paramax.unwrap(eqx.combine(weights, rest))

    @jax.jit
    def step(weights: Any, state: Any) -> tuple[Any, Any]:
        loss = lambda given: -whole(given).log_prob(rows).mean()  # noqa: E731
        moves, state = optimiser.update(jax.grad(loss)(weights), state, weights)
        return eqx.apply_updates(weights, moves), state

    log_prob = jax.jit(lambda weights: whole(weights).log_prob(rows))
    sample = jax.jit(lambda weights, key: whole(weights).sample(key, (n,)))
    at = {"weights": weights, "state": optimiser.init(weights), "key": jr.key(1)}

    def train() -> None:
        at["weights"], at["state"] = jax.block_until_ready(step(at["weights"], at["state"]))

    def draw() -> None:
        at["key"], key = jr.split(at["key"])
        jax.block_until_ready(sample(weights, key))

    run = {
        "train": train,
        "log_prob": lambda: jax.block_until_ready(log_prob(weights)),
        "sample": draw,
    }
    compiled = {}
    for use, work in run.items():
        begun = time.process_time()
        work()
        compiled[use] = time.process_time() - begun
    count = sum(leaf.size for leaf in jax.tree.leaves(weights))
    return Jitted(count, run, compiled)
