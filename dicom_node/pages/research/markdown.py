"""Markdown as HTML that can do nothing: no HTML of its own, no pictures, only plain links."""

from functools import cache

from markdown_it import MarkdownIt
from markupsafe import Markup

from dicom_node.pages.rendering import text as text_of

__all__ = ["markdown_html"]


def markdown_html(text: str) -> Markup:
    r"""Render Markdown with tables; its headings stand one level below those of the page.

    Parameters
    ----------
    text
        Of whatever origin: HTML in it is shown as text, pictures are not fetched, and links lead
        only where markdown-it lets them (no ``javascript:``).

    Examples
    --------
    >>> str(markdown_html("*a* <script>"))
    '<p><em>a</em> &lt;script&gt;</p>\n'
    """
    renderer = _renderer()
    tokens = renderer.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
        token.attrs.pop("style", None)  # of aligned cells; the pages allow no inline style
    html = renderer.renderer.render(tokens, renderer.options, {})
    # text is escaped in it, so that these stand for tables alone; wide ones scroll, also by keys
    framed = html.replace("<table>", f"{_frame()}<table>").replace("</table>", "</table></div>")
    return Markup(framed)


def _frame() -> Markup:
    opened = '<div class="scrolled" tabindex="0" role="region" aria-label="{}">'
    return Markup(opened).format(text_of("model.table"))


@cache
def _renderer() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
