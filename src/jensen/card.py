"""The card of a run: what was fitted to what, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jensen.data.context import describe_context
from jensen.space import Space


def card_text(name: str, space: Space, record: Mapping[str, Any]) -> str:
    """A Markdown page from the record of a run."""
    data, run = record.get("data", {}), record.get("run", {})
    counts = ", ".join(f"{count} {part}" for part, count in data.get("counts", {}).items())
    settings = ", ".join(f"{key}={value}" for key, value in record["model"]["hyper"].items()) or "none"
    lines = [
        f"# {name}",
        "",
        f"- rows: {data.get('name', 'unknown')} ({space.describe()}), {counts}",
        f"- data hash: {data.get('hash', 'unknown')}, split seed {data.get('split_seed', 'unknown')}",
        f"- codec: {record['codec']['codec']}",
        *(f"- given: {text}, so that likelihoods are log p(row | context)" for text in _given(record)),
        f"- can: {', '.join(record['can'])}",
        f"- arguments: {settings}",
        f"- parameters: {record.get('parameters', 'unknown')}",
        f"- training: {run.get('steps', 0)} steps in {run.get('seconds', 0.0):.1f} s; {run.get('stopped', '')}",
        f"- seed: {record.get('seed', 'unknown')}; device: {record.get('device', 'unknown')}",
        f"- versions: {', '.join(f'{k} {v}' for k, v in record.get('versions', {}).items())}",
        "",
        *(f"Note: {note}" for note in data.get("notes", [])),
        "",
        "Load it with `jensen.load(folder)`; nothing in this folder is executed.",
        "",
    ]
    return "\n".join(lines)


def _given(record: Mapping[str, Any]) -> list[str]:
    """What a conditional model is conditioned on, at most one sentence."""
    codec = record.get("context_codec")
    return [] if codec is None else [describe_context(Space.from_dict(codec["space"]))]
