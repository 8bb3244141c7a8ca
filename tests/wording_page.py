"""Writes docs/wording.md: `python -m tests.wording_page`."""

from itertools import combinations
from pathlib import Path

from dicom_node.reporting.words.impression import Evidence, impression
from dicom_node.reporting.words.refusal_words import REFUSAL_ADVICE
from dicom_node.reporting.words.site_words import MISSING_WORDS
from dicom_node.reporting.words.warning_words import WARNING_WORDS
from modeling import Stage

PAGE = Path(__file__).parents[1] / "docs" / "wording.md"

HEAD = """# Wording

What a reader reads is written by one piece of code (`dicom_node/reporting/words/`), so that
Structured Report, `report.json` and `report.txt` say the same. This page is made from it
(`python -m tests.wording_page`); a test keeps it in step, and another one writes every combination
and holds it to three sentences and 60 words.

The impression says first what L1 says by the published thresholds of 110 and 160 HU (Pickhardt
2013, doi 10.7326/0003-4819-158-8-201304160-00003) and what the cohort's model says; then what
limits both; then what it is not. Of a prediction set of more than two stages none is called. Where
all stages of the set contradict the threshold, the sentence says so and why.
"""


def wording_page() -> str:
    """The page's text."""
    sets = [found for size in range(5) for found in combinations(Stage, size)]
    lines = [
        HEAD,
        "## Bone density",
        "",
        "| L1, HU | Prediction set | First sentence |",
        "|---|---|---|",
    ]
    for l1_hu in (97.0, 135.0, 190.0, None):
        for stages in sets:
            said = impression(Evidence(l1_hu, stages=stages))[0]
            letters = ", ".join(stages) or "none"
            lines.append(f"| {'-' if l1_hu is None else f'{l1_hu:.0f}'} | {letters} | {said} |")
    said = impression(Evidence(97.0, codes=("model.too_few_vertebrae",)))[0]
    lines.append(f"| 97, few other regions | none | {said} |")
    for kvp, meant in ((140.0, "140 kVp"), (None, "unknown kVp"), (120.0, "several spectra")):
        said = impression(Evidence(97.0, kvp=kvp, at_cohort_kvp=False))[0]
        lines.append(f"| 97, {meant} | none | {said} |")
    some = Evidence(97.0, stages=(Stage.C,), codes=("acquisition.contrast", "roi.fractured"))
    lines += [
        "", "## Limits", "", "Two limits, and more than three:", "",
        f"> {impression(some)[1]}", ">",
        f"> {impression(Evidence(97.0, codes=tuple(WARNING_WORDS), missing=4))[1]}", "",
        "| Warning | Code in the report | Meaning | Named as a limit |", "|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| `{code}` | `{words.short}` | {words.meaning} | {words.limit or '-'} |"
        for code, words in WARNING_WORDS.items()
    ]
    lines += ["", "## Why a site has no value", "", "| Reason | Words |", "|---|---|"]
    lines += [f"| `{reason}` | {words} |" for reason, words in MISSING_WORDS.items()]
    lines += [
        "",
        "## Not analysed",
        "",
        "A scan that was refused gets the reason in words, then:",
        "",
    ]
    lines += ["| Reason | What would help |", "|---|---|"]
    lines += [f"| `{code}` | {words}. |" for code, words in REFUSAL_ADVICE.items()]
    last = impression(Evidence(97.0))[-1]
    return "\n".join([*lines, "", "## The last sentence", "", f"> {last}", ""])


if __name__ == "__main__":
    PAGE.write_text(wording_page())
