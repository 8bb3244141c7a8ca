"""Settings of the archives that a screening reads."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from dicom_node.settings.edge import AeTitle, ClientTls, Section, ServerTls

__all__ = ["Archive", "DicomwebArchive", "DimseArchive"]


class DimseArchive(Section):
    """An archive that is asked by C-FIND and sends by C-GET, or by C-MOVE to ``move_port``.

    ``tls`` is of the connections to it, ``move_tls`` of those that it makes to ``move_port``.
    """

    ae_title: AeTitle
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    retrieve: Literal["get", "move"] = "get"
    move_ae_title: AeTitle | None = None
    move_host: str = "127.0.0.1"
    move_port: int | None = Field(default=None, ge=1, le=65535)
    move_tls: ServerTls | None = None
    tls: ClientTls | None = None

    @model_validator(mode="after")
    def _move_has_a_door(self) -> "DimseArchive":
        if self.retrieve == "move" and (self.move_ae_title is None or self.move_port is None):
            raise ValueError('retrieve = "move" needs move_ae_title and move_port')
        return self


class DicomwebArchive(Section):
    """An archive that is asked by QIDO-RS and sends by WADO-RS.

    At most one of ``token_file`` (a bearer token) and ``user`` with ``password``.
    """

    url: str = Field(pattern=r"^https?://")
    token_file: Path | None = None
    user: str | None = None
    password: SecretStr = SecretStr("")
    tls: ClientTls | None = None

    @model_validator(mode="after")
    def _one_login(self) -> "DicomwebArchive":
        if "@" in urlsplit(self.url).netloc:
            raise ValueError("give user and password as such, not in url")
        if self.token_file is not None and self.user is not None:
            raise ValueError("give token_file or user, not both")
        return self


class Archive(Section):
    """An archive by its name, how it is spoken to, and how much may be asked of it.

    ``window`` is a time of day of this machine, as "19:00-06:00", in which series are fetched;
    ``series_per_day`` and ``series_per_minute`` bound how many are. ``max_answers`` is how many an
    archive answers to one question at most: a question with so many answers is parted.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")
    dimse: DimseArchive | None = None
    dicomweb: DicomwebArchive | None = None
    max_connections: int = Field(default=2, ge=1, le=32)
    timeout_seconds: float = Field(default=60.0, gt=0)
    max_answers: int = Field(default=500, ge=2)
    window: str | None = Field(
        default=None, pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$"
    )
    series_per_day: int | None = Field(default=None, ge=1)
    series_per_minute: float | None = Field(default=None, gt=0)
    max_pause_seconds: float = Field(default=600.0, gt=0)

    @model_validator(mode="after")
    def _one_language(self) -> "Archive":
        if (self.dimse is None) == (self.dicomweb is None):
            raise ValueError("an archive has either a section dimse or a section dicomweb")
        return self
