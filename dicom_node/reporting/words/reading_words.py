"""What a reader said of a report, in words."""

from dicom_node.foreign_text import cleaned
from dicom_node.records.reading import Reading
from dicom_node.reporting.words.site_words import site_words

__all__ = ["reading_words"]


def reading_words(reading: Reading) -> str:
    """The reader's word in a sentence or two."""
    said = f"Read by {_spoken(reading.reader)}, {reading.moment:%Y-%m-%d %H:%M} UTC"
    changes = []
    if reading.levels_down:
        way = "lower" if reading.levels_down > 0 else "higher"
        changes.append(f"all levels named one {way}")
    if reading.left_out:
        changes.append(f"left out {', '.join(site_words(site) for site in reading.left_out)}")
    moved = dict.fromkeys(region.site for region in reading.moved)
    if moved:
        changes.append(f"moved regions of {', '.join(site_words(site) for site in moved)}")
    if not changes:
        return f"{said}: accepted as measured."
    return f"{said}: {reading.verdict}, with {'; '.join(changes)}; measured by this program."


def _spoken(name: str) -> str:
    """A DICOM person name as it is read aloud: given name first.

    >>> _spoken("Doe^Jane^^Dr")
    'Dr Jane Doe'
    """
    family, given, middle, prefix, suffix = (name.split("^") + [""] * 5)[:5]
    return cleaned(" ".join(part for part in (prefix, given, middle, family, suffix) if part))
