"""The local certificate authority, the certificates it signs, and what any certificate says.

The authority may only vouch for the site's own domain (RFC 5280, 4.2.1.10), so that trusting it puts
nothing else at risk.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from carrel.core.certificate import CertificateFacts

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
"""Browsers refuse certificates that live longer than 398 days."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str

    def __repr__(self) -> str:
        return "Pair(…)"


def authority(domain: str) -> Pair:
    """A new authority for `domain` and the names below it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Carrel authority for {domain}")])
    certificate = (
        _builder(name, name, key, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.NameConstraints(permitted_subtrees=[x509.DNSName(domain)], excluded_subtrees=None),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def site(names: tuple[str, ...], signer: Pair) -> Pair:
    """A certificate for `names`, signed by `signer`; the chain is part of it."""
    parent = x509.load_pem_x509_certificate(signer.certificate.encode())
    parent_key = serialization.load_pem_private_key(signer.key.encode(), None)
    assert isinstance(parent_key, ec.EllipticCurvePrivateKey)  # noqa: S101 - we made it
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        _builder(subject, parent.subject, key, CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(parent_key.public_key()),
            critical=False,
        )
        .sign(parent_key, hashes.SHA256())
    )
    pair = _pair(certificate, key)
    return Pair(pair.certificate + signer.certificate, pair.key)


def names_of(certificate: str) -> tuple[str, ...]:
    """The DNS names that the first certificate in a PEM text is for."""
    found = x509.load_pem_x509_certificate(certificate.encode())
    extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return tuple(extension.value.get_values_for_type(x509.DNSName))


def fits(certificate: str, key: str) -> bool:
    """Whether a private key is that of the first certificate in a PEM text."""
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
        private = serialization.load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError):
        # TypeError: the key has a password.
        return False
    return private.public_key() == found.public_key()


def facts(chain: str, key: str) -> CertificateFacts | None:
    """What the first certificate in a PEM text says, with the key that belongs to it or not.

    None when it is no certificate.
    """
    try:
        found = x509.load_pem_x509_certificate(chain.encode())
    except ValueError:
        return None
    try:
        names = names_of(chain)
    except x509.ExtensionNotFound:
        names = ()
    return CertificateFacts(
        names=names,
        begins=found.not_valid_before_utc.timestamp(),
        ends=found.not_valid_after_utc.timestamp(),
        key_fits=fits(chain, key),
        fingerprint=found.fingerprint(hashes.SHA256()).hex(),
    )


def permitted(certificate: str) -> tuple[str, ...]:
    """The domains that an authority may vouch for; none if it is no authority of ours."""
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
        constraints = found.extensions.get_extension_for_class(x509.NameConstraints).value
    except (ValueError, x509.ExtensionNotFound):
        return ()
    names = constraints.permitted_subtrees or ()
    return tuple(name.value for name in names if isinstance(name, x509.DNSName))


def days_left(certificate: str) -> float:
    """How long the first certificate in a PEM text is still valid; negative when it is over."""
    found = x509.load_pem_x509_certificate(certificate.encode())
    left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left / datetime.timedelta(days=1)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A machine next door whose clock is a little behind must not refuse it.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )
