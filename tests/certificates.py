"""Certificates that tests make on the fly: an authority, and what it issues."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA(key_type=trustme.KeyType.RSA)
        self.path = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.path))

    def issue(self, name: str, *, expired: bool = False) -> tuple[Path, Path]:
        """Key and certificate for a host name or address."""
        until = datetime.now(UTC) - timedelta(days=1) if expired else None
        leaf = self._ca.issue_cert(name, not_after=until, key_type=trustme.KeyType.RSA)
        key = self._folder / f"{name}-{expired}.key.pem"
        certificate = self._folder / f"{name}-{expired}.cert.pem"
        leaf.private_key_pem.write_to_path(str(key))
        certificate.write_bytes(leaf.cert_chain_pems[0].bytes())
        return key, certificate
