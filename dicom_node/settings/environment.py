"""Environment variables that set the node's settings: their names, and what is wrong with them.

A variable that nothing reads is an error: whoever set it believes that it has an effect.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel

__all__ = ["DELIMITER", "OTHER_VARIABLES", "PREFIX", "environment_problems", "variable_of"]

PREFIX = "OSTEONODE_"

DELIMITER = "__"
"""Stands between a section and its key."""

OTHER_VARIABLES = frozenset(
    {"OSTEONODE_FUZZ", "OSTEONODE_ONLINE", "OSTEONODE_PICTURES", "OSTEONODE_SHARED"}
)
"""Variables that tests and benches read and that are no settings."""

NEAREST = 0.5
"""How alike a right name must be to be proposed, from 0 to 1 (``difflib``'s ratio)."""


def environment_problems(
    settings: type[BaseModel], environment: Mapping[str, str]
) -> tuple[str, ...]:
    """What is wrong with the variables that begin with `PREFIX`, a sentence each.

    Parameters
    ----------
    settings
        The model whose fields can be set.
    environment
        Values by name; upper and lower case are the same.

    Returns
    -------
    tuple of str
        A name that is no setting, with the nearest that is one; a list that is set by index, with
        how to set it; a section or list whose value is not JSON. No value is quoted: it may be a
        password.
    """
    structured = dict(_variables(settings, PREFIX))
    found = []
    for given, value in sorted(environment.items()):
        name = given.upper()
        if not name.startswith(PREFIX) or name in OTHER_VARIABLES:
            continue
        if name not in structured:
            found.append(_unknown(given, structured))
        elif structured[name]:
            try:
                json.loads(value)
            except ValueError as error:
                found.append(
                    f'{given}: a list or a whole section is given in JSON, such as ["a", "b"] or'
                    f' {{"port": 104}} ({error})'
                )
    return tuple(found)


def variable_of(location: Sequence[int | str], environment: Mapping[str, str]) -> str | None:
    """The variable that sets a place in the settings, or None.

    Parameters
    ----------
    location
        Keys and indices from the outermost section inwards, as pydantic names them.
    environment
        Values by name.

    Examples
    --------
    >>> variable_of(("listener", "port"), {"OSTEONODE_LISTENER__PORT": "x"})
    'OSTEONODE_LISTENER__PORT'
    """
    given = {name.upper(): name for name in environment}
    for length in range(len(location), 0, -1):
        name = PREFIX + DELIMITER.join(str(part).upper() for part in location[:length])
        if name in given:
            return given[name]
    return None


def _variables(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, bool]]:
    """The name of each variable, and whether its value is JSON: a section or a list."""
    for field, about in model.model_fields.items():
        name = prefix + field.upper()
        kinds = (about.annotation, *get_args(about.annotation))
        sections = [] if _is_list(about.annotation) else [kind for kind in kinds if _is_model(kind)]
        yield name, bool(sections) or _is_list(about.annotation)
        for section in sections:
            yield from _variables(section, name + DELIMITER)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _unknown(given: str, structured: Mapping[str, bool]) -> str:
    name = given.upper()
    for other, is_json in structured.items():
        first = name.removeprefix(other + DELIMITER).partition(DELIMITER)[0]
        if is_json and name.startswith(other + DELIMITER) and first.isdigit():
            return (
                f"{given}: a list cannot be set by index; give {other} the whole list in JSON,"
                " or set it in the file"
            )
    # compared without the prefix, which is alike in all
    known = [other.removeprefix(PREFIX) for other in structured]
    nearest = get_close_matches(name.removeprefix(PREFIX), known, n=1, cutoff=NEAREST)
    hint = f"did you mean {PREFIX}{nearest[0]}?" if nearest else "see docs/settings.md"
    return f"{given} is no setting; {hint}"
