"""Everything on one GPU in one command of at most nine minutes: equal to the CPU, how fast, and how near to the card's limits.

Equality first, then speed, then torch.compile and CUDA graphs; what the time does not reach is said. Without a GPU it says
so and ends; `--smoke` runs a tiny version of all of it on a CPU. Ends with 1 where anything was not equal.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

COMPILE_SECONDS = 90
"""A compilation is not begun with less time than this left."""

AUDIT_SECONDS = 45
"""Audits are of thousands of small operations, each a launch: so long, then the next part."""


class Session:
    """The parts that were run, with their results; an error in one is recorded and the rest goes on."""

    def __init__(self, budget: float) -> None:
        self.ends = time.perf_counter() + budget
        self.equality: list[dict[str, Any]] = []
        self.failures: list[dict[str, str]] = []
        self.skipped: list[str] = []
        self.seconds: dict[str, float] = {}

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        return self.ends - time.perf_counter()

    def compare(self, part: str, case: str, found: Callable[[], Iterable[Any]]) -> None:
        """Comparisons of one case; one that breaks off counts as a failure."""
        if self.late(part, case, 5):
            return
        began, label = time.perf_counter(), f"{part}: {case}" if case else part
        try:
            for one in found():
                self.equality.append({"case": label, **asdict(one)})
        except Exception as error:
            said = f"{type(error).__name__}: {error}"[:400]
            self.equality.append({"case": label, "what": "broke off", "holds": False, "message": said})
        spent = time.perf_counter() - began
        self.seconds[part] = self.seconds.get(part, 0) + spent
        bad = [one for one in self.equality if one["case"] == label and not one["holds"]]
        print(f"{label}: {'NOT equal' if bad else 'equal'}, {spent:.1f} s", file=sys.stderr, flush=True)

    def measure(self, part: str, case: str, work: Callable[[], Any], needs: float = 5) -> Any:
        """A measurement, None where it failed or the time was up."""
        if self.late(part, case, needs):
            return None
        began = time.perf_counter()
        try:
            return work()
        except Exception as error:
            said = f"{type(error).__name__}: {error}"[:400]
            self.failures.append({"part": part, "case": case, "message": said})
            print(f"{part}: {case}: {said}", file=sys.stderr, flush=True)
            return None
        finally:
            self.seconds[part] = self.seconds.get(part, 0) + time.perf_counter() - began

    def late(self, part: str, case: str, needs: float) -> bool:
        """Whether less than `needs` seconds are left, which is noted."""
        if self.left >= needs:
            return False
        self.skipped.append(f"{part}: {case}")
        return True


def equal(session: Session, device: Any, smoke: bool) -> None:
    """Every model, every objective, the ways of a user, against the CPU."""
    import equality
    import subjects
    import whole

    equality.tf32_off()
    small = subjects.small()
    if smoke:
        small = [one for one in small if one.space.shape in ((5,), (1, 6, 6))]
    for subject in small:
        session.compare("abilities", subject.label, lambda s=subject: equality.abilities(s, device))
    for subject, objective in subjects.objectives(small):
        case = f"{subject.label}, {objective}"
        session.compare("objectives", case, lambda s=subject, o=objective: equality.turns(s, o, device))
    session.compare("batches", "", lambda: whole.batches(device))
    for name in whole.FITS if not smoke else ("made", "vae"):
        session.compare("fits", name, lambda n=name: whole.fits(device, (n,)))
    for name in ("made", "vae", "gan") if not smoke else ("made",):
        session.compare("resume", name, lambda n=name: whole.resume(device, (n,)))


def audited(session: Session, device: Any, smoke: bool, most: float) -> None:
    """The checks, on a device as on the CPU, one kind of rows a model, for `most` seconds at the most."""
    import subjects
    import whole

    first: dict[str, Any] = {}
    for subject in subjects.small():
        first.setdefault(subject.model, subject)
    ends = time.perf_counter() + most
    chosen = ["independent"] if smoke else ["ppca", "realnvp", "gan", "encoder", "vae", "made", *first]
    for name in dict.fromkeys(chosen):
        if time.perf_counter() > ends:
            session.skipped.append(f"audits: {name}")
            continue
        session.compare("audits", first[name].label, lambda s=first[name]: whole.audits(s, device))


def measured(session: Session, device: Any, smoke: bool, precision: str) -> dict[str, Any]:
    """Peaks of the card, then every family, then batches, torch.compile and CUDA graphs."""
    import speed
    import subjects
    from peaks import peaks

    found: dict[str, Any] = {"peaks": session.measure("peaks", "", lambda: peaks(device, smoke))}
    families = subjects.real_size(smoke)
    if found["peaks"] is None:
        return found
    found["speed"] = _all(
        session, "speed", families, lambda s: speed.eager(s, device, found["peaks"], precision), 5
    )
    images, bits = speed.images(smoke), families[0]
    noisy = subjects.Subject("maf", bits.space, batch=128, note="levels with noise, 28x28")
    fresh = subjects.Subject("made", bits.space, batch=128, note="fresh bits, 28x28")

    def dynamic() -> Any:
        import jensen

        return speed.feeding(fresh, device, jensen.rows(images, binarise="dynamic"), "made")

    found["batches"] = [
        session.measure("batches", noisy.note, lambda: speed.feeding(noisy, device, images, "maf")),
        session.measure("batches", fresh.note, dynamic),
    ]
    trained = [one for one in families if one.objective or one.model not in ("mixture", "independent")]
    if smoke:
        trained = trained[2:3]
    found["graphs"] = _all(session, "graphs", trained, lambda s: speed.graphed(s, device, precision), 8)
    found["compile"] = _all(
        session,
        "compile",
        trained,
        lambda s: speed.compiled(s, device, precision),
        5 if smoke else COMPILE_SECONDS,
    )
    return found


def _all(
    session: Session, part: str, subjects: list[Any], work: Callable[[Any], Any], needs: float
) -> list[dict[str, Any]]:
    found = []
    for subject in subjects:
        one = session.measure(part, subject.label, lambda s=subject: work(s), needs)
        if one is not None:
            found.append(one)
            print(f"{part}: {subject.label}: done, {session.left:.0f} s left", file=sys.stderr, flush=True)
    return found


def given() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a tiny version of all of it, on a CPU")
    parser.add_argument("--minutes", type=float, default=8.5, help="what there is time for (default 8.5)")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", choices=("auto", "bf16", "float32"), default="auto")
    parser.add_argument("--out", type=Path, default=Path("gpu-all.json"))
    return parser.parse_args()


def main() -> int:
    """Run the parts, write the record, print the figures."""
    asked = given()
    session = Session(60 * asked.minutes)
    import torch

    if not asked.smoke and not torch.cuda.is_available():
        print("no GPU here: nothing was measured (--smoke runs a tiny version on a CPU)")
        return 0
    import figures
    from recipe import hardware, write

    warnings.simplefilter("ignore")
    device = torch.device("cpu" if asked.smoke else asked.device)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    equal(session, device, asked.smoke)
    audited(session, device, asked.smoke, AUDIT_SECONDS)
    torch.backends.cudnn.allow_tf32 = True  # torch's default, which people train with
    found = measured(session, device, asked.smoke, asked.precision)
    machine = hardware(str(device))
    machine.pop("memory_gib")  # of the last family alone
    record = {
        **machine,
        "tf32": "off where devices are compared; torch's default (convolutions alone) where speed is measured",
        **found,
        "equality": session.equality,
        "failures": session.failures,
        "skipped": session.skipped,
        "seconds": session.seconds,
    }
    write(record, asked.out)
    print(figures.text(record, str(asked.out)))
    return 0 if all(one["holds"] for one in session.equality) else 1


if __name__ == "__main__":
    sys.exit(main())
