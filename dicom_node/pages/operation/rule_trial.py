"""Each rule's verdict on a series, whatever the others say; runs in a child process."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar

from dicom_node.errors import SeriesRefused
from dicom_node.foreign_text import cleaned
from dicom_node.series.acquisition import (
    check_acquisition,
    check_rules,
    series_kernel,
    series_thickness_mm,
)
from dicom_node.series.doubles import drop_doubles
from dicom_node.series.geometry import SliceStack, stack_slices
from dicom_node.series.instances import Instance, read_instance
from dicom_node.series.interleaving import check_interleaving
from dicom_node.series.kernels import KernelClass
from dicom_node.series.selection import check_identity, check_kind, check_pixels
from dicom_node.series.stray_images import set_strays_aside
from dicom_node.settings.node import Acquisition, AcquisitionRules
from roi_extraction.anatomy import Finding

__all__ = [
    "FIXED_RULES",
    "IN_IMAGES",
    "JudgedSeries",
    "Judgement",
    "Verdict",
    "judged",
    "judgement",
]

FIXED_RULES = (
    "identity", "kind", "tube_voltage", "pixels", "stack", "slice_thickness", "one_kernel",
    "pixel_size",
)  # fmt: skip
"""What is always required, by names of this page."""

IN_IMAGES = frozenset({"contrast_seen", "fat_unusual", "noise", "pixel_spacing_doubtful"})
"""Rules that only the pixels decide."""

OF_WHOLE_SERIES = frozenset({"stack", "coverage", "gantry_tilt", "gantry_tilt_unclear"})
"""Rules that one header says nothing about."""

KERNEL_RULES = ("kernel_unknown", "kernel_sharp", "kernel_lung_bone")

OTHER_NAMES = {"acquisition.short_coverage": "coverage"}
"""Codes of findings that have not the name of their rule."""

Outcome = Literal["pass", "warn", "refuse", "open"]

T = TypeVar("T")


@dataclass(frozen=True)
class Verdict:
    """What a rule says of a series: ``open`` where this cannot be told from what was given."""

    outcome: Outcome
    code: str = ""
    message: str = ""


@dataclass(frozen=True)
class JudgedSeries:
    """A series and what each rule says of it.

    Parameters
    ----------
    images
        How many it has.
    scanner, kernel
        As its first header states them, cleaned.
    verdicts
        By rule: those of `FIXED_RULES` and of `AcquisitionRules`.
    remarks
        What it is warned of whatever the settings say: codes and messages.
    """

    images: int
    scanner: str
    kernel: str
    verdicts: dict[str, Verdict]
    remarks: tuple[tuple[str, str], ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The worst of the verdicts."""
        found = {verdict.outcome for verdict in self.verdicts.values()}
        if "refuse" in found:
            return "refuse"
        return "warn" if "warn" in found or self.remarks else "pass"


@dataclass(frozen=True)
class Judgement:
    """What was found in some files."""

    series: tuple[JudgedSeries, ...]
    unreadable: int = 0


def judgement(paths: Sequence[Path], acquisition: Acquisition, *, alone: bool) -> Judgement:
    """Read files and let each rule judge their series.

    Parameters
    ----------
    paths
        DICOM files, which may be hostile.
    acquisition
        What a series must fulfil.
    alone
        Whether each file stands for its whole series.
    """
    groups: dict[str, list[Instance]] = defaultdict(list)
    unreadable = 0
    for path in paths:
        try:
            instance = read_instance(path)
        except Exception:  # the parsers' ways to fail on hostile input are open-ended
            unreadable += 1
            continue
        groups[instance.series_uid].append(instance)
    found = tuple(
        judged(members, acquisition, alone=alone) for _, members in sorted(groups.items())
    )
    return Judgement(found, unreadable)


def judged(members: Sequence[Instance], acquisition: Acquisition, *, alone: bool) -> JudgedSeries:
    """Let each rule judge a series, as if the others were kept.

    Parameters
    ----------
    members
        Headers of one series; one that occurs twice counts once.
    acquisition, alone
        As for `judgement`.
    """
    unique = list({instance.sop_instance_uid: instance for instance in members}.values())
    trial = _Trial(acquisition)
    trial.check("identity", lambda: check_identity(unique))
    kept, remarks = set_strays_aside(unique)
    trial.check("kind", lambda: check_kind(kept))
    trial.check("tube_voltage", lambda: check_acquisition(kept, acquisition))
    trial.check("pixels", lambda: check_pixels(kept))
    stack = None if alone else trial.check("stack", lambda: _stacked(kept, remarks))
    whole = stack is not None
    if stack is None:
        stack = _makeshift(kept)
    findings = [*remarks, *trial.findings(stack)]
    trial.settle(findings, unknown=frozenset() if whole else OF_WHOLE_SERIES)
    first = kept[0]
    others = tuple((f.code, f.message) for f in findings if _rule_of(f) not in trial.verdicts)
    return JudgedSeries(
        images=len(unique),
        scanner=cleaned(f"{first.manufacturer} {first.model}".strip()),
        kernel=cleaned(first.kernel),
        verdicts=trial.verdicts,
        remarks=others,
    )


@dataclass
class _Trial:
    """The verdicts on one series as they come."""

    acquisition: Acquisition
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    def check(self, rule: str, look: Callable[[], T]) -> T | None:
        """Note what a rule says; give what its look gives, None where it refuses."""
        try:
            found = look()
        except SeriesRefused as error:
            self.verdicts[rule] = Verdict("refuse", error.code, str(error))
            return None
        self.verdicts[rule] = Verdict("pass")
        return found

    def findings(self, stack: SliceStack) -> list[Finding]:
        """What the rules that the settings choose would warn of."""
        modes = dict.fromkeys(AcquisitionRules.model_fields, "warn")
        lenient = self.acquisition.model_copy(
            update={"rules": AcquisitionRules.model_validate(modes)}
        )
        thickness = self.check(
            "slice_thickness", lambda: series_thickness_mm(stack, self.acquisition)
        )
        thickness_mm = thickness or stack.slices[0].slice_thickness_mm or stack.step_mm
        kernel = self.check("one_kernel", lambda: series_kernel(stack.slices))

        def broken(one: SliceStack) -> list[Finding]:
            return check_rules(one, thickness_mm, kernel or KernelClass.UNKNOWN, lenient)

        found = self.check("pixel_size", lambda: broken(stack))
        if found is None:  # once more without the pixels that are too large
            first = replace(stack.slices[0], pixel_spacing_mm=None)
            found = broken(replace(stack, slices=(first, *stack.slices[1:])))
        if kernel is None:
            self.verdicts |= dict.fromkeys(KERNEL_RULES, Verdict("open"))
        return found

    def settle(self, findings: Sequence[Finding], unknown: frozenset[str]) -> None:
        """Note what the rules that the settings choose say, by what was found."""
        broken = {_rule_of(finding): finding for finding in findings}
        if "stack" in unknown and "stack" not in self.verdicts:
            self.verdicts["stack"] = Verdict("open")
        for rule in AcquisitionRules.model_fields:
            if rule in self.verdicts:
                continue
            if rule in unknown or rule in IN_IMAGES:
                self.verdicts[rule] = Verdict("open")
            elif rule in broken:
                strict = getattr(self.acquisition.rules, rule) == "strict"
                finding = broken[rule]
                outcome: Outcome = "refuse" if strict else "warn"
                self.verdicts[rule] = Verdict(outcome, finding.code, finding.message)
            else:
                self.verdicts[rule] = Verdict("pass")


def _rule_of(finding: Finding) -> str:
    return OTHER_NAMES.get(finding.code, finding.code.removeprefix("acquisition."))


def _stacked(members: Sequence[Instance], remarks: list[Finding]) -> SliceStack:
    single, doubled = drop_doubles(members)
    stack = stack_slices(single)
    check_interleaving(stack.slices)
    remarks += doubled
    return stack


def _makeshift(members: Sequence[Instance]) -> SliceStack:
    """Stands for a stack where there is none: only its first header's rules are asked."""
    first = members[0]
    return SliceStack(tuple(members), first.slice_thickness_mm or 0.0, 0.0)
