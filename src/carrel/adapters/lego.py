"""lego: gets a certificate by ACME with a DNS challenge. Keeps its account and results in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from carrel.adapters import process
from carrel.adapters.process import World
from carrel.core import certificate as rules
from carrel.errors import ToolFailed

PATH = "/usr/local/bin:/usr/bin:/bin"
SECONDS = 3500
"""Less than systemd gives the unit, so that it is we who say what happened."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to ask for, of whom, and how to prove that the names are ours.

    `resolvers`: who is asked whether the record is there, and nobody else; empty: the name servers
    of the zone. `authority`: a PEM file to trust instead of the world's authorities, or empty.
    """

    names: tuple[str, ...]
    server: str
    email: str
    provider: str
    resolvers: tuple[str, ...] = ()
    authority: str = ""
    way_out: tuple[tuple[str, str], ...] = ()
    """Variables: whose certificates to trust, and the proxy."""


def files(folder: str, name: str) -> tuple[str, str]:
    """Where the chain and the key of a certificate are that was got; `name` is its first."""
    return (f"{folder}/certificates/{name}.crt", f"{folder}/certificates/{name}.key")


def order(wish: Wish, folder: str, credentials: Mapping[str, str]) -> None:
    """Get a new certificate with a new key; makes an account if there is none in `folder`.

    Raises ToolFailed with what lego and the authority said, in words; what is in `folder` stays.
    """
    resolvers = [f"--dns.resolvers={address}" for address in wish.resolvers]
    if resolvers:
        resolvers.append("--dns.disable-cp")
    result = process.run(
        ["lego", "--accept-tos", "--key-type=ec256", f"--path={folder}", f"--server={wish.server}",
         f"--email={wish.email}", f"--dns={wish.provider}", *resolvers,
         *(f"--domains={name}" for name in wish.names), "run"],
        World(_environment(wish, folder, credentials), directory=folder),
        statuses=None,
        seconds=SECONDS,
    )  # fmt: skip
    if result.status != 0:
        raise _failure(wish, result.output + result.errors)


def _environment(wish: Wish, folder: str, credentials: Mapping[str, str]) -> Mapping[str, str]:
    trust = {"LEGO_CA_CERTIFICATES": wish.authority} if wish.authority else {}
    return {"PATH": PATH, "HOME": str(Path(folder)), **dict(wish.way_out), **trust, **credentials}


def _failure(wish: Wish, output: str) -> ToolFailed:
    cause = rules.cause(output)
    said = "\n  ".join(rules.last_words(output))
    return ToolFailed(
        f"There is no new certificate for {wish.names[0]}: {cause.why}.",
        why=f"lego said:\n  {said}" if said else "lego said nothing",
        fix=cause.fix,
    )
