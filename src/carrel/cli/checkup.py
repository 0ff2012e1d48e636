"""`carrel doctor`: goes the way that a browser goes, and says what is wrong and what helps."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from carrel.cli import console
from carrel.cli.options import config_option, json_option
from carrel.doctor.finding import Finding, Verdict
from carrel.doctor.subject import Instruments, Subject
from carrel.doctor.walk import walk
from carrel.errors import Unwell
from carrel.operations.site import Opened


@click.command()
@config_option
@json_option
def doctor(file: Path, *, as_json: bool) -> None:
    """Check the way from a browser to each workspace, and the machine. Changes nothing.

    Exit code 8 if something needs mending. What could not be looked at is said, and is no failure.
    """
    subject = Subject(Opened.to_read(file, console.note), Instruments())
    found = []
    for check, finding in walk(subject):
        found.append((check, finding))
        if not as_json:
            _tell(check, finding)
    healthy = all(finding.verdict is not Verdict.ILL for _, finding in found)
    if as_json:
        findings = [{"check": check, **asdict(finding)} for check, finding in found]
        console.result_json({"healthy": healthy, "findings": findings})
    elif healthy:
        console.result("Nothing needs mending.")
    if not healthy:
        sys.exit(Unwell.exit_code)


def _tell(check: str, finding: Finding) -> None:
    console.result(f"{finding.verdict:8}{check:12}{finding.what}")
    for word, text in (("Why", finding.why), ("Fix", finding.fix)):
        if text:
            console.result(f"{'':20}{word}: {text}")
