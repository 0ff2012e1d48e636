"""Whether the machine has the kernel, tools and devices that Carrel needs."""

from __future__ import annotations

from collections.abc import Iterator

from carrel.config.exposure import exposed
from carrel.doctor.finding import Finding, ill, skipped, well
from carrel.doctor.subject import Subject


def check(subject: Subject) -> Iterator[Finding]:
    """What `up` or `apply` would refuse to start without; it raises the first that is missing."""
    opened = subject.opened
    opened.target.facts.check(opened.site, opened.machine)
    found = subject.look.versions().items()
    yield well("kernel and tools: " + ", ".join(f"{name} {version}" for name, version in found))
    for shortfall in opened.target.facts.shortfalls(opened.site, opened.machine):
        yield skipped(shortfall.problem, why=f"what holds instead: {shortfall.fallback}")
    for secret in exposed(opened.site, opened.target.config):
        yield ill(
            secret.problem,
            why="of its mode, and those of the directories above",
            fix=secret.fallback,
        )
