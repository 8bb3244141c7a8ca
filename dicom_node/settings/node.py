"""The node's settings: one TOML file, unknown keys refused, environment overrides."""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from dicom_node.errors import SettingsInvalid
from dicom_node.settings.archives import Archive
from dicom_node.settings.edge import AeTitle, Audit, Exchange, Listener, Section, check_unique
from dicom_node.settings.environment import (
    DELIMITER,
    PREFIX,
    environment_problems,
    variable_of,
)
from dicom_node.settings.masking import masked
from dicom_node.settings.notices import Notices
from dicom_node.settings.web import Web
from dicom_node.settings.work import Destination, Query, Retention

__all__ = [
    "DEFAULT_SEGMENTERS",
    "Acquisition",
    "AcquisitionRules",
    "Destination",
    "Limits",
    "Listener",
    "Mode",
    "Model",
    "NodeSettings",
    "Query",
    "Retention",
    "ScannerOffset",
    "SegmenterName",
    "TotalSegmentator",
    "load_settings",
]

Mode = Literal["strict", "warn"]

SegmenterName = Literal["dicom-seg", "totalsegmentator", "builtin"]

SHARES_TOLERANCE = 1e-3
"""By how much the shares of the stages may miss 1."""

DEFAULT_SEGMENTERS: tuple[SegmenterName, ...] = ("dicom-seg", "builtin")
"""A segmentation that was sent with the study is preferred to the node's own."""


class AcquisitionRules(Section):
    """What happens to a series that breaks a rule: ``strict`` refuses it, ``warn`` reports it.

    Tube voltage, largest slice thickness, largest pixels and largest gantry tilt cannot be chosen:
    always strict.
    """

    coverage: Mode = "strict"
    kernel_unknown: Mode = "warn"
    kernel_sharp: Mode = "warn"
    kernel_lung_bone: Mode = "strict"
    contrast: Mode = "warn"
    contrast_seen: Mode = "warn"
    fat_unusual: Mode = "warn"
    gantry_tilt: Mode = "warn"
    gantry_tilt_unclear: Mode = "strict"
    large_pixels: Mode = "warn"
    thick_slices: Mode = "warn"
    thickness_unknown: Mode = "warn"
    patient_position_missing: Mode = "warn"
    other_scanner: Mode = "warn"
    noise: Mode = "warn"
    pixel_spacing_doubtful: Mode = "strict"

    @classmethod
    def of(cls, texts: Sequence[str]) -> "AcquisitionRules":
        """The defaults with some rules changed.

        Parameters
        ----------
        texts
            Each ``name=mode``, as ``noise=strict``.

        Raises
        ------
        SettingsInvalid
            No such rule or mode; the message lists those that exist.
        """
        pairs = [text.partition("=") for text in texts]
        try:
            return cls.model_validate({name.strip(): mode.strip() for name, _, mode in pairs})
        except ValidationError as error:
            raise SettingsInvalid(
                f"no acquisition rules: {', '.join(texts)}; give name=strict or name=warn of "
                f"{', '.join(cls.model_fields)}"
            ) from error


class Model(Section):
    """What the user decides about staging; see `modeling.staging_rules.StagingRules`."""

    prevalence: dict[Literal["A", "B", "C", "D"], float] | None = None
    without_l5_s1: bool = False

    @field_validator("prevalence")
    @classmethod
    def _shares(cls, shares: dict[str, float] | None) -> dict[str, float] | None:
        if shares is None:
            return None
        if sorted(shares) != list("ABCD") or not all(0 < share < 1 for share in shares.values()):
            raise ValueError("a share above 0 and below 1 for each of A, B, C and D is needed")
        if abs(sum(shares.values()) - 1) > SHARES_TOLERANCE:
            raise ValueError(f"the shares add up to {sum(shares.values()):g}, not to 1")
        return shares


class ScannerOffset(Section):
    """How much higher a scanner model reads than the cohort's, HU; negative where it reads lower.

    Nothing measured is changed: the thresholds of L1 move by ``bone_hu``, and the model is given
    the HU less the offsets.
    """

    manufacturer: str = Field(min_length=1)
    model: str = Field(min_length=1)
    bone_hu: float = Field(default=0.0, ge=-50, le=50)
    muscle_hu: float = Field(default=0.0, ge=-50, le=50)
    source: str = Field(min_length=1)

    def of(self, manufacturer: str, model: str) -> bool:
        """Whether these header values are of this scanner; case and outer spaces do not count."""
        stated = (manufacturer, model)
        own = (self.manufacturer, self.model)
        return [s.strip().casefold() for s in stated] == [o.strip().casefold() for o in own]


class Acquisition(Section):
    """What a series must fulfil to be assessed; tube voltages in kV, lengths in mm."""

    kvp: tuple[float, ...] = (120.0,)
    kvp_tolerance: float = Field(default=0.5, ge=0, le=5)
    max_slice_thickness_mm: float = Field(default=5.0, gt=0, le=5.0)
    min_slices: int = Field(default=20, ge=3)
    min_coverage_mm: float = Field(default=100.0, gt=0)
    rules: AcquisitionRules = AcquisitionRules()
    scanners: tuple[ScannerOffset, ...] = ()

    @field_validator("scanners")
    @classmethod
    def _once_each(cls, scanners: tuple[ScannerOffset, ...]) -> tuple[ScannerOffset, ...]:
        for index, scanner in enumerate(scanners):
            if any(scanner.of(other.manufacturer, other.model) for other in scanners[:index]):
                raise ValueError(f"{scanner.manufacturer} {scanner.model} stands there twice")
        return scanners


class TotalSegmentator(Section):
    """How TotalSegmentator is run if ``segmenters`` names it."""

    weights: Path
    manifest: Path | None = None
    vertebrae_body: bool = True
    abdominal_muscles_licence: str = ""
    licence_number: SecretStr = SecretStr("")
    device: str = Field(default="cpu", pattern=r"^(cpu|mps|gpu(:[0-9]+)?)$")
    seconds: float = Field(default=540.0, gt=0)
    memory_mb: int = Field(default=12288, ge=512)


class Limits(Section):
    """What one assessment may use, how many run at once, and how often one is tried."""

    seconds: float = Field(default=600.0, gt=0)
    memory_mb: int = Field(default=6144, ge=1024)
    processes: int = Field(default=1, ge=0, le=64)
    attempts: int = Field(default=3, ge=1, le=20)


class NodeSettings(BaseSettings):
    """All settings of a node; ``OSTEONODE_LISTENER__PORT=104`` overrides ``listener.port``."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
    )

    data_dir: Path
    database_url: str | None = None
    bundle: Path | None = None
    quiet_seconds: float = Field(default=30.0, gt=0)
    max_wait_seconds: float = Field(default=900.0, gt=0)
    poll_seconds: float = Field(default=0.5, gt=0, le=60)
    executor_id: str = Field(default="osteonode-1", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    segmenters: tuple[SegmenterName, ...] = Field(default=DEFAULT_SEGMENTERS, min_length=1)
    dicom_seg_sources: tuple[AeTitle, ...] = ()
    listener: Listener = Listener()
    web: Web | None = None
    exchange: Exchange | None = None
    notices: Notices | None = None
    audit: Audit = Audit()
    destinations: tuple[Destination, ...] = ()
    archives: tuple[Archive, ...] = ()
    query: Query | None = None
    retention: Retention = Retention()
    acquisition: Acquisition = Acquisition()
    model: Model = Model()
    limits: Limits = Limits()
    totalsegmentator: TotalSegmentator | None = None

    @field_validator("destinations", "archives")
    @classmethod
    def _names_are_unique(
        cls, value: tuple[Destination, ...] | tuple[Archive, ...]
    ) -> tuple[Destination, ...] | tuple[Archive, ...]:
        check_unique([peer.name for peer in value], "names must differ")
        return value

    @field_validator("segmenters")
    @classmethod
    def _segmenters_are_unique(cls, value: tuple[SegmenterName, ...]) -> tuple[SegmenterName, ...]:
        check_unique(value, "a segmenter is tried once")
        return value

    @model_validator(mode="after")
    def _totalsegmentator_fits(self) -> "NodeSettings":
        if "totalsegmentator" not in self.segmenters:
            return self
        if self.totalsegmentator is None:
            raise ValueError(
                "segmenters names totalsegmentator: the section [totalsegmentator]"
                " with its weights is needed"
            )
        if self.totalsegmentator.seconds >= self.limits.seconds:
            raise ValueError(
                "totalsegmentator.seconds must be less than limits.seconds, or no time"
                " is left for the segmenter after it"
            )
        return self

    @model_validator(mode="after")
    def _several_machines_share_a_database(self) -> "NodeSettings":
        if self.on_postgresql:
            return self
        if self.exchange is not None:
            raise ValueError(
                "[exchange] is between machines that share a database: set database_url to one "
                "on PostgreSQL"
            )
        if not self.limits.processes:
            raise ValueError(
                "limits.processes = 0 leaves assessments to other machines: set database_url to "
                "one on PostgreSQL that they share"
            )
        return self

    @field_validator("database_url")
    @classmethod
    def _database_is_a_url(cls, value: str | None) -> str | None:
        if value is not None:
            from sqlalchemy import make_url
            from sqlalchemy.exc import ArgumentError

            try:
                make_url(value)
            except (ArgumentError, ValueError):
                # neither the value nor that error's text is shown: they may hold a password
                raise ValueError(
                    "not a database URL; it has the form postgresql+psycopg://USER@HOST/DATABASE"
                ) from None
        return value

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the workflow database."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve()}/osteonode.sqlite"

    @property
    def on_postgresql(self) -> bool:
        """Whether several workers may share the workflow database."""
        return not self.database.startswith("sqlite")

    @property
    def reports_dir(self) -> Path:
        """Where the reports are kept, in a folder for each study."""
        return self.data_dir / "reports"

    @property
    def earlier_dir(self) -> Path:
        """Where reports from the PACS are kept, in a folder for each study compared with them."""
        return self.data_dir / "earlier"

    @property
    def counters_dir(self) -> Path:
        """Where the processes keep their counters."""
        return self.data_dir / "counters"

    def within(self, data_dir: Path) -> "NodeSettings":
        """The same settings with another data folder."""
        return self.model_copy(update={"data_dir": data_dir})

    def shown(self) -> dict[str, Any]:
        """All settings for printing as JSON, with every secret masked."""
        return {key: masked(value) for key, value in self.model_dump(mode="json").items()}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then the file given to `load_settings`."""
        return env_settings, init_settings


def load_settings(path: Path) -> NodeSettings:
    """Read and check a settings file and the environment variables that override it.

    Raises
    ------
    SettingsInvalid
        The file is missing, is not TOML, or holds unknown keys or values out of range, or an
        environment variable does; the message lists each of them.
    """
    if not path.is_file():
        raise SettingsInvalid(
            f"no settings file at {path}; write one (docs/settings.md) and pass it with --config"
        )
    problems = environment_problems(NodeSettings, os.environ)
    if problems:
        raise SettingsInvalid("; ".join(problems))
    try:
        content = TomlConfigSettingsSource(NodeSettings, toml_file=path)()
        return NodeSettings(**content)
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        found = "; ".join(_problem(item["loc"], item["msg"]) for item in error.errors())
        raise SettingsInvalid(f"{path}: {found}") from error


def _problem(location: tuple[int | str, ...], message: str) -> str:
    key = ".".join(str(part) for part in location)
    variable = variable_of(location, os.environ)
    return f"{key}: {message}" if variable is None else f"{key}, set by {variable}: {message}"
