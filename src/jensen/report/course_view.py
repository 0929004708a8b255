"""The course as its template wants it: chapters of claims, each with verdict, evidence, figures and the command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jensen.report.course_figures import draw_figure
from jensen.report.course_words import numbers_said
from jensen.report.words import listing

VERDICTS = {True: ("holds", "✓"), False: ("fails", "✗"), None: ("not decided", "?")}


def course_view(record: Mapping[str, Any], chapters: Mapping[str, str]) -> dict[str, Any]:
    """Everything the template prints."""
    claims = [_claim(claim) for claim in record["claims"]]
    grouped = [
        {"id": name, "title": title, "claims": [claim for claim in claims if claim["id"][0] == name]}
        for name, title in chapters.items()
    ]
    return {
        "summary": _summary(record["claims"]),
        "chapters": [chapter for chapter in grouped if chapter["claims"]],
        "seconds": sum(claim["seconds"] for claim in record["claims"]),
        "count": len(claims),
    }


def _summary(claims: list[Mapping[str, Any]]) -> str:
    by_answer = {
        answer: [claim["claim"] for claim in claims if claim["holds"] is answer] for answer in VERDICTS
    }
    if len(by_answer[True]) == len(claims):
        return (
            f"All {len(claims)} claims hold on this run."
            if len(claims) > 1
            else "The claim holds on this run."
        )
    parts = [f"{len(by_answer[True])} of {len(claims)} claims hold on this run"]
    parts += (
        [f"{listing(by_answer[False])} fail{'s' if len(by_answer[False]) == 1 else ''}"]
        if by_answer[False]
        else []
    )
    parts += [f"{listing(by_answer[None])} could not be decided by it"] if by_answer[None] else []
    return f"{'; '.join(parts)}."


def _claim(claim: Mapping[str, Any]) -> dict[str, Any]:
    word, mark = VERDICTS[claim["holds"]]
    evidence, name = claim["evidence"], claim["claim"]
    seed = f" --seed {claim['seed']}" if claim["seed"] else ""
    return {
        "id": name,
        "statement": claim["statement"],
        "word": word,
        "mark": mark,
        "summary": evidence["summary"],
        "findings": [_finding(finding) for finding in evidence["findings"]],
        "figures": [
            draw_figure(figure, f"{name.lower()}-{number}")
            for number, figure in enumerate(evidence["figures"])
        ],
        "command": f"jensen course {name.lower()}{seed}",
        "seconds": f"{claim['seconds']:.1f}",
    }


def _finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    word, mark = VERDICTS[finding["holds"]]
    return {"what": finding["what"], "word": word, "mark": mark, "numbers": numbers_said(finding["numbers"])}
