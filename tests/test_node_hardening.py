"""What `check-config` shows of the settings, what it hides, and what it warns of."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dicom_node.cli import app
from dicom_node.errors import SettingsInvalid
from dicom_node.settings.masking import masked_url
from dicom_node.settings.node import load_settings
from dicom_node.settings.weak_points import weak_points
from dicom_node.tls import certificate_names, client_context
from tests.certificates import Authority

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = DOCS / "examples"
SECRETS = ("Us3rn4me", "P4ssw0rd", "T0k3n")
DATA = 'data_dir = "x"\n'


def check(path: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["check-config", "--config", str(path), *options])


def installed(name: str, folder: Path) -> Path:
    """An example as an administrator would install it: with files of its own for all it names."""
    authority = Authority(folder / "etc")
    key, certificate = authority.issue("node.hospital")
    key.chmod(0o640)
    text = (EXAMPLES / name).read_text()
    for generic, own in (
        ("/etc/osteonode/node.cert.pem", certificate),
        ("/etc/osteonode/node.key.pem", key),
        ("/etc/osteonode/ca.pem", authority.path),
        ("/var/lib/osteonode", folder / "data"),
    ):
        text = text.replace(generic, str(own))
    path = folder / "node.toml"
    path.write_text(text)
    path.chmod(0o640)
    return path


def test_hardened_example_is_accepted_by_the_strict_check(tmp_path: Path) -> None:
    result = check(installed("hardened.toml", tmp_path), "--strict")
    assert (result.exit_code, result.stderr) == (0, "")


def test_installation_page_shows_the_hardened_example() -> None:
    [shown] = re.findall(r"```toml\n(.*?)```", (DOCS / "installation.md").read_text(), re.DOTALL)
    assert shown == (EXAMPLES / "hardened.toml").read_text()


def test_plain_example_is_warned_of_with_what_to_set(tmp_path: Path) -> None:
    path = installed("plain.toml", tmp_path)
    path.chmod(0o644)
    result = check(path, "--strict")
    assert result.exit_code == 1
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert [re.findall(r"set ([\w.?=&\[\]-]+)|(0640)|(\?passfile=)", w)[-1] for w in warnings] == [
        ("listener.tls", "", ""),
        ("listener.allowed_ae_titles", "", ""),
        ("listener.allowed_networks", "", ""),
        ("listener.host", "", ""),
        ("web.host", "", ""),
        ("web.tls", "", ""),
        ("destinations.tls", "", ""),
        ("query.tls", "", ""),
        ("", "", "?passfile="),
        ("?sslmode=verify-full&sslrootcert=", "", ""),
        ("", "0640", ""),
        ("audit.enabled", "", ""),
        ("retention.instance_days", "", ""),
        ("retention.report_days", "", ""),
    ]
    assert result.stderr.splitlines()[-1] == f"osteonode: {path}: 14 warnings"
    assert "change-me" not in result.output
    plain = check(path)
    assert (plain.exit_code, plain.stderr.splitlines()) == (0, warnings)


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ('database_url = "postgresql://u@db/n"\n', ["names no file", "certificate is not checked"]),
        ('database_url = "postgresql://u@127.0.0.1/n"\n', ["names no file"]),
        ('database_url = "postgresql:///n"\n', []),
        ('database_url = "sqlite:///x"\n', []),
        (
            'database_url = "postgresql://localhost/n?password=x"\n',
            ["holds a password", "a secret"],
        ),
        ('[totalsegmentator]\nweights = "w"\nlicence_number = "x"\n', ["holds a secret"]),
        ("", []),
    ],
)
def test_database_and_secrets_are_warned_of(tmp_path: Path, text: str, warned: list[str]) -> None:
    path = tmp_path / "node.toml"
    path.write_text(f"{DATA}{text}\n[retention]\ninstance_days = 1\nreport_days = 1\n")
    path.chmod(0o644)
    found = [w for w in weak_points(load_settings(path), path) if "no destinations" not in w]
    assert len(found) == len(warned)
    for warning, expected in zip(found, warned, strict=True):
        assert expected in warning


def test_keys_and_password_files_that_others_can_read_are_warned_of(tmp_path: Path) -> None:
    path = installed("hardened.toml", tmp_path)
    [key] = (tmp_path / "etc").glob("*.key.pem")
    key.chmod(0o644)
    passfile = tmp_path / "pgpass"
    passfile.write_text("")
    passfile.chmod(0o640)
    url = f"postgresql://u@localhost/n?passfile={passfile}"
    path.write_text(f'database_url = "{url}"\n{path.read_text()}')
    found = weak_points(load_settings(path), path)
    assert len(found) == 2
    assert found[0].startswith(f"{passfile} can be read by others")
    assert found[1].startswith(f"{key} can be read by every user")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://Us3rn4me:P4ssw0rd@db/n",
        "postgresql://Us3rn4me:P4ssw0rd@T0k3n@db/n",
        "postgresql://Us3rn4me:P4ss?P4ssw0rd#P4ssw0rd/@db/n",
        "postgresql://db/n?user=Us3rn4me&password=P4ssw0rd",
        "postgresql://db/n?sslkey=/T0k3n&options=-c%20x%3DP4ssw0rd&T0k3n",
        "postgresql://db/n?sslmode=require;password=P4ssw0rd",
        "https://hooks.example/services/T0k3n/P4ssw0rd?x=T0k3n#T0k3n",
        "https://Us3rn4me@hooks.example/T0k3n",
        "nonsense://Us3rn4me:P4ssw0rd@[:::bad:port/n?x=T0k3n",
    ],
)
def test_no_part_of_a_url_shows_a_secret(url: str) -> None:
    shown = masked_url(url)
    assert "***" in shown
    assert not [secret for secret in SECRETS if secret in shown]


def test_harmless_parts_of_a_url_are_shown() -> None:
    assert masked_url("postgresql://u:p@db.hospital:5432/node?sslmode=verify-full") == (
        "postgresql://***@db.hospital:5432/node?sslmode=verify-full"
    )


def test_printed_settings_hold_no_secret_of_any_section(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(
        f'{DATA}database_url = "postgresql://Us3rn4me:P4ssw0rd@db/n?sslkey=T0k3n"\n'
        '[totalsegmentator]\nweights = "w"\nlicence_number = "T0k3n"\n'
        '[[destinations]]\nname = "p"\nae_title = "P"\nport = 104\n'
        'host = "https://Us3rn4me:P4ssw0rd@pacs/T0k3n"\n'
    )
    result = check(path)
    assert result.exit_code == 0
    assert json.loads(result.stdout.rpartition("model ")[0])["database_url"].startswith("postgres")
    assert not [secret for secret in SECRETS if secret in result.output]


@pytest.mark.parametrize("url", ["P4ssw0rd", "postgresql://Us3rn4me:P4ssw0rd@db:T0k3n/n", ":@/"])
def test_url_that_cannot_be_used_is_refused_without_being_shown(tmp_path: Path, url: str) -> None:
    path = tmp_path / "node.toml"
    path.write_text(f'{DATA}database_url = "{url}"\n')
    with pytest.raises(SettingsInvalid, match=r"database_url: .*not a database URL") as refused:
        load_settings(path)
    assert not [secret for secret in (*SECRETS, ":@/") if secret in str(refused.value)]


@pytest.mark.parametrize("command", ["failed", "status"])
def test_commands_show_no_secret_of_a_database_that_fails(tmp_path: Path, command: str) -> None:
    path = tmp_path / "node.toml"
    path.write_text(
        f'data_dir = "{tmp_path / "data"}"\n'
        'database_url = "postgresql+psycopg://Us3rn4me:P4ssw0rd@127.0.0.1:1/n?options=T0k3n"\n'
    )
    options = ["--json"] if command == "status" else []
    result = subprocess.run(
        [sys.executable, "-m", "dicom_node", command, *options, "--config", str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert result.returncode == 3
    files = [file.read_text() for file in tmp_path.glob("osteonode-fault-*.json")]
    assert len(files) == (command == "failed")
    whole = "\n".join([result.stdout, result.stderr, *files])
    assert not [secret for secret in SECRETS if secret in whole]


def test_name_of_a_certificate_is_its_alternative_name_alone() -> None:
    common = ((("commonName", "ct1.hospital"),),)
    assert certificate_names({"subject": common}) == frozenset()
    assert certificate_names({"subject": common, "subjectAltName": ()}) == frozenset()
    others = (("email", "ct1.hospital"), ("URI", "x:ct1"), ("DirName", common), ("DNS", "ct2"))
    assert certificate_names({"subject": common, "subjectAltName": others}) == {"ct2"}


def test_common_name_of_a_destination_is_not_its_name(tmp_path: Path) -> None:
    settings = load_settings(installed("hardened.toml", tmp_path))
    [destination] = settings.destinations
    assert destination.tls is not None
    assert not client_context(destination.tls, "pacs").hostname_checks_common_name
