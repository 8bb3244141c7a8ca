"""How often readers accept what was measured, and by how much they correct it.

What a reader says of another reader's version counts as theirs; for the measurements the newest
word on each report of the program counts alone.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from dicom_node.work.listing.kept_readings import KeptReading
from modeling.validation.patient_bootstrap import Estimate, wilson
from roi_extraction.sites import SITES

__all__ = ["VERDICTS", "Agreement", "SiteDifference", "Verdicts", "agreement_of", "bland_altman"]

VERDICTS = ("accepted", "corrected", "rejected")

NORMAL_95 = 1.96
"""Standard deviations on either side of the mean within which 95 % of differences lie."""

NO_SCANNER = "not stated"


@dataclass(frozen=True)
class Verdicts:
    """How many words of each kind a month, a reader or a scanner has."""

    name: str
    accepted: int
    corrected: int
    rejected: int

    @property
    def number(self) -> int:
        """All together."""
        return self.accepted + self.corrected + self.rejected


@dataclass(frozen=True)
class SiteDifference:
    """How far a site's HU lie from the program's once readers corrected the report.

    Parameters
    ----------
    site
        Its name.
    n
        Corrected reports that have a value before and after.
    bias_hu
        Mean of after less before, HU.
    low_hu, high_hu
        Limits of agreement, HU; None for fewer than two reports.
    """

    site: str
    n: int
    bias_hu: float
    low_hu: float | None
    high_hu: float | None


@dataclass(frozen=True)
class Agreement:
    """The figures of the page.

    Parameters
    ----------
    words
        Number of words of readers.
    reports
        Number of the program's reports that they are about.
    readers
        Number of readers.
    by_month, by_reader, by_scanner
        Verdicts by month (UTC), reader and scanner, in the order of their names.
    levels
        Share of the reports that were accepted or corrected in which readers named the levels
        otherwise; None where there is no such report.
    levels_wrong, levels_read
        The numbers behind it.
    differences
        Of the sites that have any, in the order of the cohort's columns.
    reasons
        Of rejections, as they were written, the most frequent first.
    """

    words: int
    reports: int
    readers: int
    by_month: tuple[Verdicts, ...]
    by_reader: tuple[Verdicts, ...]
    by_scanner: tuple[Verdicts, ...]
    levels: Estimate | None
    levels_wrong: int
    levels_read: int
    differences: tuple[SiteDifference, ...]
    reasons: tuple[tuple[str, int], ...]


def agreement_of(words: Sequence[KeptReading]) -> Agreement:
    """The figures of all words, which come the first one first."""
    newest = {(word.study, word.own): word for word in words}.values()
    measured = [word for word in newest if word.verdict != "rejected"]
    wrong = sum(word.levels_down != 0 for word in measured)
    reasons = Counter(word.reason for word in words if word.verdict == "rejected")
    return Agreement(
        words=len(words),
        reports=len(newest),
        readers=len({word.reader for word in words}),
        by_month=_verdicts(words, _month),
        by_reader=_verdicts(words, lambda word: word.reader),
        by_scanner=_verdicts(words, lambda word: word.scanner or NO_SCANNER),
        levels=wilson(wrong, len(measured)) if measured else None,
        levels_wrong=wrong,
        levels_read=len(measured),
        differences=_differences(word for word in measured if word.verdict == "corrected"),
        reasons=tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
    )


def bland_altman(differences: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Bias and 95 % limits of agreement of paired differences.

    The limits are the mean less and plus 1.96 standard deviations.

    Parameters
    ----------
    differences
        One a pair, at least one.

    Returns
    -------
    tuple
        Bias, lower and upper limit; the limits are None for fewer than two pairs.

    References
    ----------
    Bland JM, Altman DG. Statistical methods for assessing agreement between two methods of
    clinical measurement. Lancet 1986, doi 10.1016/S0140-6736(86)90837-8.

    Examples
    --------
    >>> bland_altman([1.0, 3.0])[0]
    2.0
    """
    values = np.asarray(differences, dtype=np.float64)
    bias = float(values.mean())
    if len(values) < 2:
        return bias, None, None
    half = NORMAL_95 * float(values.std(ddof=1))
    return bias, bias - half, bias + half


def _verdicts(
    words: Iterable[KeptReading], name: Callable[[KeptReading], str]
) -> tuple[Verdicts, ...]:
    counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for word in words:
        counted[name(word)][word.verdict] += 1
    return tuple(
        Verdicts(group, *(counted[group][verdict] for verdict in VERDICTS))
        for group in sorted(counted)
    )


def _differences(corrected: Iterable[KeptReading]) -> tuple[SiteDifference, ...]:
    by_site: defaultdict[str, list[float]] = defaultdict(list)
    for word in corrected:
        for site in word.before.keys() & word.after.keys():
            by_site[site].append(word.after[site] - word.before[site])
    found: Mapping[str, list[float]] = by_site
    return tuple(
        SiteDifference(site.name, len(found[site.name]), *bland_altman(found[site.name]))
        for site in SITES
        if site.name in found
    )


def _month(word: KeptReading) -> str:
    return f"{datetime.fromtimestamp(word.moment / 1000, UTC):%Y-%m}"
