"""The page of an audit: verdicts, what one place sees, the blind spot, and the exact parallel steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from jensen._version import __version__
from jensen.checks.verdict import Verdict
from jensen.errors import Cannot
from jensen.functional.site_links import SiteLinks
from jensen.report.audit_view import audit_view
from jensen.report.shell import fill
from jensen.report.written import check_free, write_whole


def write_audit(
    path: str | Path,
    title: str,
    command: str,
    verdicts: Sequence[Verdict],
    links: SiteLinks | Cannot,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the page of an audit to `path` and return it.

    `links`: what `site_links` found, or why it could not. The file fetches nothing, follows the reader's light or
    dark theme, and holds the verdicts as JSON. Raises OutputError when `path` exists and `overwrite` is not given, or
    cannot be written: then no part of a file is left.
    """
    target = Path(path)
    check_free(target, overwrite)
    text = render_audit(title, command, verdicts, links)
    write_whole(target, text.encode("utf-8", errors="xmlcharrefreplace"))
    return target


def render_audit(title: str, command: str, verdicts: Sequence[Verdict], links: SiteLinks | Cannot) -> str:
    """The page as text."""
    record = {
        "jensen": __version__,
        "title": title,
        "command": command,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "audit": [verdict.to_dict() for verdict in verdicts],
        "receptive_field": None if isinstance(links, Cannot) else links.to_dict(),
    }
    return fill("audit.html", record, lambda: audit_view(record, links))
