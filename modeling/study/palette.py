"""The colours of the study's figures, told apart by colour-blind readers.

References
----------
Okabe M, Ito K. Color universal design, 2008.
"""

__all__ = [
    "BLUE",
    "GREEN",
    "ORANGE",
    "PURPLE",
    "SKY_BLUE",
    "VERMILION",
    "YELLOW",
]

BLUE = "#0072b2"

GREEN = "#009e73"

ORANGE = "#e69f00"

PURPLE = "#cc79a7"

SKY_BLUE = "#56b4e9"

VERMILION = "#d55e00"

YELLOW = "#f0e442"
