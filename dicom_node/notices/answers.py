"""What a target answers to a notice, and how long the whole of it may take."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from dicom_node.errors import OperationalError
from dicom_node.settings.edge import ClientTls
from dicom_node.tls import client_context

__all__ = ["NotTaken", "told_fault", "trusting", "within"]


class NotTaken(OperationalError):
    """A target did not take a notice; the message says why, without any address or secret."""

    code = "notice.not_taken"


@contextmanager
def within(seconds: float, find_socket: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Cut a connection off when an exchange is not over in time, however the peer draws it out.

    Parameters
    ----------
    seconds
        For all of it.
    find_socket
        Gives the socket as it is when the time is over.

    Raises
    ------
    NotTaken
        The time was over.
    """
    over = threading.Event()

    def cut() -> None:
        over.set()
        found = find_socket()
        if found is not None:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception:
        if over.is_set():
            raise NotTaken("did not answer in time") from None
        raise
    finally:
        timer.cancel()


def trusting(ca: Path | None, name: str) -> ssl.SSLContext:
    """TLS with an authority of the settings, or with those of the library certifi.

    Raises
    ------
    SettingsInvalid
        The file cannot be used.
    """
    return client_context(ClientTls(ca=ca or Path(DEFAULT_CA_BUNDLE_PATH)), name, "notices")


def told_fault(error: Exception) -> str:
    """What a fault of a connection means, without the address and without any foreign text."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not of the authority that is trusted, or names another host"
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, ConnectionRefusedError):
        return "cannot be reached: the connection is refused"
    return "cannot be reached, or broke the connection"
