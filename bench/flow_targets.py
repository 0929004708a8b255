"""Reverse KL on every target of known truth: is log Z within 0.05 nats, or is the miss said?

One fit a target, spline coupling flow, the defaults of `jensen.fit(..., target=)`. "said": a doubt is printed beside the
number (missed mass, k-hat, samples without density). A number that is off by more without a doubt is a defect.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from interleave import command, conditions, passive
from record import Record, dumps

CLOSE = 0.05
CASES: dict[str, dict[str, Any]] = {
    "funnel": {},
    "banana": {},
    "mixture": {},
    "double-well": {},
    "many-well": {"dim": 32},
    "rings": {},
    "two-moons": {},
    "u1": {},
    "u2": {},
    "u3": {},
    "u4": {},
    "linear-regression": {},
    "logistic-regression": {},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--objective", default="reverse-kl")
    parser.add_argument("--model", default="spline-flow")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    passive()
    import torch

    torch.set_num_threads(options.threads)
    lines = [_line(name, options) for name in options.only]
    if options.json:
        print(dumps([_record(line) for line in lines], conditions=conditions(options.threads), results=lines))


def _record(line: dict[str, Any]) -> Record:
    """How far off log Z is; a miss that a doubt announces is a miss all the same, and told apart."""
    said = ", a doubt said" if line["verdict"] == "said" else ""
    name = f"log Z of {line['target']} in {line['dim']} dimensions, error{said}"
    return Record(name, "the truth", abs(line["error"]), None, None, "nats", CLOSE, command(), True)


def _line(name: str, options: argparse.Namespace) -> dict[str, Any]:
    import jensen
    from jensen.data.targets import target

    law = target(name, **CASES[name])
    begun = time.process_time()
    fitted = jensen.fit(
        options.model, target=law, steps=options.steps, objective=options.objective, seed=options.seed
    )
    spent, found = time.process_time() - begun, fitted.record["log_z"]
    value = found["value"]["value"]
    error = float("nan") if value is None else value - law.log_z
    verdict = "close" if abs(error) <= CLOSE else "said" if found["doubts"] else "MISSED IN SILENCE"
    line = {
        "target": name,
        "dim": law.dim,
        "truth": law.log_z,
        "log_z": value,
        "error": error,
        "interval": found["value"]["interval"],
        "alone": found["alone"]["value"],
        "effective share": found["below"]["ess"],
        "k-hat": found["below"]["k_hat"],
        "missed": found["missed"],
        "doubts": found["doubts"],
        "verdict": verdict,
        "CPU seconds": spent,
    }
    if not options.json:
        print(
            f"{name:<20} {law.dim:>3}  truth {law.log_z:>9.4f}  log Z {value:>9.4f}  error {error:>+8.4f}  share "
            f"{found['below']['ess']:.3f}  k-hat {found['below']['k_hat'] or float('nan'):>5.2f}  missed "
            f"{found['missed']['share']:.3f}  {verdict:<18} {spent:5.0f} s",
            flush=True,
        )
        for doubt in found["doubts"]:
            print(f"    {doubt}", flush=True)
    return line


if __name__ == "__main__":
    main()
