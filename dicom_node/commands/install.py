"""Units of systemd for this installation."""

from pathlib import Path
from typing import Annotated

import typer

from dicom_node.commands.ending import EXIT_USAGE, fail

__all__ = ["app"]

app = typer.Typer()

SYSTEM_UNITS = Path("/etc/systemd/system")


@app.command("install-units")
def install_units(
    config: Annotated[Path, typer.Option("--config", "-c", help="The node's settings (TOML).")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder that the units are written to.")
    ] = SYSTEM_UNITS,
    user: Annotated[str, typer.Option(help="User who runs them.", metavar="NAME")] = "osteonode",
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the units and write nothing.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write over units that were changed by hand.")
    ] = False,
) -> None:
    """Write the systemd units of a whole node, a further worker and a screening.

    They name this installation, the settings file and the folders that it needs. Nothing is enabled
    or started. Exit code 0 done, 2 a settings file that cannot be used, or a unit that stands there
    with another text.
    """
    from dicom_node.settings.node import load_settings
    from dicom_node.units.units import units_of

    units = units_of(load_settings(config), config, user)
    if only_print:
        print("\n".join(f"# {unit.name}\n{unit.text}" for unit in units))
        return
    if not out.is_dir():
        fail(f"{out} is no folder: give --out, or --print", EXIT_USAGE)
    changed = [
        unit.name
        for unit in units
        if (out / unit.name).exists() and (out / unit.name).read_text() != unit.text
    ]
    if changed and not replace:
        fail(
            f"{', '.join(changed)} in {out}: another text stands there; compare with --print, and "
            "give --replace to write over it",
            EXIT_USAGE,
        )
    for unit in units:
        (out / unit.name).write_text(unit.text)
    print(f"{out}: {', '.join(unit.name for unit in units)}")
    print("next: systemctl daemon-reload && systemctl enable --now osteonode")
