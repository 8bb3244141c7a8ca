"""One name, one number: no two modules of a package give one constant's name to two things."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PACKAGES = ("roi_extraction", "modeling", "network", "dicom_node")


def constants(package: str) -> Iterator[tuple[str, str, ast.expr]]:
    """Module, name and value of every upper-case name that a package's modules define."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Assign):
                targets, value = statement.targets, statement.value
            elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
                targets, value = [statement.target], statement.value
            else:
                continue
            for target in targets:
                for node in ast.walk(target):
                    if isinstance(node, ast.Name) and node.id.isupper():
                        yield str(path.relative_to(ROOT)), node.id.lstrip("_"), value


def is_numeric(value: ast.expr) -> bool:
    """Whether a value is written with numbers and without text."""
    found = [type(node.value) for node in ast.walk(value) if isinstance(node, ast.Constant)]
    return bool({int, float} & set(found)) and str not in found


def shared_names(*packages: str, numeric: bool) -> dict[str, list[str]]:
    """Modules by constant's name, where more than one module defines it."""
    modules = defaultdict(list)
    for package in packages:
        for module, name, value in constants(package):
            if is_numeric(value) or not numeric:
                modules[name].append(module)
    return {name: found for name, found in modules.items() if len(set(found)) > 1}


def test_no_two_modules_of_roi_extraction_define_the_same_constant() -> None:
    assert shared_names("roi_extraction", numeric=False) == {}


def test_no_two_modules_define_the_same_numeric_constant() -> None:
    assert shared_names(*PACKAGES, numeric=True) == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_constants_of_every_package_are_found(package: str) -> None:
    assert sum(is_numeric(value) for _, _, value in constants(package)) >= 5
