"""The pages that carry the project against the code that they speak of."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("dicom_node", "modeling", "network", "roi_extraction")
PAGES = ("CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md")
NOT_OURS = ("roi_extraction/example", "dicom_node/sending/folder.py")
"""What CONTRIBUTING.md tells to write."""


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_architecture_names_every_room_and_no_other() -> None:
    rooms = {
        ".".join(folder.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for folder in (ROOT / package).glob("*/__init__.py")
    }
    named = re.findall(r"^\| `((?:\w+)\.\w+)` \|", text_of("docs/architecture.md"), re.MULTILINE)
    assert sorted(named) == sorted(rooms)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_folder_that_a_page_names_exists(page: str) -> None:
    within = rf"(?:{'|'.join((*PACKAGES, 'tests', 'docs', 'bench'))})/[\w/.-]+"
    named = {name.rstrip(".") for name in re.findall(rf"(?<![\w/.-]){within}", text_of(page))}
    missing = [n for n in named if not n.startswith(NOT_OURS) and not (ROOT / n).exists()]
    assert not missing


def test_every_attack_of_the_threat_model_names_tests_that_exist() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*.py"))
    tests = set(re.findall(r"^def (test_\w+)", code, re.MULTILINE))
    rows = [
        row for row in text_of("docs/threats.md").splitlines() if re.match(r"\| (?!Attack)", row)
    ]
    assert len(rows) > 25
    for row in rows:
        named = set(re.findall(r"`(test_\w+)`", row.rpartition(" | ")[2]))
        assert named, row
        assert named <= tests, row


def test_release_is_the_same_in_package_changelog_and_citation() -> None:
    version = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]
    newest = re.search(r"^## \[(\d[\d.]*)\] - (\S+)$", text_of("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    citation = text_of("CITATION.cff")
    assert (version, f"\nversion: {version}\n" in citation) == (newest[1], True)
    assert f"\ndate-released: {newest[2]}\n" in citation
