"""The page ``docs/accuracy.md`` with its pictures."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.image import imread
from PIL import Image

from bench.roi.cases import PHANTOMS, Case
from bench.roi.running import AnyCase, scan_of
from bench.roi.scoring import measured
from bench.roi.tables import Scored, accuracy_tables, of_muscle, sites_of
from roi_extraction import Muscle, RoiError, render_rois
from roi_extraction.builtin import BUILTIN_VERSION

__all__ = ["write_page"]

JPEG_QUALITY = 75

HEAD = """# Accuracy of the built-in segmenter

Written by `make bench-roi` (`builtin` version {version}, {real} real scans and {phantoms} of
{most} phantoms); needs the shared data. Every case is frozen in `bench/roi/cases.py`.

Read these figures for what they are. **One** real scan is labelled throughout
(`totalseg_example_ct`, 3 mm voxels, so that 150 mm2 are 17 pixels); all its perturbed copies are
one patient. Its labels are a network's output, not hand-drawn. The method was developed on this
scan. `verse014` (an 80 mm wide field) and `tptbox` (three vertebrae) show too little to name
levels, so that there a refusal is the right answer. Of the phantoms the truth is known exactly,
but they are tidier than patients.

*Accepted* means that features are delivered; *right* that every body lies within 12 mm (S1:
20 mm) and every disc within 12 mm of the label of its name. *Inside* is the share of one ROI's
area in the label of its tissue. The *eroded label* is the body's label less 4 mm from every wall
and endplate; *the same placing in the label* uses the label's outline instead of ours, in the
same slices. Turns are degrees about the left, back and head axes. Fields in groups that begin with
*holds* hold, by eye, what names L1 from the ribs, with 5 mm around it (`bench/roi/qualifying.py`);
they end anywhere within half a vertebra, and are of two patients and of phantoms.
"""


def write_page(
    scores: Sequence[Scored], cases: Sequence[AnyCase], path: Path, pictures: bool = True
) -> None:
    """Write the tables, and the pictures of the plain scan and of the worst cases."""
    phantoms = sum(s["group"] == "phantom" for s in scores)
    text = HEAD.format(
        version=BUILTIN_VERSION, real=len(scores) - phantoms, phantoms=phantoms, most=PHANTOMS
    )
    text += "\n" + accuracy_tables(scores) + "\n## Pictures\n"
    folder = path.parent / path.stem
    if pictures:
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.jpg"):
            old.unlink()
    by_name = {case.name: case for case in cases}
    for name, caption in _chosen(scores).items():
        case = by_name[name]
        file = folder / f"{name.replace(' ', '-').replace('+', '')}.jpg"
        text += f"\n**{name}** ({case.changes}): {caption}\n"
        if _picture(case, file) if pictures else file.exists():
            text += f"\n![{name}]({path.stem}/{file.name})\n"
    path.write_text(text)


def _chosen(scores: Sequence[Scored]) -> dict[str, str]:
    """Cases to show, and why."""
    chosen = {"totalseg": "the scan as it is."}

    def add(case: Scored, caption: str) -> None:
        chosen[case["case"]] = " ".join(filter(None, (chosen.get(case["case"]), caption)))

    real = [s for s in scores if s["group"] != "phantom"]
    bodies = [
        (case, site)
        for case, site in sites_of(real, of_muscle(None))
        if site["label_placed_hu"] is not None and not site["flags"]
    ]
    if bodies:
        case, site = max(bodies, key=lambda p: abs(p[1]["mean_hu"] - p[1]["label_placed_hu"]))
        away = site["mean_hu"] - site["label_placed_hu"]
        add(case, f"{site['name']} is {away:+.0f} HU from the same placing in the label, the "
                  "largest distance of an unflagged body.")  # fmt: skip
    for muscle in Muscle:
        pairs = [p for p in sites_of(real, of_muscle(muscle)) if p[1]["inside"]]
        if pairs:
            case, site = min(pairs, key=lambda p: min(p[1]["inside"]))
            add(case, f"{site['name']} has the ROI with the lowest share in its label, "
                      f"{min(site['inside']):.2f}, of all {muscle}.")  # fmt: skip
    for s in [s for s in scores if s["outcome"] in ("wrong", "fault")][:4]:
        add(s, f"{s['outcome']}: {s['message']}.")
    phantoms = [s for s in scores if s["group"] == "phantom" and s["outcome"] == "right"]
    for lesion in ("fracture", "scoliosis"):
        with_it = [s for s in phantoms if lesion in s["changes"]]
        if with_it:
            add(with_it[0], f"a phantom with {lesion}.")
    return chosen


def _picture(case: AnyCase, file: Path) -> bool:
    """Draw a case, unless it is refused or only named: then there is nothing to draw."""
    if not isinstance(case, Case):
        return False
    scan, _ = scan_of(case)
    features, _ = measured(scan.volume)
    if isinstance(features, RoiError):
        return False
    png = render_rois(scan.volume, features, title=f"{case.name}: {case.changes}")
    image: Any = imread(BytesIO(png))
    Image.fromarray((image[..., :3] * 255).astype("uint8")).save(file, quality=JPEG_QUALITY)
    return True
