"""How the levels were named, in words."""

from roi_extraction.anatomy import LevelNaming, NamingRoute
from roi_extraction.sites import Side

__all__ = ["level_words"]

ROUTE_WORDS: dict[NamingRoute, str] = {
    NamingRoute.SACRUM: "counted upwards from the sacrum; five lumbar vertebrae assumed",
    NamingRoute.RIBS_PAIR: "counted downwards from the 12th ribs; twelve pairs assumed",
    NamingRoute.RIBS_COUNT: "counted downwards from the 12th ribs; twelve pairs counted",
}

CONFIRMED = "counted upwards from the sacrum, confirmed by the last ribs"


def level_words(naming: LevelNaming) -> str:
    """How the levels were named, with the lengths of the ribs that were used.

    >>> level_words(LevelNaming(NamingRoute.SACRUM, {(12, Side.RIGHT): 144.2}, 2))
    'counted upwards from the sacrum, confirmed by the last ribs (12th rib: right 144 mm)'
    """
    ribs = []
    for number in sorted({number for number, _ in naming.rib_lengths_mm}, reverse=True):
        sides = [
            f"{side} {naming.rib_lengths_mm[number, side]:.0f} mm"
            for side in Side
            if (number, side) in naming.rib_lengths_mm
        ]
        ribs.append(f"{number}th rib: {', '.join(sides)}")
    words = CONFIRMED if naming.confirmed_by_ribs else ROUTE_WORDS[naming.route]
    return words + (f" ({'; '.join(ribs)})" if ribs else "")
