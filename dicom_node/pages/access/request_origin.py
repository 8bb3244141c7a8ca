"""Where a request comes from, by its headers: host asked for, page that sent it, address."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from dicom_node.settings.web import Web

__all__ = ["client_address", "comes_from_proxy", "is_from_our_pages", "local_path", "name_of_host"]

UNKNOWN = "unknown"

IPV6_NETWORK_BITS = 64
"""One who is given an IPv6 network has all its addresses."""


def name_of_host(host: str) -> str:
    """The name in a Host header, without its port; empty if it is none.

    >>> name_of_host("Node.Hospital:8080"), name_of_host("[::1]:80"), name_of_host("a@b")
    ('node.hospital', '::1', '')
    """
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return ""
    return parts.hostname or ""


def is_from_our_pages(headers: Mapping[str, str], public_url: str | None) -> bool:
    """Whether a request that changes something was sent by a page of ours.

    Browsers say so by Sec-Fetch-Site or Origin; what sends neither is no browser that another
    page could misuse.
    """
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    if public_url is not None and origin == public_url:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc == headers.get("host", "").lower()


def comes_from_proxy(connection: HTTPConnection, web: Web) -> bool:
    """Whether the other end is a proxy of the settings."""
    if web.proxy is None or connection.client is None:
        return False
    return _is_within(connection.client.host, web)


def client_address(connection: HTTPConnection, web: Web) -> str:
    """The visitor's address; behind a trusted proxy the last that it names and is not its own.

    Of IPv6 it is the network of 64 bits.
    """
    if connection.client is None:
        return UNKNOWN
    address = connection.client.host
    if comes_from_proxy(connection, web):
        hops = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
        for hop in reversed([hop.strip() for hop in hops if hop.strip()]):
            if not _is_address(hop):
                break
            address = hop
            if not _is_within(hop, web):
                break
    if not _is_address(address):
        return UNKNOWN
    found = ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    if found.version == 4 or mapped is not None or found.is_loopback:
        return str(mapped or found)
    return str(ip_network((int(found), IPV6_NETWORK_BITS), strict=False))


def local_path(path: str) -> str:
    r"""A path of our own, as it may be gone to after signing in; ``/`` for any other.

    >>> local_path("/studies/1.2.3?tab=log"), local_path("//evil"), local_path("/\\evil")
    ('/studies/1.2.3?tab=log', '/', '/')
    """
    plain = all(" " < character < "\x7f" for character in path)
    if not plain or not path.startswith("/") or path.startswith("//") or "\\" in path:
        return "/"
    return path


def _is_within(address: str, web: Web) -> bool:
    if web.proxy is None or not _is_address(address):
        return False
    found = ip_address(address)
    found = getattr(found, "ipv4_mapped", None) or found
    return any(
        found in network for network in web.proxy.networks if network.version == found.version
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
