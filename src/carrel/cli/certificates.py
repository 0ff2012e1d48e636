"""`carrel certificate`: how the site's certificate is, and another one at once."""

from __future__ import annotations

import datetime
import sys
from dataclasses import asdict
from pathlib import Path

import click

from carrel.cli import console
from carrel.cli.options import config_option, json_option
from carrel.errors import NotReady
from carrel.operations import certificate as verbs
from carrel.operations.certificate import CertificateReport
from carrel.operations.site import Opened, editable


@click.group()
def certificate() -> None:
    """Look at the site's certificate, and renew it."""


@certificate.command()
@config_option
@json_option
def show(file: Path, *, as_json: bool) -> None:
    """Show for which names the certificate is, until when, and when it is renewed."""
    found = verbs.standing(Opened.to_read(file, console.note))
    if as_json:
        console.result_json(asdict(found))
    else:
        console.result(line(found))
        if found.concern:
            console.warning(found.concern)
    if found.concern:
        sys.exit(NotReady.exit_code)


@certificate.command()
@config_option
def renew(file: Path) -> None:
    """Ask for another certificate at once, and install it. Nobody's connection is closed."""
    story = console.Story()
    opened = Opened.of(editable(file, story.say))
    story.say("asking for a certificate, and waiting until the DNS record is seen")
    verbs.renew(opened)
    console.result(line(verbs.standing(opened)))


def line(found: CertificateReport) -> str:
    """One line about a certificate."""
    if found.ends is None:
        return f"{found.source}: none"
    renewal = f", renewed from {_date(found.renewal)}" if found.renewal is not None else ""
    return f"{found.source}: {', '.join(found.names)}; ends {_date(found.ends)}{renewal}"


def _date(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
