"""Units of systemd for a whole node, a further worker, and a screening, from one hardened form."""

import sys
from dataclasses import dataclass
from pathlib import Path

from dicom_node.settings.node import NodeSettings

__all__ = ["Unit", "units_of"]

FORM = """\
# {purpose}
# Research use only, not a medical device. Written by osteonode install-units.
[Unit]
Description={description}
After=network-online.target postgresql.service
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
User={user}
ExecStartPre={osteonode} check-config --config {config}
ExecStart={osteonode} {command}
Restart={restart}
RestartSec=5
TimeoutStopSec=60
UMask=0077
LimitNOFILE=8192
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
{capabilities}
ReadWritePaths={writable}
{extra}
[Install]
WantedBy=multi-user.target
"""

PRIVILEGED_PORTS = 1024
"""Ports below need a privilege."""

NICE = "Nice=15\nIOSchedulingClass=idle\n"
"""A screening leaves the machine to the live studies."""


@dataclass(frozen=True)
class Unit:
    """A unit's file name and its text."""

    name: str
    text: str


def units_of(settings: NodeSettings, config: Path, user: str = "osteonode") -> tuple[Unit, ...]:
    """The units of a node.

    Parameters
    ----------
    settings
        Of the node.
    config
        The settings file, which the units name with its whole path.
    user
        Who runs them.

    Returns
    -------
    tuple of Unit
        ``osteonode.service`` (the whole node), ``osteonode-work.service`` (a worker alone, on a
        further machine) and ``osteonode-screen@.service`` (a screening by its name).
    """
    path = config.resolve()
    low_port = 0 < settings.listener.port < PRIVILEGED_PORTS
    privilege = "CAP_NET_BIND_SERVICE" if low_port else ""
    bound = f"CapabilityBoundingSet={privilege}"
    if low_port:
        bound += f"\nAmbientCapabilities={privilege}"

    folders = [settings.data_dir.absolute()]
    if settings.audit.folder is not None:
        folders.append(settings.audit.folder.absolute())

    def unit(
        name: str,
        purpose: str,
        description: str,
        command: str,
        restart: str = "always",
        capabilities: str = "CapabilityBoundingSet=",
        extra: str = "",
    ) -> Unit:
        return Unit(
            name,
            FORM.format(
                purpose=purpose,
                description=description,
                user=user,
                osteonode=_quoted(_program()),
                config=_quoted(path),
                command=command,
                restart=restart,
                capabilities=capabilities,
                writable=" ".join(_quoted(folder) for folder in folders),
                extra=extra,
            ),
        )

    return (
        unit(
            "osteonode.service",
            "The whole node: listeners, worker, status pages.",
            "osteonode DICOM node",
            f"serve --config {_quoted(path)}",
            capabilities=bound,
        ),
        unit(
            "osteonode-work.service",
            "A worker alone, on a further machine with the same PostgreSQL.",
            "osteonode worker",
            f"work --config {_quoted(path)}",
        ),
        unit(
            "osteonode-screen@.service",
            "A screening: systemctl enable --now osteonode-screen@NAME",
            "osteonode screening %i",
            f"screen run %i --config {_quoted(path)}",
            restart="on-failure",
            extra=NICE,
        ),
    )


def _program() -> Path:
    """The ``osteonode`` of the Python that runs, whatever PATH says."""
    return Path(sys.executable).with_name("osteonode")


def _quoted(path: Path) -> str:
    """A path as systemd reads it: quoted, its percent signs doubled."""
    text = str(path).replace("%", "%%")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if any(c.isspace() or c in "\"'\\" for c in text) else text
