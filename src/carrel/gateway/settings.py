"""Reads gateway.json and the secrets file, and says when they changed.

Used by the gateway's daemon. Accepts exactly what render.gateway writes: a missing or an unknown key
is a fault.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import types
import typing
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from carrel.core.gateway import STAND_IN, Gateway, Person, Upstream, is_key
from carrel.core.network import proxy_for
from carrel.core.site import Network
from carrel.gateway import wire
from carrel.gateway.usage import Kind

Mark = tuple[int, int, int] | None
"""What tells one version of a file from another; None if there is no file."""


class Invalid(ValueError):
    """A file cannot be used; the text says which and why, and never what is in it."""


@dataclass(frozen=True, slots=True)
class Known:
    """All that the gateway goes by at one moment. Secrets do not show in its repr."""

    settings: Gateway
    people: dict[str, Person]
    providers: dict[str, Upstream]
    routes: dict[tuple[str, str], wire.Route]
    urls: dict[tuple[str, Kind], URL]
    proxies: dict[str, str]
    secrets: dict[str, str] = dataclasses.field(repr=False)

    @staticmethod
    def of(settings: Gateway, secrets: dict[str, str]) -> Known:
        """Look-up tables of `settings`, made once."""
        providers = {provider.name: provider for provider in settings.providers}
        return Known(
            settings=settings,
            people={person.name: person for person in settings.people},
            providers=providers,
            # Also when there are providers: sessions that were begun before ask there.
            routes=wire.routes((*providers, STAND_IN)),
            urls={
                (provider.name, kind): URL(f"{provider.base_url}/{kind}", encoded=True)
                for provider in settings.providers
                for kind in Kind
                if wire.wire_of(kind) is provider.wire
            },
            proxies={
                provider.name: _proxy(settings.network, URL(provider.base_url))
                for provider in settings.providers
            },
            secrets=secrets,
        )

    def key(self, provider: Upstream) -> str:
        """The provider's key; empty if there is none."""
        return self.secrets.get(provider.key_variable, "")

    def usable(self, provider: Upstream) -> bool:
        """Whether the provider can be asked at all."""
        return not provider.needs_key or bool(self.key(provider))


def _proxy(network: Network, url: URL) -> str:
    return proxy_for(network, url.scheme, url.host or "")


def mark(path: str) -> Mark:
    """The version of the file at `path`."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def read(file: str) -> Gateway:
    """What gateway.json says. Raises `Invalid`."""
    try:
        value = json.loads(Path(file).read_bytes().decode())
        settings = _value(Gateway, value, "")
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{file} is not valid: {error}") from None
    assert isinstance(settings, Gateway)  # noqa: S101 - for the type checker
    return settings


def read_secrets(file: str) -> dict[str, str]:
    """The lines of the secrets file; an empty value is none. Raises `Invalid`."""
    try:
        text = Path(file).read_bytes().decode()
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Invalid(f"{file} is not text") from None
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.partition("=")
        if not equals or not name.isidentifier():
            raise Invalid(f"{file} is not valid: line {number} is not VARIABLE=value")
        if not is_key(value):
            raise Invalid(f"{file} is not valid: {name} has a character that no header may have")
        if value:
            found[name] = value
    return found


def _value(wanted: object, value: object, where: str) -> object:
    """`value` as the annotation `wanted` has it; ValueError with its place if it is something else."""
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(wanted) if option is not type(None)]
        return None if value is None else _value(options[0], value, where)
    if origin is tuple:
        return _tuple(typing.get_args(wanted), value, where)
    if isinstance(wanted, type):
        if dataclasses.is_dataclass(wanted):
            return _dataclass(wanted, value, where)
        if issubclass(wanted, enum.StrEnum):
            return wanted(str(_value(str, value, where)))
        # bool is an int to Python, and not to us.
        if type(value) is wanted:
            return value
    raise ValueError(f"{where or 'it'} is not what is expected")


def _tuple(kinds: tuple[object, ...], value: object, where: str) -> object:
    if not isinstance(value, list):
        raise ValueError(f"{where} is not a list")  # noqa: TRY004 - one kind of error for a reader
    if kinds[-1] is Ellipsis:
        return tuple(_value(kinds[0], item, f"{where}[{n}]") for n, item in enumerate(value))
    if len(value) != len(kinds):
        raise ValueError(f"{where} has {len(value)} items instead of {len(kinds)}")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_value(kind, item, f"{where}[{n}]") for n, (kind, item) in pairs)


def _dataclass(wanted: type, value: object, where: str) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"{where or 'it'} is not an object")  # noqa: TRY004
    kinds = typing.get_type_hints(wanted)
    if different := sorted(kinds.keys() ^ value.keys()):
        raise ValueError(f"{where}.{different[0]} is missing or unknown".lstrip("."))
    return wanted(
        **{key: _value(kinds[key], value[key], f"{where}.{key}".lstrip(".")) for key in kinds}
    )


class Watched:
    """gateway.json and its secrets file, read again when one of them changed."""

    def __init__(self, file: str) -> None:
        self._file = os.path.realpath(file)
        settings = read(self._file)
        self._marks = self._looked(settings)
        self.known = Known.of(settings, _secrets(settings.secrets, {}))

    def refresh(self) -> bool:
        """Take up what changed; whether anything did. Raises `Invalid` once, and keeps what was."""
        marks = self._looked(self.known.settings)
        if marks == self._marks:
            return False
        self._marks = marks
        settings = read(self._file)
        self.known = Known.of(settings, _secrets(settings.secrets, self.known.secrets))
        self._marks = (marks[0], *self._looked(settings)[1:])
        return True

    def _looked(self, settings: Gateway) -> tuple[Mark, ...]:
        return mark(self._file), mark(settings.secrets), mark(settings.network.ca_file)


def _secrets(file: str, before: dict[str, str]) -> dict[str, str]:
    """No file is no secrets yet; but a file that vanished is a fault, not a change."""
    return {} if mark(file) is None and not before else read_secrets(file)
