"""The contents pages: what each sub-package holds or offers, and how much one folder may hold."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PACKAGES = ("roi_extraction", "modeling", "network", "dicom_node")

MOST_MODULES = 16
"""A folder of more wants sub-packages."""

FOLDERS = [
    page.parent.relative_to(ROOT).as_posix()
    for package in PACKAGES
    for page in sorted((ROOT / package).rglob("__init__.py"))
]

SUB_PACKAGES = [folder for folder in FOLDERS if folder not in PACKAGES]


def modules(folder: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / folder).glob("*.py") if path.stem != "__init__")


def contents(folder: str) -> ast.Module:
    return ast.parse((ROOT / folder / "__init__.py").read_text())


def exports(page: ast.Module) -> list[str] | None:
    """The names in ``__all__``, in their order; None without one."""
    for statement in page.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(statement.value)
            return names
    return None


def imported(page: ast.Module) -> set[str]:
    return {
        alias.asname or alias.name
        for statement in page.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def in_order(names: list[str]) -> list[str]:
    """Sorted as ruff sorts ``__all__``: constants, then classes, then functions."""
    return sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))


def test_every_folder_with_modules_is_a_package() -> None:
    holding = {
        path.parent.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    assert holding == set(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_contents_page_opens_with_one_sentence(folder: str) -> None:
    text = ast.get_docstring(contents(folder)) or ""
    opening = text.split("\n\n")[0]
    assert opening.endswith(".")
    assert not re.search(r"[.!?]\s", opening), opening


@pytest.mark.parametrize("folder", SUB_PACKAGES)
def test_a_contents_page_offers_names_or_lists_its_modules(folder: str) -> None:
    page = contents(folder)
    names = exports(page)
    if names is None:
        listed = re.findall(r"^- `(\w+)`: \S", ast.get_docstring(page) or "", re.M)
        assert sorted(listed) == modules(folder)
        assert len(page.body) == 1
    else:
        assert names == in_order(names)
        assert set(names) == imported(page)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_folder_holds_more_than_sixteen_modules(folder: str) -> None:
    assert len(modules(folder)) <= MOST_MODULES
