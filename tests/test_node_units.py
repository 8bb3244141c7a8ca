"""The units of systemd and the containers in which a node is run."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.settings.node import load_settings
from tests.conftest import unavailable

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
NAMES = ("osteonode.service", "osteonode-work.service", "osteonode-screen@.service")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "a node's settings.toml"
    path.write_text(f'data_dir = "{tmp_path}/100% data"\n[listener]\nport = 104\n')
    return path


def install(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["install-units", *map(str, arguments)])
    return result.exit_code, result.output


def directives(text: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def test_units_name_the_settings_and_let_only_the_data_be_written(
    config: Path, tmp_path: Path
) -> None:
    assert install("-c", config, "-o", tmp_path)[0] == 0
    texts = [(tmp_path / name).read_text() for name in NAMES]
    for text, command in zip(texts, ("serve", "work", "screen run %i"), strict=True):
        (start,) = directives(text, "ExecStart")
        assert f'/osteonode {command} --config "{config}"' in start
        assert directives(text, "ReadWritePaths") == [f'"{tmp_path}/100%% data"']
        assert directives(text, "ProtectSystem") == ["strict"]
    privileged = [directives(text, "AmbientCapabilities") for text in texts]
    assert privileged == [["CAP_NET_BIND_SERVICE"], [], []]


def test_systemd_takes_the_units(config: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        unavailable("systemd-analyze is needed")
    install("-c", config, "-o", tmp_path)
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / name for name in NAMES)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in said.stderr.splitlines() if "osteonode" in line]
    assert [line for line in ours if "is not executable" not in line] == []


def test_a_unit_that_was_changed_is_not_written_over(config: Path, tmp_path: Path) -> None:
    changed = tmp_path / "osteonode.service"
    changed.write_text("[Service]\n# by hand\n")
    code, output = install("-c", config, "-o", tmp_path)
    assert code == 2
    assert "osteonode.service" in output
    assert changed.read_text() == "[Service]\n# by hand\n"
    assert not (tmp_path / "osteonode-work.service").exists()
    assert install("-c", config, "-o", tmp_path, "--replace")[0] == 0
    assert "serve" in changed.read_text()


def test_print_writes_nothing(config: Path, tmp_path: Path) -> None:
    code, output = install("-c", config, "-o", tmp_path, "--print")
    assert code == 0
    assert all(f"# {name}\n" in output for name in NAMES)
    assert sorted(path.name for path in tmp_path.iterdir()) == [config.name]


def test_settings_of_the_containers_are_taken_and_name_its_peers() -> None:
    settings = load_settings(DEPLOY / "node.toml")
    orthanc = json.loads((DEPLOY / "orthanc.json").read_text())
    node = orthanc["DicomModalities"]["osteonode"]
    assert (settings.listener.ae_title, settings.listener.port) == (node["AET"], node["Port"])
    (destination,) = settings.destinations
    assert (destination.ae_title, destination.port) == (orthanc["DicomAet"], orthanc["DicomPort"])
    compose = (DEPLOY / "compose.yaml").read_text()
    assert {node["Host"], destination.host} <= set(re.findall(r"^  (\w+):$", compose, re.MULTILINE))


def test_image_holds_every_package_of_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    copied = re.findall(
        r"^COPY (\S.*) /source/", (DEPLOY / "Containerfile").read_text(), re.MULTILINE
    )
    named = {name for line in copied for name in line.split()}
    assert packages <= named
    assert all((ROOT / name).exists() for name in named)
    sent = re.findall(r"^!(\S+)$", (ROOT / ".containerignore").read_text(), re.MULTILINE)
    assert set(sent) == named
