"""The record of `all.py` as text: what was not equal, the table of families, and the figures last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text(record: Mapping[str, Any], out: str) -> str:
    """Everything to be read, figures last."""
    parts = [_unequal(record), _families(record), *_gains(record), _batches(record), _left_out(record)]
    return "\n\n".join(part for part in parts if part) + "\n\n" + _figures(record, out)


def _unequal(record: Mapping[str, Any]) -> str:
    bad = [one for one in record["equality"] if not one["holds"]]
    lines = [f"NOT EQUAL: {one['case']}: {one['what']}: {_by_how_much(one)}" for one in bad]
    return "\n".join(lines)


def _by_how_much(one: Mapping[str, Any]) -> str:
    if one.get("message"):
        return str(one["message"])
    return f"{one['difference']:.3g} where {one['tolerance']:.3g} is allowed"


def _families(record: Mapping[str, Any]) -> str:
    rows = [
        (
            one["model"],
            f"{one['batch']}",
            one["precision"],
            _milliseconds(one["seconds"]),
            f"{one['rows_per_second']:,.0f}",
            "" if one["memory_bytes"] is None else f"{one['memory_bytes'] / 2**30:.2f}",
            f"{one['share']:.0%} of {one['nearer']}",
            "waits" if one["waits"] else "",
        )
        for one in record.get("speed") or []
    ]
    head = (
        "family",
        "batch",
        "type",
        "ms a step [quartiles]",
        "rows/s",
        "GiB",
        "share of the measured peak",
        "",
    )
    return _table(head, rows)


def _gains(record: Mapping[str, Any]) -> list[str]:
    found = []
    for part, name in (("compile", "torch.compile"), ("graphs", "CUDA graph")):
        rows = [
            (
                one["model"],
                _milliseconds(one["plain_seconds"]),
                _milliseconds(one["seconds"]),
                f"{one['ratio'][1]:.2f} [{one['ratio'][0]:.2f}, {one['ratio'][2]:.2f}]",
                _worth(one["ratio"]),
                f"{one['first_step_seconds']:.0f} s" if "first_step_seconds" in one else "",
            )
            for one in record.get(part) or []
        ]
        found.append(_table((name, "plain, ms", "with it, ms", "times faster", "", "first step"), rows))
    return found


def _worth(ratio: list[float]) -> str:
    """Whether three of four runs gained a twentieth or more, or lost it."""
    return "pays" if ratio[0] > 1.05 else "costs" if ratio[2] < 0.95 else "no matter"


def _batches(record: Mapping[str, Any]) -> str:
    known = [one for one in record.get("batches") or [] if one]
    return _table(
        ("batches of the loop", "rows", "ms a batch [quartiles]"),
        [(one["what"], f"{one['batch']}", _milliseconds(one["seconds"])) for one in known],
    )


def _left_out(record: Mapping[str, Any]) -> str:
    lines = [f"failed: {one['part']}: {one['case']}: {one['message']}" for one in record["failures"]]
    if record["skipped"]:
        lines.append(f"skipped, the time was up: {'; '.join(record['skipped'])}")
    return "\n".join(lines)


def _figures(record: Mapping[str, Any], out: str) -> str:
    checked = record["equality"]
    good = sum(1 for one in checked if one["holds"])
    lines = [f"device: {record['device']}, torch {record['torch']}, Python {record['python']}"]
    if record.get("peaks"):
        known = {name: value for name, value in record["peaks"].items() if name != "bandwidth"}
        products = ", ".join(f"{name} {value / 1e12:.3g}" for name, value in known.items())
        lines.append(
            f"measured peaks: products in TFLOP/s: {products}; copies: {record['peaks']['bandwidth'] / 1e9:.4g} GB/s"
        )
    spent = ", ".join(f"{name} {seconds:.0f}" for name, seconds in record["seconds"].items())
    lines += [
        f"seconds: {spent}",
        f"equal to the CPU: {good} of {len(checked)} comparisons; written to {out}",
    ]
    return "\n".join(lines)


def _milliseconds(seconds: list[float]) -> str:
    low, middle, high = (1e3 * one for one in seconds)
    return f"{middle:.3g} [{low:.3g}, {high:.3g}]"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in (head, *rows)
    )
