"""`carrel ai`: what the AI gateway counted, and who has how much left."""

from __future__ import annotations

import datetime
from dataclasses import asdict
from pathlib import Path

import click

from carrel.adapters.books import By, Sum
from carrel.cli import console
from carrel.cli.ai_keys import key
from carrel.cli.options import config_option, json_option, target_option
from carrel.config import load
from carrel.core.prices import NANO, dollars
from carrel.operations import ai as verbs
from carrel.operations.ai import SpendingReport
from carrel.operations.site import TargetKind, target_at

BAR = 24
"""Columns of the longest bar."""


@click.group()
def ai() -> None:
    """Connect AI providers; see what was used and what is left."""


ai.add_command(key)


@ai.command()
@config_option
@target_option
@click.option("--user", metavar="NAME", help="Only what this person used.")
@click.option(
    "--by",
    type=click.Choice([by.value for by in By]),
    default=By.DAY.value,
    show_default=True,
    help="What to add up by.",
)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    help="From this day on (UTC), like 2026-11-01. Default: everything.",
)
@json_option
def usage(
    file: Path,
    target: TargetKind | None,
    user: str | None,
    by: str,
    since: datetime.datetime | None,
    *,
    as_json: bool,
) -> None:
    """Show requests, tokens and money. Reads the books; the gateway may be running or not."""
    start = since.replace(tzinfo=datetime.UTC).timestamp() if since else 0
    found = verbs.usage(target_at(file, console.note, target), By(by), since=start, user=user)
    if as_json:
        console.result_json([_plain(one, by) for one in found])
        return
    if not found:
        console.note("Nothing was used yet.")
        return
    most = max(one.cost for one in found) or 1
    console.table(
        [by.upper(), "REQUESTS", "TOKENS IN", "OUT", "CACHED", "COST", ""],
        [
            (
                one.group or "(none)",
                f"{one.requests:,}",
                f"{one.tokens_in:,}",
                f"{one.tokens_out:,}",
                f"{one.tokens_cached:,}",
                dollars(one.cost),
                "█" * -(-one.cost * BAR // most),
            )
            for one in found
        ],
    )
    _remarks(found)


def _plain(one: Sum, by: str) -> dict[str, object]:
    found = asdict(one)
    return {by: found.pop("group"), **found, "cost": one.cost / NANO, "currency": "USD"}


def _remarks(found: tuple[Sum, ...]) -> None:
    total = sum(one.cost for one in found)
    console.note(f"Together {dollars(total)} for {sum(one.requests for one in found):,} requests.")
    if guessed := sum(one.estimated for one in found):
        console.note(
            f"{guessed:,} of them are estimated: they were cut short, or the provider told no figures."
        )


@ai.command()
@config_option
@target_option
@json_option
def budget(file: Path, target: TargetKind | None, *, as_json: bool) -> None:
    """Show what everybody has left today and this month (UTC)."""
    site = load.load(file)
    found = verbs.budget(target_at(file, console.note, target), site)
    if as_json:
        console.result_json([_standing(one) for one in found])
        return
    console.table(
        ["USER", "TODAY", "LEFT", "THIS MONTH", "LEFT", "TOKENS TODAY", "LEFT"],
        [
            (
                one.user or "all together",
                dollars(one.money_today),
                _amount(one.left_today, one.limits.money_per_day),
                dollars(one.money_month),
                _amount(one.left_month, one.limits.money_per_month),
                f"{one.tokens_today:,}",
                "no limit" if one.left_tokens is None else f"{one.left_tokens:,}",
            )
            for one in found
        ],
    )


def _amount(left: int | None, limit: int | None) -> str:
    return "no limit" if left is None or limit is None else f"{dollars(left)} of {dollars(limit)}"


def _standing(one: SpendingReport) -> dict[str, object]:
    def money(nano: int | None) -> float | None:
        return None if nano is None else nano / NANO

    return {
        "user": one.user or None,
        "currency": "USD",
        "spent_today": money(one.money_today),
        "spent_month": money(one.money_month),
        "tokens_today": one.tokens_today,
        "left_today": money(one.left_today),
        "left_month": money(one.left_month),
        "left_tokens": one.left_tokens,
    }
