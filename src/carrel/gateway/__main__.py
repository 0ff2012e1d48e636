"""Starts the gateway: `python -m carrel.gateway FILE [--account NAME]`.

With --account, root starts it: everything it will ever import is imported and the authorities of TLS
are read, then it becomes that account, and only then opens its first file. The account need not be
able to read our code.
"""

from __future__ import annotations

import argparse
import encodings.idna  # noqa: F401 - host names are looked up with it
import gc
import logging
import os
import pwd
import ssl
import sys

import uvloop

from carrel.gateway.daemon import Daemon, allow_many_files
from carrel.gateway.scanner import Keeper
from carrel.gateway.settings import Invalid, Watched


def main() -> int:
    """Exit status 0 after SIGTERM or SIGINT, 1 if it cannot go on, 2 if the settings cannot be used."""
    parser = argparse.ArgumentParser(prog="carrel.gateway", allow_abbrev=False)
    parser.add_argument("file", help="gateway.json")
    parser.add_argument("--account", help="become this account first (root only)")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    # It would write what somebody sends that is no HTTP; faults of ours are told by `admission`.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    trust = ssl.create_default_context()
    allow_many_files()
    if arguments.account:
        become(arguments.account)
    os.umask(0o077)
    try:
        watched = Watched(arguments.file)
    except Invalid as error:
        logging.getLogger("carrel.gateway").critical("%s", error)
        return 2
    # What was imported stays; there is no need to look through it again and again.
    gc.collect()
    gc.freeze()
    keeper = Keeper.start()
    return 0 if uvloop.run(_serve(watched, trust, keeper)) else 1


def become(account: str) -> None:
    """Be this account and nobody else, for good."""
    entry = pwd.getpwnam(account)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


async def _serve(watched: Watched, trust: ssl.SSLContext, keeper: Keeper) -> bool:
    return await Daemon(watched, trust, keeper).run()


if __name__ == "__main__":
    sys.exit(main())
