"""The site: `sphinx-build -W -n -b html docs build/docs`. No asset comes from elsewhere."""

import re
from typing import Any

from docutils import nodes

project = "CXRFuture"
author = "the authors of CXRFuture"
copyright = "the authors of CXRFuture, Apache-2.0"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
master_doc = "index"
exclude_patterns = ["screenshots"]

myst_heading_anchors = 3
myst_links_external_new_tab = False
suppress_warnings: list[str] = []

pygments_style = "friendly"
pygments_dark_style = "monokai"

smartquotes = False  # two dashes are two dashes

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = "CXRFuture"
html_show_sphinx = False
html_copy_source = False
html_show_search_summary = False  # it would be fetched, which a page from disk may not
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5f8b", "color-brand-content": "#1f5f8b"},
    "dark_css_variables": {"color-brand-primary": "#7db8e0", "color-brand-content": "#7db8e0"},
}

# Pages name each other as the README does, `docs/train.md`; on the site that is a link.
_PAGE = re.compile(r"`docs/([a-z-]+)\.md`|\(docs/([a-z-]+)\.md\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def _link(found: re.Match[str]) -> str:
    name = found.group(1) or found.group(2)
    return f"[{name}]({name}.md)" if found.group(1) else f"([{name}]({name}.md))"


def link_pages(app: Any, name: str, source: list[str]) -> None:
    """Turn the names of pages into links, but in code."""
    parts = _FENCE.split(source[0])
    source[0] = "".join(
        part if part.startswith("```") else _PAGE.sub(_link, part) for part in parts
    )


def colour_commands(app: Any, tree: nodes.document) -> None:
    """What is indented is for the shell."""
    for block in tree.findall(nodes.literal_block):
        if block.get("language") == "none":
            block["language"] = "bash"


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", link_pages)
    app.connect("doctree-read", colour_commands)
    return {"parallel_read_safe": True}
