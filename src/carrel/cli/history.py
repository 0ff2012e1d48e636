"""`carrel log`: who changed what, and when."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from carrel.cli import console
from carrel.cli.options import config_option, json_option
from carrel.operations import audit
from carrel.operations.site import target_at

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(_context: click.Context | None, _option: click.Parameter | None, said: str) -> float:
    """Seconds since 1970 for a day (2026-11-28), a moment (2026-11-28T14:30), both UTC, or how long ago.

    That is 30m, 12h, 7d, 2w.
    """
    try:
        ago = re.fullmatch(r"(\d+)([mhdw])", said)
        if ago:
            return time.time() - timedelta(**{UNITS[ago[2]]: int(ago[1])}).total_seconds()
        found = datetime.fromisoformat(said)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{said!r} is neither a day like 2026-11-28 nor a time like 7d"
        ) from error


@click.command()
@config_option
@click.option("--user", default="", metavar="NAME", help="Only what was done to NAME, or by NAME.")
@click.option(
    "--since",
    default="1970-01-01",
    callback=moment,
    metavar="WHEN",
    help="Only since then: 2026-11-28, or 30m, 12h, 7d, 2w ago.",
)
@json_option
def log(file: Path, user: str, since: float, *, as_json: bool) -> None:
    """Who did what to this site, the oldest first: every command that changed something."""
    found = audit.read(target_at(file, console.note), user=user, since=since)
    if as_json:
        console.result_json([{**asdict(event), "at": _written(event.at)} for event in found])
        return
    if not found:
        console.note("Nothing was done that the log knows of.")
        return
    console.table(
        ["WHEN (UTC)", "WHO", "WHAT", "WHOM", "ABOUT"],
        [(_written(e.at)[:19].replace("T", " "), e.who, e.did, e.user, e.about) for e in found],
    )


def _written(at: float) -> str:
    """RFC 3339, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
