"""The course: claims about five families of generative models, each executed live. One claim a file.

A claim's file has `show(seed, **sizes) -> Shown`. Nothing here imports torch before a claim runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jensen.errors import UsageError, nearest

if TYPE_CHECKING:
    from jensen.course.claim import Claim

CHAPTERS: dict[str, str] = {
    "A": "Autoregressive models by masking weights",
    "F": "Normalizing flows",
    "V": "Variational autoencoders",
    "G": "Generative adversarial networks",
    "S": "Contrastive self-supervised learning",
}

CATALOGUE: dict[str, str] = {
    "A1": "A mask of 0 and 1 that multiplies the kernel makes a convolution see earlier pixels only; so for any odd kernel, for channels, and for dense layers.",
    "A2": "Of two masked 3x3 layers, A then A, A then B and B then A are valid conditionals; B then B sees its own pixel.",
    "A3": "One mask A and any number of masks B never reach all earlier pixels; two stacks with one shift at their link do.",
    "A4": "The causal mask of a Transformer is the same idea, and the same audit proves it.",
    "F1": "The forward KL divergence of a flow from its target is the same in x and, pulled back through the flow, in u.",
    "F2": "The reverse KL divergence, too, is the same in x and in u.",
    "F3": "Every f-divergence is unchanged by a bijection.",
    "F4": "Samples without a density call for forward KL, a density without samples for reverse KL; the library chooses by what it is given and says so.",
    "F5": "A planar flow is cheap in one direction only; the other takes a numerical root, so that here it does both.",
    "V1": "The plain Monte-Carlo estimate of p(x) from the prior gets worse with the dimension of z.",
    "V2": "The ELBO is log p(x) less KL(q || posterior), and it is Jensen's inequality applied to the mean weight.",
    "V3": "The ELBO is at most log p(x); raising it over q lowers KL(q || posterior), and the family of q sets how tight it gets.",
    "V4": "L_k is at most log p(x), never falls as k grows, and reaches log p(x).",
    "G1": "A discriminator tells data from the generator's samples and from nothing else; the samples are no copies of training rows.",
    "G2": "The saturating cost is mean log(1 - D(G(z))), the non-saturating one -mean log D(G(z)); the generator descends either.",
    "G3": "A discriminator with every training row right and far fewer held-out ones overfits; dropout narrows the gap.",
    "G4": "Early, when D rejects the samples, the non-saturating cost has the larger gradient.",
    "G5": "Equal losses at two moments of a run do not mean equal quality; a fresh critic on frozen samples tells.",
    "G6": "The best D is f1 / (f0 + f1) and gives the Jensen-Shannon divergence and the density; any other D gives a lower bound, on rows it was not trained on.",
    "S1": "In NT-Xent every view must pick its partner out of the other 2n - 1; a guess loses log(2n - 1).",
    "S2": "Two random views of a row, an encoder for h, a non-linear head for z; the loss is on z, and h is kept.",
    "S3": "A linear classifier on frozen h says what was learned, held against raw pixels, PCA and the untrained encoder.",
    "S4": "Views composed beat each alone, h beats z, temperature and batch size matter, and a non-linear head beats a linear one, which beats none.",
    "S5": "A contrastive loss fits a density ratio: log(candidates) - InfoNCE bounds the mutual information from below, while NT-Xent's number is an estimate.",
}
"""Every claim: the file of the same name shows it."""


def chosen(names: Sequence[str] = ()) -> list[str]:
    """The claims of these names or chapters, in any case, in the order of the catalogue; of no names all of them.

    >>> chosen(["a2", "S"])
    ['A2', 'S1', 'S2', 'S3', 'S4', 'S5']

    Raises UsageError for an unknown name.
    """
    wanted = [name.upper() for name in names]
    known = [*CATALOGUE, *CHAPTERS]
    for name, given in zip(wanted, names):
        if name not in known:
            raise UsageError("unknown claim", f"got {given!r}", nearest(name, known))
    return [name for name in CATALOGUE if not wanted or name in wanted or name[0] in wanted]


def execute(name: str, seed: int = 0, **sizes: Any) -> Claim:
    """Execute one claim by its name in CATALOGUE; torch's own random state is left alone.

    `sizes`: keyword arguments of the claim's `show`, for a smaller or a larger run. Repeats bit for bit for the same
    seed, sizes and number of threads on a CPU.

    >>> execute("A2").holds
    True
    """
    import torch

    from jensen.course.claim import Claim
    from jensen.fitting import check_seed

    check_seed(seed)
    name = name.upper()
    if name not in CATALOGUE:
        raise UsageError("unknown claim", f"got {name!r}", nearest(name, CATALOGUE))
    module = import_module(f"jensen.course.{name.lower()}")
    begun = time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shown = module.show(seed, **sizes)
    return Claim(name, CATALOGUE[name], shown, seed, time.perf_counter() - begun)


def execute_all(names: Sequence[str] = (), seed: int = 0) -> Iterator[Claim]:
    """Execute the claims of these names or chapters (none: all), each as it is asked for."""
    for name in chosen(names):
        yield execute(name, seed)
