"""What the pages say of a study: its result, why there is none, its warnings."""

from dicom_node.pages.rendering import text
from dicom_node.records.listed_studies import ListedStudy, StudyState
from dicom_node.reporting.words.impression import STAGE_NAMES
from dicom_node.reporting.words.refusal_words import refusal_advice
from dicom_node.reporting.words.warning_words import WARNING_WORDS
from modeling import Stage

__all__ = ["advice_words", "result_words", "warning_words"]


def result_words(row: ListedStudy) -> str:
    """The result that is listed, in words; empty if there is none."""
    if row.result == "staged" and row.stage in set(Stage):
        return text("studies.stage", stage=row.stage, name=STAGE_NAMES[Stage(row.stage)])
    return text(f"results.{row.result}") if row.result else ""


def advice_words(row: ListedStudy) -> str:
    """What would help a study that was not assessed; empty for others."""
    held = row.state in (StudyState.REFUSED, StudyState.FAILED)
    return refusal_advice(row.code) if held and row.code else ""


def warning_words(code: str) -> str:
    """A warning of the list in a few words; the code itself if it is of another version."""
    known = WARNING_WORDS.get(code)
    return code if known is None else known.meaning
