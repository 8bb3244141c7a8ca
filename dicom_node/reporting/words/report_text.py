"""The case report in plain text, for a terminal or a log reader; no patient data."""

from dicom_node.foreign_text import cleaned
from dicom_node.reporting.report_model import CaseReport, Refusal, Report
from dicom_node.reporting.words.call_words import worth_words
from dicom_node.reporting.words.comparison_words import comparison_words
from dicom_node.reporting.words.document_words import l1_line, missing_lines
from dicom_node.reporting.words.impression import mix_words
from dicom_node.reporting.words.reading_words import reading_words
from dicom_node.reporting.words.reference_words import reference_rows
from dicom_node.reporting.words.site_words import site_words

__all__ = ["text_summary"]


def text_summary(report: CaseReport) -> str:
    """The report in lines of text, ending with a line break."""
    lines = ["osteonode report", report.statement, "", *report.impression, ""]
    if isinstance(report, Report) and report.reading is not None:
        lines += [reading_words(report.reading), ""]
    lines += [f"Series    {cleaned(report.series_uid) or '(no UID)'}"]
    if isinstance(report, Refusal):
        lines += [f"REFUSED   {report.refused.message} [{report.refused.code}]"]
    else:
        lines += [*_stage_lines(report), "", *_site_lines(report), ""]
        lines += [f"Reference {name}: {value}" for name, value in reference_rows(report)]
        lines += [f"Change    {words}" for words in comparison_words(report.comparison)]
        lines += _explanation_lines(report)
    for warning in report.warnings:
        lines.append(f"Warning   {warning.message} [{warning.code}]")
    for series in report.rejected_series:
        lines.append(f"Rejected  {cleaned(series.series_uid)}: {series.message} [{series.code}]")
    return "\n".join(lines) + "\n"


def _stage_lines(report: Report) -> list[str]:
    stage = report.stage
    if stage.predicted:
        probabilities = "  ".join(f"{k} {v:.2f}" for k, v in stage.probabilities.items())
        lines = [
            f"Stage     {stage.predicted} - {stage.statement}",
            f"          probabilities {probabilities}; 90 % prediction set "
            f"{{{', '.join(stage.prediction_set)}}}",
        ]
    else:
        lines = [f"Stage     none: {stage.abstained}"]
    if stage.osteoporosis is not None:
        lines.append(f"C or D    {stage.osteoporosis}")
    if stage.prevalence:
        lines.append(f"Mix       {mix_words(stage.prevalence)}")
    if stage.predicted and stage.predictive_values:
        lines.append(f"Worth     {worth_words(stage.predicted, stage.predictive_values)}")
    if stage.at_minus_10_hu is not None:
        lines.append(f"At 10 HU  less {stage.at_minus_10_hu}, more {stage.at_plus_10_hu}")
    if stage.novelty_percentile is not None:
        lines.append(
            f"Unusual   more than {stage.novelty_percentile:.0f} % of the cohort's patients"
        )
    value, verdict = l1_line(report)
    return [
        *lines,
        f"L1        {value.removeprefix('L1 ')}, {verdict}",
        f"Model     {stage.model_id}",
    ]


def _site_lines(report: Report) -> list[str]:
    values = {
        site.name: "-" if site.mean_hu is None else f"{site.mean_hu:.1f}" for site in report.sites
    }
    names = list(values)
    lines = ["Bone HU   " + "  ".join(f"{name} {values[name]}" for name in names[:6])]
    columns = ("transversospinalis", "longissimus", "psoas major")
    lines.append("Muscle HU " + " " * 8 + "".join(f"{name:>20}" for name in columns))
    for disc in dict.fromkeys(name.split("_")[0] for name in names[6:]):
        for side, numbers in (("right", (1, 2, 3)), ("left", (4, 5, 6))):
            row = "".join(f"{values[f'{disc}_{k}']:>20}" for k in numbers)
            lines.append(f"  {disc:<8}{side:<8}{row}")
    return lines + [f"Missing   {words}" for words in missing_lines(report)]


def _explanation_lines(report: Report) -> list[str]:
    lines = []
    for item in report.explanation[:5]:
        places = "; ".join(
            f"{site_words(place.site)}: number {place.strength_rank} by strength"
            for place in item.network[:3]
        )
        value = "missing" if item.value is None else f"{item.value:.1f}"
        lines.append(
            f"Because   {site_words(item.feature)} = {value} ({item.shap:+.3f})"
            + (f"  [in the network {places}]" if places else "")
        )
    return lines
