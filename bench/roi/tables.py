"""From the scores of all cases to the tables of ``docs/accuracy.md``."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from textwrap import shorten
from typing import Any

import numpy as np

from bench.roi.qualifying import QUALIFYING
from roi_extraction import SITES_BY_NAME, DiscLevel, Level, Muscle

__all__ = ["accuracy_tables"]

Scored = dict[str, Any]

REPEAT = "repeated"
OTHER_COUNT = "four or six lumbar"
NORMAL = (
    "as it is", "turned", "noise", "slices 1, 3", "muscles fat", "as DICOM", REPEAT,
)  # fmt: skip
"""Groups of complete scans of normal density begin so."""


def accuracy_tables(scores: Sequence[Scored]) -> str:
    """All tables, as Markdown."""
    real = [s for s in scores if s["group"] != "phantom"]
    phantoms = [s for s in scores if s["group"] == "phantom"]
    parts = [
        "## Against the targets\n", _targets(real, phantoms),
        "\n## Levels\n", _levels(real),
        "\n## Vertebral bodies\n", _bodies(real),
        "\n## Muscles\n", _muscles(real),
        "\n## Repeatability\n", _repeatability(real),
        "\n## Sites that are missing\n", _missing(real),
        "\n## Scans that were refused\n", _refused(real),
    ]  # fmt: skip
    if phantoms:
        parts += ["\n## Phantoms\n", _phantoms(phantoms)]
    return "\n".join(parts) + "\n"


def sites_of(
    scores: Iterable[Scored], chosen: Callable[[Scored], bool]
) -> list[tuple[Scored, Scored]]:
    """(case, site) of all measured sites that are chosen."""
    return [
        (case, site)
        for case in scores
        for site in case["sites"]
        if site["mean_hu"] is not None and chosen(site)
    ]


def of_muscle(muscle: Muscle | None) -> Callable[[Scored], bool]:
    """Chooses a muscle's sites, or the vertebral ones."""
    return lambda site: SITES_BY_NAME[site["name"]].muscle is muscle


def of_muscle_at(muscle: Muscle, disc: DiscLevel) -> Callable[[Scored], bool]:
    """Chooses a muscle's sites of one level."""
    return lambda site: (
        SITES_BY_NAME[site["name"]].muscle is muscle and SITES_BY_NAME[site["name"]].disc is disc
    )


def of_name(name: str) -> Callable[[Scored], bool]:
    """Chooses one site."""
    return lambda site: site["name"] == name


def spread(case_group: Iterable[Scored]) -> dict[str, tuple[float, int, bool]]:
    """SD over cases, count, and whether it was ever flagged, by site."""
    values: dict[str, list[float]] = defaultdict(list)
    flagged: Counter[str] = Counter()
    for _, site in sites_of(case_group, lambda _: True):
        values[site["name"]].append(site["mean_hu"])
        flagged[site["name"]] += bool(site["flags"])
    return {
        name: (float(np.std(hu, ddof=1)), len(hu), flagged[name] > 0)
        for name, hu in values.items()
        if len(hu) > 2
    }


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _complete(scores: Iterable[Scored]) -> list[Scored]:
    return [s for s in scores if s["complete"] and not s["group"].startswith("metal")]


def _normal(scores: Iterable[Scored]) -> list[Scored]:
    return [s for s in _complete(scores) if s["group"].startswith(NORMAL)]


def _lowered(scores: Iterable[Scored], by: int) -> list[Scored]:
    return [s for s in scores if s["group"] == f"bone -{by} HU"]


def _accepted(scores: Sequence[Scored]) -> str:
    right = sum(s["outcome"] == "right" for s in scores)
    return f"{right} of {len(scores)} ({right / max(1, len(scores)):.0%})"


def _inside(pairs: Sequence[tuple[Scored, Scored]], least: float) -> tuple[float, float, int]:
    shares = [share for _, site in pairs for share in site["inside"]]
    if not shares:
        return float("nan"), float("nan"), 0
    return float(np.mean(shares)), float(np.mean([s >= least for s in shares])), len(shares)


def _targets(real: Sequence[Scored], phantoms: Sequence[Scored]) -> str:
    wrong = sum(s["outcome"] in ("wrong", "fault") for s in real)
    discs = [mm for s in real for mm in s["disc_along_mm"].values()]
    rows: list[tuple[str, str, str]] = [
        ("scans with a level named wrongly", "0", f"{wrong} of {len(real)}"),
        ("complete scans of normal density accepted", "90 %", _accepted(_normal(real))),
        ("the same, trabecular bone -60 HU", "80 %", _accepted(_lowered(real, 60))),
        ("the same, -100 HU", "-", _accepted(_lowered(real, 100))),
        (
            "discs, distance along the spine", "4 mm",
            f"mean {np.mean(discs):.1f}, largest {np.max(discs):.1f} mm; "
            f"{np.mean(np.array(discs) <= 4):.1%} within 4",
        ),
    ]  # fmt: skip
    for muscle, least, wanted in (
        (None, 0.95, "mean 0.98; 95 % of ROIs at least 0.95"),
        (Muscle.PSOAS_MAJOR, 0.95, "mean 0.98; 95 % at least 0.95"),
        (Muscle.LONGISSIMUS, 0.95, "mean 0.98; 95 % at least 0.95"),
        (Muscle.TRANSVERSOSPINALIS, 0.80, "90 % at least 0.80"),
    ):
        mean, share, count = _inside(sites_of(real, of_muscle(muscle)), least)
        name = "bodies" if muscle is None else str(muscle)
        found = f"mean {mean:.3f}; {share:.1%} of {count} at least {least}"
        rows.append((f"{name}: share of a ROI inside its label", wanted, found))
    whole = [s for s in _complete(real) if not s["group"].startswith("bone")]
    for key, name in (
        ("eroded_hu", "the eroded label"), ("label_placed_hu", "the same placing in the label"),
    ):  # fmt: skip
        away = [
            site["mean_hu"] - site[key]
            for _, site in sites_of(whole, of_muscle(None))
            if site[key] is not None and not site["flags"]
        ]
        near = np.mean(np.abs(away) <= 5)
        rows.append((
            f"unflagged bodies against {name}, same slices", "within 5 HU",
            f"mean {np.mean(away):+.1f}, {near:.0%} of {len(away)} within 5 HU",
        ))  # fmt: skip
    repeats = spread(s for s in real if s["group"].startswith(REPEAT))
    for muscle, limit in (
        (None, 3), (Muscle.PSOAS_MAJOR, 3), (Muscle.LONGISSIMUS, 3),
        (Muscle.TRANSVERSOSPINALIS, 4),
    ):  # fmt: skip
        sds = [sd for name, (sd, _, _) in repeats.items() if SITES_BY_NAME[name].muscle is muscle]
        name = "bodies" if muscle is None else str(muscle)
        rows.append((
            f"{name}: SD when repeated, median over sites", f"{limit} HU",
            f"{np.median(sds):.1f} HU",
        ))  # fmt: skip
    unflagged = {n: sd for n, (sd, _, flagged) in repeats.items() if not flagged}
    if unflagged:
        worst = max(unflagged, key=lambda name: unflagged[name])
        rows.append(
            ("largest SD of an unflagged site", "8 HU", f"{unflagged[worst]:.1f} HU ({worst})")
        )
    vessel = max((site["vessel"] for _, site in sites_of(real, lambda _: True)), default=0.0)
    rows.append(("largest share of a ROI in aorta or vena cava", "0", f"{vessel:.0%}"))
    rows += _qualifying_targets(real)
    if phantoms:
        rows += _phantom_targets(phantoms)
    return _table(("", "Target", "Found"), rows)


def _qualifying_targets(scores: Sequence[Scored]) -> list[tuple[str, str, str]]:
    """In how many fields that hold what names L1 it was named, of real scans and of phantoms."""
    fields = [s for s in scores if s["group"].startswith(QUALIFYING)]
    rows = []
    for name, of_phantoms in (("fields", False), ("such fields of phantoms", True)):
        chosen = [s for s in fields if s["group"].endswith("phantoms") is of_phantoms]
        named = sum(s["outcome"] == "right" and "L1" in s["body_mm"] for s in chosen)
        rows.append((
            f"{name} that hold T11 to L2 and the 12th ribs' tips, or twelve countable pairs: L1 "
            "named" if not of_phantoms else f"{name}: L1 named",
            "90 %", f"{named} of {len(chosen)} ({named / max(1, len(chosen)):.0%})",
        ))  # fmt: skip
    return rows


def _phantom_targets(phantoms: Sequence[Scored]) -> list[tuple[str, str, str]]:
    wrong = sum(s["outcome"] in ("wrong", "fault") for s in phantoms)
    uncommon = [s for s in phantoms if OTHER_COUNT in s["changes"]]
    five = [s for s in phantoms if OTHER_COUNT not in s["changes"]]
    rows = [
        ("phantoms with a level named wrongly", "0", f"{wrong} of {len(phantoms)}"),
        ("phantoms with five lumbar vertebrae accepted", "-", _accepted(five)),
        ("phantoms with four or six accepted", "0", _accepted(uncommon)),
    ]
    for muscle in (None, *Muscle):
        away = [
            site["mean_hu"] - site["true_hu"]
            for _, site in sites_of(phantoms, of_muscle(muscle))
            if site["true_hu"] is not None and not site["flags"]
        ]
        name = "bodies" if muscle is None else str(muscle)
        if away:
            rows.append((
                f"phantoms, unflagged {name} against the truth", "3 HU",
                f"mean {np.mean(away):+.1f}, mean distance {np.mean(np.abs(away)):.1f} HU, "
                f"{np.mean(np.abs(away) <= 3):.0%} within 3",
            ))  # fmt: skip
    return rows


def _flags(phantoms: Sequence[Scored]) -> str:
    """How often what alters a body is flagged or makes it missing, and healthy bodies are."""
    told: dict[str, list[bool]] = defaultdict(list)
    for case in phantoms:
        for site in case["sites"]:
            if SITES_BY_NAME[site["name"]].level is None:
                continue
            noticed = bool(site["flags"]) or site["reason"] is not None
            for kind in site["altered"] or ("nothing",):
                told[kind].append(noticed)
    return _table(
        ("Body holds", "Bodies", "Flagged or missing"),
        [(kind, len(n), f"{np.mean(n):.0%}") for kind, n in sorted(told.items())],
    )


def _levels(scores: Sequence[Scored]) -> str:
    groups: dict[str, list[Scored]] = defaultdict(list)
    for s in scores:
        groups[s["group"]].append(s)
    rows = []
    for group, members in groups.items():
        outcomes = Counter(s["outcome"] for s in members)
        discs = [mm for s in members for mm in s["disc_along_mm"].values()]
        named = [len(s["body_mm"]) for s in members if s["outcome"] == "right"]
        rows.append((
            group, len(members), outcomes["right"], outcomes["refused"],
            outcomes["wrong"] + outcomes["fault"],
            f"{np.mean(named):.1f}" if named else "-",
            f"{np.mean(discs):.1f} / {np.max(discs):.1f}" if discs else "-",
        ))  # fmt: skip
    head = (
        "Scans", "Number", "Right", "Refused", "Wrong", "Bodies named, mean",
        "Discs, mm along the spine, mean / largest",
    )  # fmt: skip
    return _table(head, rows)


def _bodies(scores: Sequence[Scored]) -> str:
    rows = []
    whole = [s for s in _complete(scores) if not s["group"].startswith("bone")]
    for level in Level:
        pairs = sites_of(scores, of_name(str(level)))
        mean, share, count = _inside(pairs, 0.95)
        near = sites_of(whole, of_name(str(level)))
        cells = []
        for key in ("eroded_hu", "label_placed_hu"):
            away = [s["mean_hu"] - s[key] for _, s in near if s[key] is not None]
            cells.append(f"{np.mean(away):+.1f} ± {np.std(away):.1f}" if away else "-")
        flagged = np.mean([bool(site["flags"]) for _, site in pairs]) if pairs else 0.0
        rows.append((level, count // 3, f"{mean:.3f}", f"{share:.1%}", *cells, f"{flagged:.0%}"))
    head = (
        "", "Measured", "Inside, mean", "ROIs at least 0.95", "HU against the eroded label",
        "HU against the same placing in the label", "Flagged",
    )  # fmt: skip
    return _table(head, rows)


def _muscles(scores: Sequence[Scored]) -> str:
    rows = []
    for muscle in Muscle:
        least = 0.80 if muscle is Muscle.TRANSVERSOSPINALIS else 0.95
        for disc in DiscLevel:
            pairs = sites_of(
                scores,
                of_muscle_at(muscle, disc),
            )
            mean, share, count = _inside(pairs, least)
            if not count:
                rows.append((muscle, disc, 0, "-", "-", "-"))
                continue
            worst = min(pairs, key=lambda pair: min(pair[1]["inside"], default=1.0))
            low = min(worst[1]["inside"], default=1.0)
            rows.append((
                muscle, disc, count // 3, f"{mean:.3f}", f"{share:.1%} ({least})",
                f"{low:.2f} {worst[1]['name']}, {worst[0]['case']}",
            ))  # fmt: skip
    return _table(("", "Disc", "Measured", "Inside, mean", "ROIs at least", "Lowest ROI"), rows)


def _repeatability(scores: Sequence[Scored]) -> str:
    repeats = spread(s for s in scores if s["group"].startswith(REPEAT))
    rows = []
    for muscle in (None, *Muscle):
        cells = []
        for name, (sd, count, flagged) in repeats.items():
            if SITES_BY_NAME[name].muscle is muscle:
                cells.append(f"{name} {sd:.1f}{'*' if flagged else ''} ({count})")
        rows.append(("bodies" if muscle is None else muscle, ", ".join(cells)))
    return _table(("", "SD in HU (times measured); * flagged at least once"), rows)


def _missing(scores: Sequence[Scored]) -> str:
    whole = [s for s in _complete(scores) if s["sites"]]
    by_site: dict[str, Counter[str]] = defaultdict(Counter)
    for s in whole:
        for site in s["sites"]:
            if site["reason"]:
                by_site[site["name"]][site["reason"]] += 1
    rows = [
        (name, sum(reasons.values()), ", ".join(f"{r} {n}" for r, n in reasons.most_common()))
        for name, reasons in sorted(by_site.items(), key=lambda item: -item[1].total())
    ]
    return f"Of {len(whole)} complete scans that were accepted:\n\n" + _table(
        ("Site", "Missing", "Reasons"), rows
    )


def _refused(scores: Sequence[Scored]) -> str:
    rows = [
        (s["case"], s["changes"], _short(s["message"])) for s in scores if s["outcome"] != "right"
    ]
    return _table(("Case", "What was done", "Outcome"), rows)


def _short(message: str) -> str:
    return shorten(message.replace("|", "/"), 200, placeholder=" ...")


def _phantoms(scores: Sequence[Scored]) -> str:
    rows = []
    kinds: dict[str, list[Scored]] = defaultdict(list)
    for s in scores:
        for kind in s["changes"].split(", "):
            kinds[kind].append(s)
    for kind, members in sorted(kinds.items(), key=lambda item: -len(item[1])):
        outcomes = Counter(s["outcome"] for s in members)
        away = [
            abs(site["mean_hu"] - site["true_hu"])
            for _, site in sites_of(members, lambda _: True)
            if site["true_hu"] is not None and not site["flags"]
        ]
        rows.append((
            kind, len(members), outcomes["right"], outcomes["refused"],
            outcomes["wrong"] + outcomes["fault"], f"{np.mean(away):.1f}" if away else "-",
        ))  # fmt: skip
    head = ("With", "Number", "Right", "Refused", "Wrong", "Mean distance from the truth, HU")
    bad = [
        (s["case"], s["changes"], _short(s["message"])) for s in scores if s["outcome"] != "right"
    ]
    listed = _table(("Case", "With", "Outcome"), bad)
    return "\n\n".join([_table(head, rows), _flags(scores), listed])
