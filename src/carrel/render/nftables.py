"""What workspaces cannot reach, as rules for nft(8).

A container's connections are made on the host by pasta, as the user's account: the account's id says
whose they are. A table of our own: the operator's rules stay as they are, and go first or last.
"""

from __future__ import annotations

from collections.abc import Iterable

from carrel.core import metadata

LINK_LOCAL = ("169.254.0.0/16", "fe80::/10")
"""Addresses of the own network segment; clouds put their metadata there."""


def rules(accounts: Iterable[int]) -> str:
    """The whole file; loading it again replaces the rules in one step."""
    ids = ", ".join(map(str, sorted(accounts)))
    elements = f"\n        elements = {{ {ids} }}" if ids else ""
    return f"""\
# Made by Carrel; changes are overwritten.
table inet carrel
delete table inet carrel
table inet carrel {{
    set workspaces {{
        typeof meta skuid{elements}
    }}

    chain output {{
        type filter hook output priority filter; policy accept;
        meta skuid @workspaces jump confined
    }}

    chain confined {{
        # Names are looked up by the host's own resolver, wherever it listens.
        meta l4proto {{ tcp, udp }} th dport 53 accept
        # The machine itself: what it serves on loopback, and on any of its addresses.
        fib daddr type local counter reject
        ip daddr {{ {LINK_LOCAL[0]}, {", ".join(metadata.V4)} }} counter reject
        ip6 daddr {{ {LINK_LOCAL[1]}, {metadata.V6} }} counter reject
    }}
}}
"""
