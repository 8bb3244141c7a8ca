"""What a trusted proxy says of a visitor."""

import re

from starlette.requests import HTTPConnection

from dicom_node.pages.access.request_origin import comes_from_proxy
from dicom_node.pages.access.visitor import Identity, roles_named
from dicom_node.settings.web import Web

__all__ = ["NotFromProxy", "proxied_identity"]

PROXY_NAME = re.compile(r"[A-Za-z0-9._@\\+-]{1,128}")


class NotFromProxy(Exception):
    """A request that did not come by the proxy, or of which it does not say whose it is."""


def proxied_identity(connection: HTTPConnection, web: Web) -> Identity:
    """Who the proxy says the visitor is.

    Only the other end of the connection decides whether the headers are believed.

    Raises
    ------
    NotFromProxy
        The other end is no proxy of the settings, or does not name one visitor.
    """
    if web.proxy is None or not comes_from_proxy(connection, web):
        raise NotFromProxy
    names = connection.headers.getlist(web.proxy.header)
    if len(names) != 1 or not PROXY_NAME.fullmatch(names[0]):
        raise NotFromProxy
    stated = connection.headers.getlist(web.proxy.roles_header)
    if len(stated) > 1:
        raise NotFromProxy
    roles = (role.strip() for role in "".join(stated).split(","))
    return Identity(names[0], roles_named(roles, web.proxy.roles))
