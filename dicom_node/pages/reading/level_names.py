"""Sites under other names of their levels."""

from collections.abc import Sequence
from typing import TypeVar

from roi_extraction.sites import SITES_BY_NAME, DiscLevel, Level, Site

__all__ = ["group_of", "renamed"]

Name = TypeVar("Name")


def renamed(site: str, down: int) -> str | None:
    """A site's name once all levels are named otherwise; None beyond L1 and S1.

    Parameters
    ----------
    site
        Its name until now.
    down
        How many levels lower every level is named.

    Examples
    --------
    >>> renamed("L1", 1), renamed("L1-L2_3", 1), renamed("S1", 1)
    ('L2', 'L2-L3_3', None)
    """
    found = SITES_BY_NAME[site]
    if found.level is not None:
        level = _neighbour(list(Level), found.level, down)
        return None if level is None else level.value
    assert found.disc is not None
    disc = _neighbour(list(DiscLevel), found.disc, down)
    return None if disc is None else f"{disc}_{site.rpartition('_')[2]}"


def group_of(site: Site) -> str:
    """The level or disc at which a site lies."""
    return str(site.level or site.disc)


def _neighbour(names: Sequence[Name], name: Name, step: int) -> Name | None:
    position = names.index(name) + step
    return names[position] if 0 <= position < len(names) else None
