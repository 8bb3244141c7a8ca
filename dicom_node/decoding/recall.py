"""What was read from an element, recalled for the same bytes in the next file of a series."""

from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

__all__ = ["ENCODING_TAG", "HeaderMemory", "Recall"]

T = TypeVar("T")

LONGEST_VALUE = 1024
"""Longer values are read each time, bytes."""

MOST_RESULTS = 200_000
"""So many results are kept of one encoding; a thousand images differ in thousands of values."""

ENCODING_TAG = 0x00080005
"""Specific Character Set."""

PIXEL_REPRESENTATION_TAG = 0x00280103
"""Says whether elements that may be signed or not are signed."""


class HeaderMemory:
    """Results of reading the headers of many files, of which most elements are alike."""

    def __init__(self) -> None:
        self._by_encoding: dict[Hashable, dict[Hashable, Any]] = defaultdict(dict)

    def of(self, dataset: Dataset) -> "Recall":
        """The memory as it serves one data set, none of whose elements was looked at."""
        return Recall(self._by_encoding, dataset)


class Recall:
    """The memory for one data set.

    A result depends on the elements' own bytes, and on how the data set is encoded.
    """

    def __init__(self, by_encoding: dict[Hashable, dict[Hashable, Any]], dataset: Dataset) -> None:
        self._raw: dict[int, Hashable] = {}
        self._looked_at: dict[int, Hashable] | None = None
        self._tags = {int(tag) for tag in dataset.keys()}  # noqa: SIM118
        for element in dataset.values():
            if isinstance(element, RawDataElement) and element.length <= LONGEST_VALUE:
                self._raw[int(element.tag)] = (element.VR, element.value)
        encoding = (
            dataset.original_encoding,
            self._raw.get(ENCODING_TAG, str(dataset.original_character_set)),
            self._raw.get(PIXEL_REPRESENTATION_TAG),
        )
        self._results = by_encoding[encoding]

    @property
    def tags(self) -> set[int]:
        """The tags that the data set holds."""
        return self._tags

    def once(self, purpose: Hashable, tag: int, read: Callable[[], T]) -> T:
        """What ``read`` returns, without reading if the same bytes were read before.

        Parameters
        ----------
        purpose
            What is read; with the element's value it decides the result.
        tag
            The element, which the data set need not hold.
        read
            Looks at this element of the data set and at no other.
        """
        raw = self._seen(tag)
        if raw is _UNKNOWN:
            return read()
        key = (purpose, tag, raw)
        if key in self._results:
            known: T = self._results[key]
            return known
        result = read()
        if len(self._results) < MOST_RESULTS:
            self._results[key] = result
        return result

    def look(self, tag: int) -> None:
        """Note that an element is read without `once`, for what `alike` returns."""
        self._seen(tag)

    def alike(self, purpose: Hashable, read: Callable[[], T]) -> T:
        """What ``read`` returned for the last file, if all that it looked at is the same in this.

        Parameters
        ----------
        purpose
            What is read.
        read
            Looks at elements by `once`, or tells of them by `look`, and at nothing else.
        """
        last = self._results.get((purpose, "alike"))
        if last is not None:
            looked_at, known = last
            if all(self._raw_or_unknown(tag) == raw for tag, raw in looked_at.items()):
                found: T = known
                return found
        self._looked_at = {}
        result, looked_at, self._looked_at = read(), self._looked_at, None
        if _UNKNOWN not in looked_at.values():
            self._results[purpose, "alike"] = looked_at, result
        return result

    def _seen(self, tag: int) -> Hashable:
        raw = self._raw_or_unknown(tag)
        if self._looked_at is not None:
            self._looked_at[tag] = raw
        return raw

    def _raw_or_unknown(self, tag: int) -> Hashable:
        raw = self._raw.get(tag)
        return _UNKNOWN if raw is None and tag in self._tags else raw


_UNKNOWN = object()
"""Stands for the bytes of an element that is there but not compared."""
