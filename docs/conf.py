"""The documentation site: ``make docs`` builds it, strictly and without network.

The source folder is the repository's root, so that the same relative links hold between the pages
where they are read as files and where they are read on the site.
"""

import sys
from pathlib import Path
from textwrap import indent

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
PACKAGES = ("dicom_node", "modeling", "network", "roi_extraction")

sys.path.insert(0, str(ROOT))

project = "osteonode"
author = "The osteonode developers"
project_copyright = author
html_title = "osteonode"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**"]
exclude_patterns = ["docs/_site/**"]

# pydantic's and scikit-learn's own members are not ours to describe
autodoc_default_options = {
    "exclude-members": "model_config, set_fit_request, set_predict_request, "
    "set_predict_proba_request, set_score_request"
}
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
add_module_names = False
default_role = "code"  # the house writes `name` in docstrings
python_use_unqualified_type_names = True

# References into our own modules must resolve. Left out: other libraries, whose inventories are not
# at hand offline, and a package's own names such as `modeling.Stage`, described at their modules.
nitpick_ignore_regex = [
    (r"py:.*", rf"(?!({'|'.join(PACKAGES)})\.).*"),
    (r"py:.*", rf"({'|'.join(PACKAGES)})\.[A-Z]\w+"),
    (r"py:class", rf"({'|'.join(PACKAGES)})\.[\w.]+\.T"),  # type variables
]
nitpick_ignore = [("py:class", "roi_extraction.phantom.vertebrae.BodyFaces")]  # of its module alone
suppress_warnings = ["ref.python"]  # one name of two errors, in the packages' own trees

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_extra_path = ["_site/extra"]
html_static_path = ["_site/static"]
html_css_files = ["phone.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}


def write_api_pages(_app: Sphinx) -> None:
    """Write ``docs/api/``: a page for each package and each room, with its modules on it."""
    pages = ROOT / "docs" / "api"
    pages.mkdir(exist_ok=True)
    written = set()
    for package in PACKAGES:
        for contents in sorted((ROOT / package).rglob("__init__.py")):
            page = pages / f"{_dotted(contents.parent)}.rst"
            text = _api_page(contents.parent)
            if not page.exists() or page.read_text() != text:  # an old page is not read again
                page.write_text(text)
            written.add(page)
    for left_over in set(pages.iterdir()) - written:
        left_over.unlink()


def _api_page(folder: Path) -> str:
    name = _dotted(folder)
    rooms = sorted(item.parent for item in folder.glob("*/__init__.py"))
    parts = [f"{name}\n{'=' * len(name)}", f".. automodule:: {name}"]
    if rooms:
        parts.append("\n   ".join([".. toctree::\n", *map(_dotted, rooms)]))
    for module in sorted(folder.glob("*.py")):
        if module.stem not in ("__init__", "__main__"):
            title = f"{module.stem}\n{'-' * len(module.stem)}"
            parts += [title, f".. automodule:: {name}.{module.stem}\n   :members:"]
    return "\n\n".join(parts) + "\n"


def _dotted(folder: Path) -> str:
    return ".".join(folder.relative_to(ROOT).parts)


def keep_as_written(
    _app: Sphinx, what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Keep napoleon from reading what is not meant for it, and trees and tables as they stand."""
    shown: list[str] = []
    for paragraph in "\n".join(lines).split("\n\n"):
        drawn = any(line.startswith(("|", "├", "└")) for line in paragraph.splitlines())
        shown.append("::\n\n" + indent(paragraph, "   ") if drawn else paragraph)
    lines[:] = "\n\n".join(shown).split("\n")
    if what in ("attribute", "data", "property"):
        # an empty comment: else napoleon takes what stands before the first colon for a type
        lines[:0] = ["..", ""]


def setup(app: Sphinx) -> None:
    """Write the API pages before Sphinx looks for pages; see docstrings before napoleon does."""
    app.connect("builder-inited", write_api_pages)
    app.connect("autodoc-process-docstring", keep_as_written, priority=400)
