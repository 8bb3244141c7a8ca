"""A validation's results as sections to read: method, findings, tables and figures."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd

from modeling.study.step import Figure, StepResult, Table
from modeling.validation.calibration_check import questions
from modeling.validation.figures import (
    plot_areas,
    plot_changes,
    plot_decisions,
    plot_reliability,
    plot_roc,
    plot_sets,
    plot_subgroups,
)
from modeling.validation.validation import Validation

__all__ = ["Section", "sections_of", "stated"]

Item = TypeVar("Item")


@dataclass(frozen=True)
class Section:
    """One section of the report: its folder's name, its heading, its results."""

    name: str
    title: str
    result: StepResult


NET_BENEFIT_CAPTION = (
    "Net benefit of acting by the model, on all and on none; gain: the model less the better of "
    "these."
)

CALL_MEASURES = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
}
"""What is said of a call, by the key of the results."""

MEASURE_WORDS = {
    "log_loss": "log-loss of the stage",
    "brier": "Brier score of the stage (0 to 2)",
    "mean_pair_auroc": "mean pair AUROC",
    "osteoporosis_auroc": "AUROC of C or D",
    "osteoporosis_slope": "calibration slope of C or D",
    "osteoporosis_intercept": "calibration intercept of C or D",
}
"""What a measure is called in tables and figures."""


def sections_of(found: Validation) -> tuple[Section, ...]:
    """Write a validation's results as sections, in reading order."""
    return (
        Section("patients", "Patients", _patients(found)),
        Section("discrimination", "Discrimination", _discrimination(found)),
        Section("calibration", "Calibration", _calibration(found)),
        Section("coverage", "Prediction sets", _coverage(found)),
        Section("decisions", "Decision curves", _decisions(found)),
        Section("subgroups", "Subgroups", _subgroups(found)),
        Section("recalibration", "Recalibration", _recalibration(found)),
    )


def stated(entry: Mapping[str, Any] | None, digits: int = 3) -> str:
    """Write a value with its interval for reading.

    >>> stated({"value": 0.8123, "ci": [0.75, 0.87]}), stated({"value": 1.0, "ci": None})
    ('0.812 [0.750, 0.870]', '1.000 [no interval]')
    >>> stated({"value": None, "ci": None}), stated(None)
    ('none', 'none')
    """
    if entry is None or entry["value"] is None:
        return "none"
    if entry["ci"] is None:
        return f"{entry['value']:.{digits}f} [no interval]"
    low, high = entry["ci"]
    return f"{entry['value']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _columns(prefix: str, entry: Mapping[str, Any] | None) -> dict[str, Any]:
    """A value and the ends of its interval as three columns."""
    low, high = (entry or {}).get("ci") or (None, None)
    return {prefix: (entry or {}).get("value"), f"{prefix} from": low, f"{prefix} to": high}


def _reason(entry: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A column that says why a row lacks figures, if any row does."""
    needed = any("reason" in one for one in entries)
    return {"left out": entry.get("reason", "")} if needed else {}


def _patients(found: Validation) -> StepResult:
    table = found.results["table"]
    counts = table["staged"]
    staged = sum(counts.values())
    rows = [
        ("rows of the table", table["rows"]),
        ("patients with a stage of the reference and a measured site", table["patients"]),
        *((f"of them the model abstains: {code}", n) for code, n in table["abstained"].items()),
        *((f"staged, {stage} by the reference", n) for stage, n in counts.items()),
    ]
    absent = 36 - len(table["sites"])
    findings = [
        f"{staged} of {table['patients']} patients are staged; every figure below is of these.",
        *([f"{absent} of the 36 sites have no column."] if absent else []),
        *([f"left out: {table['repeated_rows']} repeated rows"] if table["repeated_rows"] else []),
        *(finding["message"] for finding in table["findings"]),
    ]
    return StepResult(
        "One row a patient: rows without a stage of the reference or without any site, later rows "
        "of a patient and repeated rows are left out. Patients for whom the model abstains have no "
        "figures; their share says how often the model can be used here.",
        tuple(findings),
        (Table("patients", "Patients.", pd.DataFrame(rows, columns=["what", "count"])),),
        values={"table": table},
    )


def _discrimination(found: Validation) -> StepResult:
    results = found.results
    known = results["model_scores"]["pairs"]
    yes = results["osteoporosis"]
    rows = []
    for name, entry in (*results["pairs"].items(), ("C or D", yes)):
        area = {"value": entry.get("auroc"), "ci": entry.get("ci")}
        drawn = entry.get("ci_bootstrap") or (None, None)
        rows.append(
            {
                "question": name,
                "n earlier (no)": entry["n"][0],
                "n later (yes)": entry["n"][1],
                **_columns("AUROC", area),
                "bootstrap from": drawn[0],
                "bootstrap to": drawn[1],
                "model's own, nested": known.get(name),
                **_reason(entry, (*results["pairs"].values(), yes)),
            }
        )
    calls = [
        {"of the call of C or D": words, **_columns("share", yes[name])}
        for name, words in CALL_MEASURES.items()
        if name in yes
    ]
    tables = [Table("areas", "Areas under the ROC curves.", pd.DataFrame(rows))]
    if calls:
        caption = "The call of osteoporosis by the most probable stage (C or D against A or B)."
        tables.append(Table("calls", caption, pd.DataFrame(calls)))
    return StepResult(
        "A pair's AUROC is that of its calibrated probability of the later stage, among the "
        "patients of the two; of C or D that of P(C) + P(D) among all. Intervals by DeLong 1988 "
        "(doi 10.2307/2531595) on the logit scale, and by "
        f"{results['bootstrap']['draws']} draws of patients with replacement (percentiles, seed "
        f"{results['bootstrap']['seed']}); that of the mean by the draws. Of shares: Wilson 1927 "
        "(doi 10.1080/01621459.1927.10502953). PPV and NPV belong to this table's shares of the "
        "stages.",
        (*_discrimination_findings(results),),
        tuple(tables),
        (
            *_if(
                yes.get("auroc") is not None or results["mean_pair_auroc_of"],
                Figure("roc", "ROC curves.", lambda: plot_roc(found.predictions)),
            ),
            Figure(
                "areas",
                "AUROC with 95 % intervals (DeLong), beside the model's own nested figures.",
                lambda: plot_areas(results),
            ),
        ),
        {key: results[key] for key in ("pairs", "mean_pair_auroc", "osteoporosis")},
    )


def _discrimination_findings(results: Mapping[str, Any]) -> list[str]:
    names = results["mean_pair_auroc_of"]
    mean = {"value": results["mean_pair_auroc"], "ci": results["mean_pair_auroc_ci"]}
    found = []
    if names:
        found.append(f"Mean pair AUROC {stated(mean)} (of {', '.join(names)}).")
    left_out = [n for n, entry in results["pairs"].items() if "reason" in entry]
    if left_out:
        reasons = {results["pairs"][name]["reason"] for name in left_out}
        found.append(f"Without {', '.join(left_out)}: {'; '.join(sorted(reasons))}.")
    yes = results["osteoporosis"]
    if "auroc" in yes:
        area = {"value": yes["auroc"], "ci": yes["ci"]}
        found.append(
            f"C or D: AUROC {stated(area)}; called by the most probable stage with sensitivity "
            f"{stated(yes['sensitivity'])} and specificity {stated(yes['specificity'])}."
        )
    else:
        found.append(f"C or D is not scored: {yes['reason']}.")
    return found


def _calibration(found: Validation) -> StepResult:
    calibration = found.results["calibration"]
    rows = [
        {
            "question": name,
            "n no": entry["n"][0],
            "n yes": entry["n"][1],
            **_columns("slope", entry.get("slope")),
            **_columns("intercept", entry.get("intercept")),
            **_columns("O/E", entry.get("observed_by_expected")),
            "stated": entry.get("stated"),
            "found": entry.get("found"),
            **_reason(entry, calibration["questions"].values()),
        }
        for name, entry in calibration["questions"].items()
    ]
    overall = [
        {"measure": MEASURE_WORDS[name], **_columns("value", calibration[name])}
        for name in ("brier", "log_loss")
    ]
    yes = calibration["questions"]["C or D"]
    findings = [
        f"C or D: slope {stated(yes['slope'])}, intercept {stated(yes['intercept'])}; stated "
        f"{yes['stated']:.1%} on average, found {yes['found']:.1%}."
        if "slope" in yes
        else f"C or D is not judged: {yes['reason']}."
    ]
    asked = questions(found.predictions)
    usable = any(question.reason is None for question in asked)
    return StepResult(
        "Slope: of the outcome on the logit of its stated probability, 1 if neither too bold "
        "(below 1) nor too timid. Intercept: the log-odds to add at slope 1 (calibration in the "
        "large), above 0 where the model states too little (Cox 1958, doi "
        "10.1093/biomet/45.3-4.562; Van Calster 2019, doi 10.1186/s12916-019-1466-7). O/E: "
        "patients observed by expected. Letters A to D: that stage against all "
        "others; a pair: the later stage, among the patients of the two. Intervals over "
        f"{found.results['bootstrap']['draws']} draws of patients. In the figure: up to ten groups "
        "of equal size with Wilson intervals.",
        tuple(findings),
        (
            Table("calibration", "Calibration of each question.", pd.DataFrame(rows)),
            Table("overall", "Of the four probabilities together.", pd.DataFrame(overall)),
        ),
        (
            *_if(
                usable,
                Figure(
                    "reliability",
                    "Found share over stated probability.",
                    lambda: plot_reliability(asked),
                ),
            ),
        ),
        calibration,
    )


def _coverage(found: Validation) -> StepResult:
    coverage = found.results["coverage"]
    rows = [
        {"stage": name, "n": entry["n"], **_columns("covered", entry)}
        for name, entry in (*coverage["by_stage"].items(), ("all", coverage["all"]))
    ]
    answers = [
        {
            "by the reference": "C or D" if name == "yes" else "A or B",
            "n": entry["n"],
            **_columns("covered", entry["covered"]),
            **_columns("decided", entry["decided"]),
        }
        for name, entry in coverage["osteoporosis_by_class"].items()
    ]
    yes, no = (coverage["osteoporosis_by_class"][name]["covered"] for name in ("yes", "no"))
    sizes = pd.DataFrame(
        [{"stages in the set": int(k), "share": share} for k, share in coverage["sizes"].items()]
    )
    return StepResult(
        "The share of patients whose prediction set holds the stage of the reference (Wilson "
        f"intervals); {coverage['intended']:.0%} of each stage are intended. Osteoporosis "
        "(C or D): yes, no or undetermined by limits of its own, as in the node's report; covered "
        f"are those who are not told the contrary, {coverage['intended']:.0%} of either class "
        "intended.",
        (
            f"Sets hold the stage in {stated(coverage['all'])} and have "
            f"{stated(coverage['set_size'], 2)} stages.",
            f"Osteoporosis (C or D) is decided in {stated(coverage['osteoporosis_decided'])}; "
            f"covered: {stated(yes)} of those who have it, {stated(no)} of the others.",
        ),
        (
            Table("coverage", "Coverage.", pd.DataFrame(rows)),
            Table("sizes", "Sizes of the sets.", sizes),
            Table(
                "osteoporosis", "Osteoporosis: yes or no, or undetermined.", pd.DataFrame(answers)
            ),
        ),
        (
            Figure(
                "sets",
                "How many stages the prediction sets hold, by the stage of the reference.",
                lambda: plot_sets(found.predictions, coverage),
            ),
        ),
        coverage,
    )


def _decisions(found: Validation) -> StepResult:
    curves = found.results["decision_curves"]
    rows = [
        {
            "acting on": name.rpartition("(")[2].rstrip(")"),
            "threshold": point["threshold"],
            **_columns("model", point["model"]),
            "all": point["all"],
            "none": point["none"],
            **_columns("gain", point["gain"]),
        }
        for name, entry in curves.items()
        for point in entry.get("curve", ())
    ]
    return StepResult(
        "Net benefit per patient (Vickers & Elkin 2006, doi 10.1177/0272989X06295361): true "
        "positives less false ones weighted by the threshold's odds. It belongs to this table's "
        "shares of the stages; a sample that was chosen by stage says nothing about screening.",
        tuple(
            f"{name}: {entry['reason']}." if "reason" in entry else _gain_words(name, entry)
            for name, entry in curves.items()
        ),
        (*_if(rows, Table("net-benefit", NET_BENEFIT_CAPTION, pd.DataFrame(rows))),),
        (
            *_if(
                rows,
                Figure(
                    "net-benefit",
                    "Net benefit by the model with its 95 % interval, on all and on none.",
                    lambda: plot_decisions(curves),
                ),
            ),
        ),
        curves,
    )


def _gain_words(name: str, entry: Mapping[str, Any]) -> str:
    better = [
        f"{point['threshold']:.2f}"
        for point in entry["curve"]
        if point["gain"]["ci"] and point["gain"]["ci"][0] > 0
    ]
    if not better:
        return f"{name}: at no threshold is the model surely better than acting on all or on none."
    return (
        f"{name}: the model is better than acting on all or on none, with the whole interval, at "
        f"{len(better)} of {len(entry['curve'])} thresholds ({better[0]} to {better[-1]})."
    )


def _subgroups(found: Validation) -> StepResult:
    groups = found.results["subgroups"]
    rows = [
        {
            "by": group["by"],
            "group": group["group"],
            **{f"n {stage}": n for stage, n in group["patients"].items()},
            **_columns("AUROC of C or D", group.get("osteoporosis_auroc")),
            **_columns("intercept of C or D", group.get("osteoporosis_intercept")),
            **_columns("mean pair AUROC", group.get("mean_pair_auroc")),
            "pairs": ", ".join(group.get("pairs", ())),
            **_columns("covered", group.get("coverage")),
            **_reason(group, groups),
        }
        for group in groups
    ]
    usable = any("osteoporosis_auroc" in group for group in groups)
    return StepResult(
        "By sex, age, and the columns of the table that name the scanner or were asked for. A pair "
        "is scored where both stages have enough patients. Differences between groups are not "
        "tested: intervals that overlap say nothing either way.",
        (),
        (Table("subgroups", "Subgroups.", pd.DataFrame(rows)),),
        (
            *_if(
                usable,
                Figure("subgroups", "AUROC of C or D by subgroup.", lambda: plot_subgroups(groups)),
            ),
        ),
        {"subgroups": groups},
    )


def _recalibration(found: Validation) -> StepResult:
    ways = found.results["recalibrated"]
    usable = {name: entry for name, entry in ways.items() if "measures" in entry}
    rows = [
        {
            "by": name,
            "measure": MEASURE_WORDS[measure],
            **_columns("as it is", e["as_is"]),
            **_columns("cross-fitted", e["cross_fitted"]),
            **_columns("change", e["change"]),
        }
        for name, entry in usable.items()
        for measure, e in entry["measures"].items()
    ]
    fitted = [
        {
            "by": name,
            "what": entry["what"],
            "fitted on all": ", ".join(f"{value:g}" for value in entry.get("fitted", ())),
            "in the folds": "; ".join(
                ", ".join(f"{value:g}" for value in fold) for fold in entry.get("by_fold", ())
            ),
            **_reason(entry, ways.values()),
        }
        for name, entry in ways.items()
    ]
    tables = [Table("fitted", "What was fitted: HU, or numbers for A to D.", pd.DataFrame(fitted))]
    if rows:
        caption = "As it is, cross-fitted, and the change, on the same draws of patients."
        tables.append(Table("measures", caption, pd.DataFrame(rows)))
    return StepResult(
        "Each patient is scored by what was fitted on the other four of five parts, so the "
        "figures are cross-fitted, not apparent. Offset: one number of HU for all sites, from a "
        "grid of 5 HU. Intercept: log-odds of each stage, slopes kept. Prevalence: the shares of "
        "the stages exchanged (Saerens 2002, doi 10.1162/089976602753284446), which holds if "
        "patients of one stage look alike in both hospitals. The model itself is not changed, and "
        "the node applies none of these.",
        tuple(_change_words(name, entry) for name, entry in ways.items()),
        tuple(tables),
        tuple(_change_figures(usable)),
        ways,
    )


def _change_words(name: str, entry: Mapping[str, Any]) -> str:
    if "reason" in entry:
        return f"By {name}: not done, {entry['reason']}."
    loss = entry["measures"]["log_loss"]
    return (
        f"By {name}: log-loss {loss['as_is']['value']:.3f} as it is, "
        f"{loss['cross_fitted']['value']:.3f} cross-fitted, change {stated(loss['change'])}."
    )


def _change_figures(usable: Mapping[str, Any]) -> list[Figure]:
    if not usable:
        return []
    there = next(iter(usable.values()))["measures"]

    def drawer(measure: str) -> Callable[[], Any]:
        return lambda: plot_changes(usable, measure, MEASURE_WORDS[measure])

    return [
        Figure(
            measure.replace("_", "-"),
            f"{MEASURE_WORDS[measure][0].upper()}{MEASURE_WORDS[measure][1:]}, as it is and after "
            "each recalibration, with 95 % intervals.",
            drawer(measure),
        )
        for measure in ("log_loss", "osteoporosis_intercept")
        if measure in there
    ]


def _if(shown: object, item: Item) -> tuple[Item, ...]:
    return (item,) if shown else ()
