"""What carrel-certificate.service runs: `order` under an account of its own, then `install` as root.

systemd starts it, with everything in its arguments and $CREDENTIALS_DIRECTORY; it reads no
configuration, so a mistake in a draft of one stops no renewal.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from carrel.adapters import space
from carrel.adapters.lego import Wish
from carrel.config import secrets
from carrel.errors import CarrelError
from carrel.operations import certificate
from carrel.operations.certificate import Offer
from carrel.render.renewal import AUTHORITY, CREDENTIALS, WAY_OUT


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say; the exit status. Everything it says goes to the journal."""
    options = _parser().parse_args(arguments)
    try:
        if options.verb == "order":
            _order(options)
        else:
            _install(options)
    except (CarrelError, OSError) as error:
        told = space.told(error) or error
        if isinstance(told, CarrelError):
            _say(str(told))
            return told.exit_code
        _say(f"The operating system refused something: {told}")
        return CarrelError.exit_code
    return 0


def _order(options: argparse.Namespace) -> None:
    credentials = _credential(CREDENTIALS)
    authority = _credential(AUTHORITY)
    wish = Wish(
        names=tuple(options.name),
        server=options.server,
        email=options.email,
        provider=options.provider,
        resolvers=tuple(options.resolver),
        authority=str(authority) if authority.is_file() else "",
        way_out=tuple((name, os.environ[name]) for name in WAY_OUT if name in os.environ),
    )
    text = credentials.read_text(errors="replace") if credentials.is_file() else ""
    certificate.order(wish, options.folder, secrets.variables(text), _say)


def _install(options: argparse.Namespace) -> None:
    offer = Offer(
        names=tuple(options.name),
        chain=options.chain,
        key=options.key,
        bundle=options.bundle,
        include=options.include,
        links=options.links,
    )
    certificate.install(offer, _say)


def _credential(name: str) -> Path:
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere")) / name


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="carrel-certificate", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    order = verbs.add_parser("order")
    install = verbs.add_parser("install")
    for verb in (order, install):
        verb.add_argument("--name", action="append", required=True)
    for option in ("--folder", "--server", "--email", "--provider"):
        order.add_argument(option, required=True)
    order.add_argument("--resolver", action="append", default=[])
    for option in ("--chain", "--key", "--bundle", "--include"):
        install.add_argument(option, required=True)
    install.add_argument("--links", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
