"""The code of a Markdown page: blocks, and the commands of a block.

A block is fenced, or indented by four spaces after a blank line: indented blocks are commands.
What a machine lacks for one stands beside it (docs/writing.md): `<!-- needs: gpu -->` on the line
above a block, or `# needs: gpu` at the end of a command or of a snippet's first line.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDS = {
    "gpu": "a GPU, or hours of a CPU",
    "processes": "several processes",
    "cluster": "SLURM or a Ray cluster",
    "store": "an object store and its keys",
    "database": "a PostgreSQL database",
    "mimic": "credentialed data",
    "network": "a package index or another host",
    "checkpoint": "a published file of weights",
    "package": "a package that is not installed here",
    "minutes": "more time than the tests have; a test of its own runs it",
    "browser": "a browser, and Ctrl-C; tests of its own drive it",
    "patients": "more of them than the tests' hospital has",
    "build": "a dataset built with other settings",
    "context": "what another page makes, or files of the reader's own",
}
PROSE = ("text", "yaml", "ini")  # shown; yaml is held to the settings that there are
_FENCE = re.compile(r"^(`{3,})(\{?[a-z_-]*\}?)\s*$")
_ABOVE = re.compile(r"^<!-- needs: (\w+)[^>]*-->$")
_BESIDE = re.compile(r"\s#.*\bneeds: (\w+)")
_WHOLE_PAGE = re.compile(r"^<!-- all of it needs: (\w+) -->$", re.MULTILINE)
_FILE = re.compile(r"^(?:#|--) ([\w./-]+\.(?:yaml|py|sql))$")


@dataclass(frozen=True)
class Block:
    """``needs``: what all of it needs, or ""."""

    page: str
    line: int
    language: str
    code: str
    needs: str

    @property
    def file(self) -> str | None:
        """The file that a block's first line, a comment, says it is."""
        found = _FILE.match(self.code.partition("\n")[0])
        return found.group(1) if found else None

    def commands(self) -> list["Command"]:
        """The commands of a block of the shell, continuation lines joined."""
        if self.code.startswith("#!"):
            return [Command(self.page, self.line, self.code, self.needs)]
        found = []
        for line in self.code.replace("\\\n", " ").splitlines():
            text = line.removeprefix("$ ").strip()
            if text and not text.startswith("#"):
                beside = _BESIDE.search(text)
                needs = beside.group(1) if beside else self.needs
                found.append(Command(self.page, self.line, text, needs))
        return found


@dataclass(frozen=True)
class Command:
    page: str
    line: int
    text: str
    needs: str


def read_blocks(path: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = path.read_text()
    whole = _WHOLE_PAGE.search(text)
    always = whole.group(1) if whole else ""
    lines = [*text.splitlines(), ""]
    name = str(path.relative_to(ROOT))
    found: list[Block] = []
    needs, number = always, 0
    while number < len(lines):
        line = lines[number]
        above = _ABOVE.match(line.strip())
        fence = _FENCE.match(line.strip())
        if above:
            needs = above.group(1)
        elif fence:
            last = number + 1
            while lines[last].strip() != fence.group(1):
                last += 1
            language = "bash" if fence.group(2) in ("console", "bash") else fence.group(2)
            code = _dedent(lines[number + 1 : last])
            if language == "python" and (beside := _BESIDE.search(code.partition("\n")[0])):
                needs = beside.group(1)
            found.append(Block(name, number + 1, language, code, needs))
            needs, number = always, last
        elif _is_indented(line) and (
            number == 0 or not lines[number - 1].strip() or lines[number - 1].startswith("<!--")
        ):
            last = number
            while _is_indented(lines[last]) or (
                not lines[last].strip() and last + 1 < len(lines) and _is_indented(lines[last + 1])
            ):
                last += 1
            found.append(Block(name, number + 1, "bash", _dedent(lines[number:last]), needs))
            needs, number = always, last - 1
        elif line.strip():
            needs = always
        number += 1
    return found


def _is_indented(line: str) -> bool:
    return line.startswith("    ") and bool(line.strip())


def _dedent(lines: list[str]) -> str:
    widths = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    width = min(widths, default=0)
    return "\n".join(line[width:] for line in lines) + "\n"


def pages() -> list[Path]:
    """README.md, then the pages of docs in the order of the site."""
    index = (ROOT / "docs" / "index.md").read_text()
    listed = [
        line.strip()
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
        for line in tree.splitlines()
        if line.strip() and not line.startswith(":")
    ]
    return [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in listed)]


def without_brackets(command: Command, is_kept: bool) -> Command:
    """What is optional, in brackets before a dash, kept without them or left out."""
    inside = r"\1" if is_kept else ""
    return replace(command, text=re.sub(r"\[(-[^\]]*)\]", inside, command.text))
