"""A page as one HTML file: nothing is fetched, and the same facts give the same bytes."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cxrfuture_data.publish import publish

SHARED_TEMPLATES = Path(__file__).parent / "templates"
OWN_MODE, SHARED_MODE = 0o600, 0o644


def render(templates: Path, name: str, **facts: Any) -> str:
    """The template ``name`` of a folder; it may include page.css and take macros of parts.html."""
    environment = Environment(
        loader=FileSystemLoader([templates, SHARED_TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(**facts)


def write_page(page: str, out: Path, *, is_shareable: bool) -> None:
    """Publish a page: readable by its owner alone unless it is shareable."""
    with publish(out) as part:
        part.unlink(missing_ok=True)
        part.touch(mode=OWN_MODE)
        part.write_text(page, encoding="utf-8")
        # Not as the file is made: the command's umask would take the others' rights again.
        part.chmod(SHARED_MODE if is_shareable else OWN_MODE)
