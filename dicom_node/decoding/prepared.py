"""Data sets of elements that are there already, made without pydicom's constructor.

It looks at each of a dozen attributes whether it is a keyword of DICOM: 12 microseconds a data set,
of which a report has thousands.
"""

from collections.abc import MutableSequence
from functools import lru_cache
from typing import Any

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

__all__ = ["held_element", "prepared_dataset", "same_tag"]

Encoding = str | tuple[str, ...]

HELD = "_dict"
"""pydicom's name of the attribute that holds the elements."""


def prepared_dataset(
    elements: dict[BaseTag, DataElement | RawDataElement],
    encodings: tuple[str | MutableSequence[str], str | MutableSequence[str]] | None = None,
) -> Dataset:
    """A data set that holds some elements; the same as pydicom makes.

    Parameters
    ----------
    elements
        By their tags; the data set keeps this very mapping.
    encodings
        Where the elements were read in Explicit VR Little Endian: Python's names of the character
        sets of the data set that they are in, and of their own. None where they were not read.
    """
    pattern = _pattern(*(_key(encoding) for encoding in encodings or ()))
    dataset = Dataset.__new__(Dataset)
    state = dataset.__dict__
    state.update(pattern)
    for name in _changeable():
        state[name] = {}
        state[name].update(pattern[name])
    state[HELD] = elements
    return dataset


def held_element(dataset: Dataset, tag: BaseTag) -> DataElement | RawDataElement | None:
    """An element as a data set holds it, as its ``get_item`` returns it; ``tag`` by `same_tag`."""
    element: DataElement | RawDataElement | None = dataset.__dict__[HELD].get(tag)
    if type(element) is RawDataElement and element.value is None:
        return dataset[tag]
    return element


@lru_cache(maxsize=4096)
def same_tag(number: int) -> BaseTag:
    """The same object each time: pydicom compares tags that differ in identity in Python."""
    return BaseTag(number)


def _key(encoding: str | MutableSequence[str]) -> Encoding:
    return encoding if isinstance(encoding, str) else tuple(encoding)


@lru_cache(maxsize=64)
def _pattern(*encodings: Encoding) -> dict[str, Any]:
    """The attributes of an empty data set as pydicom makes it."""
    if not encodings:
        return vars(Dataset())
    outer, own = (names if isinstance(names, str) else list(names) for names in encodings)
    dataset = Dataset({}, parent_encoding=outer)
    dataset.set_original_encoding(False, True, own)
    return vars(dataset)


@lru_cache(maxsize=1)
def _changeable() -> tuple[str, ...]:
    """The attributes of which each data set has its own, beside its elements."""
    return tuple(
        name for name, value in _pattern().items() if isinstance(value, dict) and name != HELD
    )
