"""TLS contexts of the BCP 195 profile: TLS 1.2 and 1.3, forward secrecy, authenticated ciphers."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dicom_node.errors import SettingsInvalid
from dicom_node.settings.edge import ClientTls, ServerTls
from dicom_node.settings.web import WebTls

__all__ = ["CIPHERS", "certificate_names", "client_context", "server_context", "web_context"]

CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)
"""Cipher suites of TLS 1.2 (RFC 9325, section 4.2; DICOM PS3.15, B.12); those of TLS 1.3 are
OpenSSL's."""

NAME_KINDS = ("DNS", "IP Address")
"""Kinds of alternative names that name a machine, as Python calls them."""


def server_context(tls: ServerTls, name: str = "listener.tls") -> ssl.SSLContext:
    """The TLS context of the listener, or of another door that ``name`` names in messages.

    Raises
    ------
    SettingsInvalid
        A file is missing or is not a certificate or key, or certificate and key do not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    try:
        _readable(tls.certificate, tls.key, tls.ca)
        context.load_cert_chain(tls.certificate, tls.key, password=_no_password)
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
    except (OSError, ValueError) as error:
        raise SettingsInvalid(f"{name}: {_reason(error)}") from error
    context.verify_mode = ssl.CERT_REQUIRED if tls.required else ssl.CERT_NONE
    return context


def web_context(tls: WebTls) -> ssl.SSLContext:
    """The TLS context of the pages, to which browsers come without a certificate.

    Raises
    ------
    SettingsInvalid
        As for `server_context`.
    """
    own = ServerTls(certificate=tls.certificate, key=tls.key, required=False)
    return server_context(own, "web.tls")


def client_context(tls: ClientTls, name: str, kind: str = "destination") -> ssl.SSLContext:
    """The context for connections to a destination or machine; the peer's host name is checked.

    Raises
    ------
    SettingsInvalid
        As for `server_context`; the message names the peer after what kind of peer it is.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    _restrict(context)
    try:
        _readable(tls.ca, tls.certificate, tls.key)
        context.load_verify_locations(tls.ca)
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key, password=_no_password)
    except (OSError, ValueError) as error:
        raise SettingsInvalid(f"{kind} {name}, tls: {_reason(error)}") from error
    return context


def certificate_names(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """DNS names and addresses of a certificate that ``getpeercert`` has given.

    Only the Subject Alternative Name counts. The common name is a text that authorities check less,
    or not at all (RFC 9525, section 2): a certificate without alternative names has no name.

    >>> sorted(certificate_names({"subjectAltName": (("DNS", "ct1"), ("IP Address", "10.0.0.7"))}))
    ['10.0.0.7', 'ct1']
    >>> certificate_names({"subject": ((("commonName", "ct1"),),)})
    frozenset()
    """
    if not certificate:
        return frozenset()
    names = certificate.get("subjectAltName", ())
    return frozenset(value for kind, value in names if kind in NAME_KINDS and value)


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(CIPHERS))
    context.options |= (
        ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    )


def _readable(*paths: Path | None) -> None:
    for path in paths:
        if path is not None:
            path.open("rb").close()


def _no_password() -> str:
    raise ValueError("the key is encrypted; give one without a password, readable by the node only")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"certificate, key or CA cannot be used ({error.reason or 'not PEM'})"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return str(error)
