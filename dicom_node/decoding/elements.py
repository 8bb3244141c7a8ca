"""Read elements of a data set without trusting that they are valid."""

import math
import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from pydicom.config import RAISE
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName, validate_value

from dicom_node.decoding.recall import Recall

__all__ = ["Elements", "fits"]

T = TypeVar("T")

LARGEST_NUMBER = 1e9
"""Numbers beyond it are no lengths, angles or counts of an image and count as unreadable."""


TEXTS = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI")
)
"""Value representations that are written as text (PS3.5, table 6.2-1)."""


class Elements:
    """The elements of one data set; an invalid value counts as missing and is remembered.

    Parameters
    ----------
    dataset
        Any data set; each element is only looked at when it is asked for.
    recall
        What was read from the same elements of other files; None to read all anew.
    """

    def __init__(self, dataset: Dataset, recall: Recall | None = None) -> None:
        self._dataset = dataset
        self._recall = recall
        self._invalid: dict[str, None] = {}

    @property
    def invalid(self) -> tuple[str, ...]:
        """Keywords of the elements that were asked for and hold no valid value."""
        return tuple(self._invalid)

    def values(self, keyword: str) -> tuple[object, ...]:
        """The values of an element; none if it is missing, empty or cannot be read."""
        if self._recall is None:
            return self._values(keyword)
        if dictionary_VR(keyword) == "SQ":
            self._recall.look(tag_for_keyword(keyword) or 0)
            return self._values(keyword)
        return self._once("values", keyword, self._values)

    def _values(self, keyword: str) -> tuple[object, ...]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom warns of what counts as invalid here
                value = self._dataset.get(keyword)
                if value is None or value in ("", b""):
                    return ()
                if isinstance(value, bytes):
                    return (value.decode("ascii"),)
                if isinstance(value, str | PersonName) or not hasattr(value, "__iter__"):
                    return (value,)
                return tuple(value)
        except Exception:  # the parsers' ways to fail on hostile input are open-ended
            self._invalid[keyword] = None
            return ()

    def items(self, keyword: str) -> Sequence[Dataset]:
        """The items of a sequence."""
        return tuple(item for item in self.values(keyword) if isinstance(item, Dataset))

    def text(self, keyword: str) -> str:
        """An element as text, several values joined by backslashes."""
        return self._once("text", keyword, self._text)

    def _text(self, keyword: str) -> str:
        return "\\".join(str(part) for part in self._values(keyword)).strip()

    def numbers(self, keyword: str, count: int) -> list[float] | None:
        """An element's ``count`` numbers; None if it does not hold exactly these."""
        found = self._once(("numbers", count), keyword, lambda name: self._numbers(name, count))
        return None if found is None else list(found)

    def _numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        values = self._values(keyword)
        if not values:
            return None
        try:
            numbers = [float(str(part)) for part in values]
        except ValueError:  # such as a decimal comma
            numbers = []
        in_range = all(
            math.isfinite(number) and abs(number) <= LARGEST_NUMBER for number in numbers
        )
        if len(numbers) == count and in_range:
            return tuple(numbers)
        self._invalid[keyword] = None
        return None

    def number(self, keyword: str) -> float | None:
        """An element's only number."""
        numbers = self.numbers(keyword, 1)
        return None if numbers is None else numbers[0]

    def integer(self, keyword: str) -> int | None:
        """An element's only number, cut to an integer."""
        number = self.number(keyword)
        return None if number is None else int(number)

    def positive(self, keyword: str) -> float | None:
        """An element's only number if it is above zero; zero counts as not stated."""
        number = self.number(keyword)
        if number is not None and number < 0:
            self._invalid[keyword] = None
        return number if number is not None and number > 0 else None

    def check(self, *keywords: str) -> None:
        """Remember those of some elements whose value does not fit its value representation."""
        for keyword in keywords:
            self._once("check", keyword, self._check)

    def _check(self, keyword: str) -> None:
        values = self._values(keyword)
        too_many = len(values) > 1 and dictionary_VM(keyword) == "1"
        if too_many or not all(fits(keyword, str(value)) for value in values):
            self._invalid[keyword] = None

    def _once(self, purpose: Hashable, keyword: str, read: Callable[[str], T]) -> T:
        """What ``read`` finds in an element, recalled if its bytes were read before."""
        tag = tag_for_keyword(keyword)
        if self._recall is None or tag is None:
            return read(keyword)

        def with_validity() -> tuple[T, bool]:
            before, self._invalid = self._invalid, {}
            found = read(keyword)
            invalid, self._invalid = bool(self._invalid), before
            return found, invalid

        found, invalid = self._recall.once(purpose, tag, with_validity)
        if invalid:
            self._invalid[keyword] = None
        return found


def fits(keyword: str, value: str) -> bool:
    """Whether a text may stand in an element: its length, characters and enumerated values.

    >>> fits("PatientSex", "F"), fits("PatientSex", "W"), fits("AccessionNumber", "1" * 17)
    (True, False, False)
    """
    vr = dictionary_VR(keyword)
    if vr not in TEXTS:
        return True
    if keyword == "PatientSex" and value.strip() not in ("", "M", "F", "O"):
        return False
    if vr in ("LO", "SH", "PN", "CS") and not all(c.isprintable() or c == "\x1b" for c in value):
        return False
    try:
        validate_value(vr, value, RAISE)
    except (ValueError, TypeError, OverflowError):
        return False
    return True
