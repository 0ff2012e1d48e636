"""The text of carrel.toml to a Site, or all of its faults at once.

Used by every command. Looks at secret files only to say whether they can be read; never at values.
"""

from __future__ import annotations

import difflib
import os
import ssl
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from carrel.config import ai, schema, secrets
from carrel.config.fault import Fault
from carrel.core import network
from carrel.core.gateway import is_key
from carrel.core.site import (
    EVERYONE,
    SOFT_SHARE,
    About,
    AiMode,
    ImageRecipe,
    Language,
    Limits,
    Network,
    Password,
    PasswordHash,
    SecretFile,
    Site,
    Tls,
    TlsMode,
    User,
)
from carrel.errors import ConfigError

SECRET_SIZE = 65536
"""A file larger than this is not a password or a key."""


class Faulty(ConfigError):
    """A configuration with faults; all of them."""

    def __init__(self, file: Path, faults: tuple[Fault, ...]) -> None:
        count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"{file} has {count}. Nothing was changed.\n{lines}")
        self.faults = faults


def read(file: Path) -> str:
    """The text of the configuration file."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration at {file}.",
            fix="make one with `carrel init`, or name another with --config FILE",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read.", why=str(error)) from error


def load(file: Path) -> Site:
    """The Site that `file` describes; relative paths in it start from its directory."""
    return parse(read(file), file)


def declared(file: Path) -> Site:
    """Like `load`, without a look at the files with secrets: they need not be on this machine."""
    return _parse(read(file), file, lambda _document, _site: ())


def recalled(text: str, file: Path) -> Site:
    """The Site of a text that was valid once, without a look at the files that it names."""
    return _parse(text, file, lambda _document, _site: ())


def parse(text: str, file: Path) -> Site:
    """The Site of `text`; `file` is where the text comes from."""
    return _parse(text, file, _secret_faults)


def _parse(
    text: str,
    file: Path,
    more: typing.Callable[[schema.Document, Site], Iterable[Fault]],
) -> Site:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Faulty(file, (Fault("file", f"not TOML: {error}", "mend that line"),)) from error
    faults: list[Fault] = []
    document: schema.Document | None = None
    try:
        document = schema.Document.model_validate(data)
    except ValidationError as error:
        faults += [_fault(detail) for detail in error.errors(include_url=False)]  # type: ignore[arg-type]
    if document is not None:
        site = _site(document, file.resolve().parent)
        faults += [*_conflicts(document, site), *more(document, site)]
    if faults or document is None:
        raise Faulty(file, tuple(faults))
    return site


def check_user_name(name: str) -> None:
    """ConfigError if `name` could not be a user's."""
    try:
        schema.user_name(name)
    except PydanticCustomError as error:
        context = error.context or {}
        raise ConfigError(
            f"{context['reason']}. Nothing was changed.", fix=context["remedy"]
        ) from None


def json_schema() -> dict[str, object]:
    """JSON Schema of the configuration, with descriptions, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema.Document.model_json_schema(),
    }


def _fault(detail: dict[str, typing.Any]) -> Fault:
    where = [str(part) for part in detail["loc"] if part != "[key]"]
    path = ".".join(where) or "file"
    context = detail.get("ctx", {})
    match detail["type"]:
        case "carrel":
            return Fault(path, context["reason"], context["remedy"])
        case "extra_forbidden":
            return Fault(path, "unknown key", _did_you_mean(where))
        case "missing":
            return Fault(path, "missing", "add it; `carrel init --print` shows an example")
        case "literal_error":
            return Fault(path, f"not one of {context['expected']}", "choose one of these")
        case _:
            reason = detail["msg"][:1].lower() + detail["msg"][1:]
            return Fault(path, reason, "see `carrel config schema` for what is expected")


def _did_you_mean(where: list[str]) -> str:
    known = _keys_at(where[:-1])
    close = difflib.get_close_matches(where[-1], known, n=1)
    if close:
        return f'did you mean "{close[0]}"?'.rstrip("?") + "? Otherwise remove it"
    return f"remove it; known here: {', '.join(known)}"


def _keys_at(where: list[str]) -> list[str]:
    model: type[BaseModel] = schema.Document
    parts = iter(where)
    for part in parts:
        annotation = model.model_fields[part].annotation
        if typing.get_origin(annotation) is dict:
            annotation = typing.get_args(annotation)[1]
            next(parts, None)
        model = _model(annotation)
    return list(model.model_fields)


def _model(annotation: object) -> type[BaseModel]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(_model(arg) for arg in typing.get_args(annotation) if arg is not type(None))
    raise TypeError(f"no table: {annotation}")


def _site(document: schema.Document, folder: Path) -> Site:
    def absolute(path: str) -> str:
        return os.path.normpath(folder / path)

    def secret(path: str | None) -> SecretFile | None:
        return None if path is None else SecretFile(absolute(path))

    tls, image = document.tls, document.image
    everyone = _limits(document.limits, Limits())
    everyones = ai.limits(document.ai.limits, EVERYONE)
    return Site(
        domain=document.domain,
        # Adapters follow no symbolic links, so the operator's own are resolved here.
        storage=os.path.realpath(absolute(document.storage.base)),
        about=About(
            name=document.site.name,
            language=Language(document.site.language),
            contact=document.site.contact or "",
        ),
        tls=Tls(
            mode=TlsMode(tls.mode),
            email=tls.email or "",
            dns_provider=tls.dns_provider or "",
            credentials=secret(tls.credentials_file),
            server=tls.server,
            authority=absolute(tls.ca_file) if tls.ca_file else "",
            resolvers=tls.dns_resolvers,
            certificate=absolute(tls.certificate_file) if tls.certificate_file else "",
            key=secret(tls.key_file),
        ),
        image=ImageRecipe(
            base=image.base,
            languages=image.languages,
            packages=image.packages,
            extensions=tuple(
                absolute(item) if item.endswith(".vsix") else item for item in image.extensions
            ),
        ),
        network=Network(
            ca_file=absolute(document.network.ca_file) if document.network.ca_file else "",
            http_proxy=document.network.http_proxy or "",
            https_proxy=document.network.https_proxy or "",
            no_proxy=document.network.no_proxy,
        ),
        ai=ai.ai(document.ai, secret),
        local_port=document.local.port,
        users=tuple(
            User(
                name=name,
                password=_password(table, absolute),
                limits=_limits(table.limits, everyone),
                port=table.port,
                suspended=table.suspended,
                ai_token=table.ai_token,
                ai=ai.limits(table.ai, everyones),
                full_name=table.full_name or name,
                email=table.email or f"{name}@{document.domain}",
            )
            for name, table in document.users.items()
        ),
    )


def _limits(table: schema.LimitsTable, base: Limits) -> Limits:
    memory = table.memory or base.memory
    kept, of = SOFT_SHARE
    soft = table.memory_soft or (memory * kept // of if table.memory else base.memory_soft)
    return Limits(
        memory=memory,
        memory_soft=soft,
        cpus=table.cpus or base.cpus,
        processes=table.processes or base.processes,
    )


def _password(table: schema.UserTable, absolute: typing.Callable[[str], str]) -> Password:
    if table.password_hash is not None:
        return PasswordHash(table.password_hash)
    return SecretFile(absolute(table.password_file or ""))


def _conflicts(document: schema.Document, site: Site) -> Iterator[Fault]:
    ports: dict[int, str] = {site.local_port: "local.port"}
    if not schema.PATH.fullmatch(site.storage):
        yield Fault(
            "storage.base",
            f"{site.storage} has characters that podman or nginx would read as something else",
            "choose a directory without quotes, colons, commas, braces or wildcards in its path",
        )
    if document.limits.memory_soft is not None:
        yield from _soft_above_hard("limits", _limits(document.limits, Limits()))
    for user in site.users:
        where = f"users.{user.name}"
        table = document.users[user.name]
        if (table.password_file is None) == (table.password_hash is None):
            yield Fault(
                where,
                "needs exactly one of password_file and password_hash",
                f"`carrel user passwd {user.name}` writes a password file",
            )
        if table.limits.memory_soft is not None or table.limits.memory is not None:
            yield from _soft_above_hard(f"{where}.limits", user.limits)
        if user.port is not None:
            taken = ports.setdefault(user.port, f"{where}.port")
            if taken != f"{where}.port":
                yield Fault(f"{where}.port", f"{user.port} is already {taken}", "choose another")
    yield from _tls_conflicts(document.tls)
    yield from ai.faults(site.ai)


def _tls_conflicts(table: schema.TlsTable) -> Iterator[Fault]:
    needed = {
        "acme": {"email": "ops@example.org", "dns_provider": "vultr"},
        "files": {"certificate_file": "fullchain.pem", "key_file": "privkey.pem"},
    }
    for key, example in needed.get(table.mode, {}).items():
        if getattr(table, key) is None:
            yield Fault(
                f"tls.{key}", f'missing, but tls.mode is "{table.mode}"', f'add {key} = "{example}"'
            )


def _soft_above_hard(where: str, limits: Limits) -> Iterator[Fault]:
    if limits.memory_soft > limits.memory:
        yield Fault(
            f"{where}.memory_soft", "larger than memory, the hard limit", "lower it or raise memory"
        )


def _secret_faults(document: schema.Document, site: Site) -> Iterator[Fault]:
    references: list[tuple[str, SecretFile]] = [
        (f"users.{user.name}.password_file", user.password)
        for user in site.users
        if isinstance(user.password, SecretFile) and document.users[user.name].password_file
    ]
    for where, reference in references:
        fault = _secret_fault(where, reference.path)
        if fault is not None:
            yield fault
    yield from _key_faults(site)
    if site.network.ca_file:
        yield from _authority_faults("network.ca_file", site.network.ca_file)
    if site.tls.mode is TlsMode.ACME:
        yield from _acme_faults(site.tls)
    for item in site.image.extensions:
        if item.endswith(".vsix") and not Path(item).is_file():
            yield Fault("image.extensions", f"there is no file {item}", "check the path")


def _key_faults(site: Site) -> Iterator[Fault]:
    for provider in site.ai.providers:
        # The gateway does without a key that is not there yet, and says so to who asks for a model.
        later = site.ai.mode is AiMode.GATEWAY
        key = provider.api_key
        if site.ai.mode is AiMode.OFF or key is None or (later and not os.path.lexists(key.path)):
            continue
        where = f"ai.providers.{provider.name}.api_key_file"
        fault = _secret_fault(where, key.path) or _key_fault(where, key)
        if fault is not None:
            yield fault


def _key_fault(where: str, key: SecretFile) -> Fault | None:
    try:
        fits = is_key(secrets.value(key))
    except ConfigError:
        fits = False
    if fits:
        return None
    problem = f"{key.path} has characters that no key has"
    return Fault(where, problem, "keep only the key in it, on one line")


def _authority_faults(where: str, path: str) -> Iterator[Fault]:
    """Whether every program will take what is in the file for certificates."""
    try:
        text = Path(path).read_bytes().decode("ascii", errors="replace")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        yield Fault(where, f"{path} cannot be read: {reason}", "mend the path, or its mode")
        return
    found = network.certificates(text)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata="\n".join(found))
    except (ssl.SSLError, ValueError):
        yield Fault(
            where,
            f"{path} is no list of certificates in PEM",
            "`openssl x509 -inform DER -in FILE` turns a certificate of another form into it",
        )


def _acme_faults(tls: Tls) -> Iterator[Fault]:
    if tls.authority and not Path(tls.authority).is_file():
        yield Fault("tls.ca_file", f"there is no file {tls.authority}", "mend the path")
    if tls.credentials is None:
        return
    where, path = "tls.credentials_file", tls.credentials.path
    content = _content(where, path)
    if isinstance(content, Fault):
        yield content
        return
    try:
        secrets.variables(content.decode(errors="replace"))
    except ConfigError as error:
        yield Fault(where, f"{path}: {error.what.rstrip('.')}", "write one NAME=value per line")


def _secret_fault(where: str, path: str) -> Fault | None:
    content = _content(where, path)
    if isinstance(content, Fault):
        return content
    try:
        lines = content.decode().strip().splitlines()
    except UnicodeDecodeError:
        return Fault(where, f"{path} is not text in UTF-8", "keep only the secret in it")
    if b"\0" in content or len(lines) != 1:
        return Fault(where, f"{path} is not one line of text", "keep only the secret in it")
    return None


def _content(where: str, path: str) -> bytes | Fault:
    """What is in the file of a secret, or why it cannot be one."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return Fault(where, f"there is no file {path}", "make it, or mend the path")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Fault(where, f"{path} cannot be read: {reason}", "mend its owner and mode")
    if len(content) > SECRET_SIZE:
        return Fault(where, f"{path} is too large for a secret", "check the path")
    if not content.strip():
        return Fault(where, f"{path} is empty", "write the secret into it")
    return content
