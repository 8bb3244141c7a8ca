"""Settings of the worker's side: destinations, PACS query, retention."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from dicom_node.settings.edge import AeTitle, ClientTls, Section, check_unique

__all__ = ["Destination", "ObjectName", "Query", "Retention", "Unclear"]

Unclear = Literal["hold", "send"]
"""What happens to a report whose patient could not be compared: ``hold`` tries again later."""


ObjectName = Literal["sr", "sc", "slices", "pdf", "seg"]
"""What a report is sent as: Structured Report, picture, picture of every slice, document, and
segmentation of the regions."""


class Destination(Section):
    """A peer that receives the reports by C-STORE."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")
    ae_title: AeTitle
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    max_attempts: int = Field(default=300, ge=1, le=100000)
    retry_seconds: float = Field(default=5.0, gt=0)
    retry_backoff: float = Field(default=1.5, ge=1.0, le=10.0)
    timeout_seconds: float = Field(default=30.0, gt=0)
    commitment: bool = False
    commitment_seconds: float = Field(default=3600.0, gt=0)
    withdraw: bool = True
    objects: tuple[ObjectName, ...] = Field(default=("sr", "sc"), min_length=1)
    sr_profile: Literal["volumetric", "planar"] = "volumetric"
    not_analysed: Literal["sc", "pdf"] | None = None
    tls: ClientTls | None = None

    @field_validator("objects")
    @classmethod
    def _objects_are_unique(cls, value: tuple[ObjectName, ...]) -> tuple[ObjectName, ...]:
        check_unique(value, "an object is sent once")
        return value


class Query(Section):
    """A PACS that is asked what a series and a study hold, and for earlier reports."""

    ae_title: AeTitle
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    timeout_seconds: float = Field(default=10.0, gt=0)
    total_seconds: float = Field(default=120.0, gt=0)
    max_answers: int = Field(default=20_000, ge=1)
    unanswered: Unclear = "hold"
    unknown: Unclear = "hold"
    ambiguous: Unclear = "hold"
    no_patient_id: Unclear = "hold"
    earlier_reports: bool = False
    tls: ClientTls | None = None

    @property
    def peer(self) -> Destination:
        """The PACS as a destination, for code that associates with one."""
        return Destination(
            name="query",
            ae_title=self.ae_title,
            host=self.host,
            port=self.port,
            timeout_seconds=self.timeout_seconds,
            tls=self.tls,
        )


class Retention(Section):
    """How many days things are kept after their end; None keeps them for ever."""

    instance_days: float | None = Field(default=None, ge=0)
    report_days: float | None = Field(default=None, ge=0)
    work_days: float | None = Field(default=365.0, ge=1)
    overwrite: bool = False
