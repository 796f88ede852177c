"""The site: `sphinx-build -W -n -b html docs build/docs`. No asset comes from elsewhere."""

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

highlight_language = "bash"
pygments_style = "friendly"
pygments_dark_style = "monokai"

html_theme = "furo"
html_title = "CXRFuture"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5f8b", "color-brand-content": "#1f5f8b"},
    "dark_css_variables": {"color-brand-primary": "#7db8e0", "color-brand-content": "#7db8e0"},
}
