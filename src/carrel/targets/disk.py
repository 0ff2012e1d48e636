"""Things that every machine has, observed and made: accounts, directories, files, secrets, certificates.

Used by the backends that live on a machine. Only what a State records is ever looked at.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from carrel.adapters import accounts, certificates, files
from carrel.adapters.certificates import Pair
from carrel.adapters.files import Found
from carrel.adapters.process import Identity
from carrel.config import secrets
from carrel.core import certificate as rules
from carrel.core.resources import Account, Bundle, Certificate, Directory, File, Resource, Secret

RENEW_DAYS = 30
"""A certificate of the local authority is replaced when it has fewer days left."""

Thing = Account | Directory | File | Secret | Certificate


def seen(thing: Thing) -> Thing | None:
    """`thing` as it is now, or None if it is not there."""
    match thing:
        case Account():
            return _seen_account(thing)
        case Directory():
            return _seen_directory(thing)
        case File():
            return _seen_file(thing)
        case Secret():
            return _seen_secret(thing)
        case Certificate():
            return _seen_certificate(thing)


def _seen_account(account: Account) -> Account | None:
    if not accounts.exists(account.name):
        return None
    now = replace(account, subordinate_ids=accounts.subordinate_ids(account.name))
    if account.uid is None:
        return now
    return replace(
        now,
        uid=Identity.of(account.name).uid,
        first_subordinate_id=accounts.spans(account.name).first,
    )


def _seen_directory(directory: Directory) -> Directory | None:
    found = files.look(directory.path)
    if found is None or not found.directory:
        return None
    return replace(directory, mode=found.mode, owner=_owner(found, directory.owner))


def _seen_file(file: File) -> File | None:
    found = files.look(file.path)
    if found is None or found.directory:
        return None
    content = files.text(file.path) or ""
    return replace(file, mode=found.mode, owner=_owner(found, file.owner), content=content)


def _seen_secret(secret: Secret) -> Secret | None:
    found = files.look(secret.path)
    if found is None or found.directory:
        return None
    now = replace(secret, owner=_owner(found, secret.owner))
    lines = (files.text(secret.path) or "").splitlines()
    if [line.partition("=")[0] for line in lines] != [entry.variable for entry in secret.entries]:
        return replace(now, fingerprint=GARBLED)
    return now if found.mode == SECRET_MODE else replace(now, fingerprint=EXPOSED)


def _owner(found: Found, expected: str) -> str:
    with contextlib.suppress(KeyError):
        if Identity.of(expected).uid == found.uid:
            return expected
    return f"uid {found.uid}"


def _seen_certificate(certificate: Certificate) -> Certificate | None:
    if _certificate_holds(certificate):
        return certificate
    there = any(files.look(path) for path in _certificate_files(certificate))
    return replace(certificate, names=()) if there else None


def _certificate_files(certificate: Certificate) -> tuple[str, ...]:
    parts = ("site.crt", "site.key", "authority.crt", "authority.key")
    return (certificate.public_copy, *(f"{certificate.directory}/{part}" for part in parts))


def _certificate_holds(certificate: Certificate) -> bool:
    folder = certificate.directory
    chain, authority = _own(f"{folder}/site.crt"), _own(f"{folder}/authority.crt")
    # The account serves it, and may have it.
    key = files.text(f"{folder}/site.key")
    if chain is None or key is None or authority is None:
        return False
    facts = certificates.facts(chain, key)
    if facts is None or not facts.key_fits or files.text(certificate.public_copy) != authority:
        return False
    return facts.names == certificate.names and certificates.days_left(chain) > RENEW_DAYS


def _own(path: str) -> str | None:
    """The text of a file, if nobody but us could have made it: people trust what we sign."""
    return None if files.foreign(path) else files.text(path)


def seen_bundle(bundle: Bundle) -> Bundle | None:
    """`bundle` as it is now; its dates are the business of the unit that renews it."""
    text = files.text(bundle.path)
    if text is None:
        return None
    facts = certificates.facts(text, text)
    usable = facts is not None and facts.key_fits and rules.covers(facts.names, bundle.names)
    return bundle if usable else replace(bundle, names=())


SECRET_MODE = 0o600
EXPOSED = "not private"
"""The fingerprint of a secret whose file has another mode."""
GARBLED = "not as written"
"""That of one whose file lacks a variable, or has another."""


def make(thing: Thing) -> None:
    """Bring `thing` about, whatever of it is there already."""
    match thing:
        case Account():
            _make_account(thing)
        case Directory():
            _make_directory(thing)
        case File():
            files.write(thing.path, thing.content, Identity.of(thing.owner), thing.mode)
        case Secret():
            existing = files.text(thing.path) or ""
            content = secrets.environment_file(thing.entries, existing)
            files.write(thing.path, content, Identity.of(thing.owner), SECRET_MODE)
        case Certificate():
            _make_certificate(thing)


def unmade(before: Resource, after: Resource) -> Resource:
    """`after` without the skeleton that `before` has already: it is the user's by now."""
    if isinstance(before, Directory) and isinstance(after, Directory):
        return replace(after, skeleton=() if before.skeleton == after.skeleton else after.skeleton)
    return after


def _make_account(account: Account) -> None:
    if not accounts.exists(account.name):
        accounts.create(account.name, account.home, account.uid)
    few = accounts.subordinate_ids(account.name) < account.subordinate_ids
    first = account.first_subordinate_id
    if few or (first is not None and accounts.spans(account.name).first != first):
        accounts.add_subordinate_ids(
            account.name, account.subordinate_ids, account.first_subordinate_id
        )


def _make_directory(directory: Directory) -> None:
    owner = Identity.of(directory.owner)
    files.make_directory(directory.path, owner, directory.mode)
    for part in directory.skeleton:
        path = directory.path
        for name in part.split("/"):
            path = f"{path}/{name}"
            files.make_directory(path, owner, directory.mode)


def _make_certificate(certificate: Certificate) -> None:
    folder, owner, ours = certificate.directory, Identity.of(certificate.owner), Identity.ours()
    domain = certificate.names[0]
    stored = (_own(f"{folder}/authority.crt"), _own(f"{folder}/authority.key"))
    authority = Pair(*map(str, stored)) if all(stored) else certificates.authority(domain)
    usable = certificates.fits(authority.certificate, authority.key)
    if not usable or certificates.permitted(authority.certificate) != (domain,):
        authority = certificates.authority(domain)
    signed = certificates.site(certificate.names, authority)
    files.write(f"{folder}/authority.key", authority.key, ours, 0o600)
    files.write(f"{folder}/authority.crt", authority.certificate, ours, 0o644)
    files.write(f"{folder}/site.key", signed.key, owner, 0o600)
    files.write(f"{folder}/site.crt", signed.certificate, ours, 0o644)
    files.write(certificate.public_copy, authority.certificate, ours, 0o644)


def remove_certificate(certificate: Certificate | Bundle) -> None:
    """Remove a certificate and its key, with its authority, or with what its unit kept for it."""
    if isinstance(certificate, Bundle):
        if certificate.folder:
            files.remove_tree(certificate.folder)
        # At the end: as long as it is there, the journal knows of both.
        files.remove_file(certificate.path)
        return
    for path in _certificate_files(certificate):
        files.remove_file(path)
