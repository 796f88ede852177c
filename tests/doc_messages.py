"""What the project's errors say: the text of every ContractError in its source."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GAP = "..."


def error_texts() -> list[str]:
    """The message of every ``ContractError`` that is written out, values as "..."."""
    found = []
    for folder in ("cxrfuture_data", "etl", "train"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and _is_error(node.func) and node.args:
                    found.append(_text(node.args[0]))
    return [text for text in found if text != GAP]


def is_said(quoted: str, texts: list[str]) -> bool:
    """Whether what is quoted, with "..." for what differs, stands in one of the messages."""
    parts = [part.strip() for part in quoted.split(GAP) if part.strip()]
    return any(_holds(text, parts) for text in texts)


def _holds(text: str, parts: list[str]) -> bool:
    place = 0
    for part in parts:
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


def _is_error(function: ast.expr) -> bool:
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    return name in ("ContractError", "refusal")


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return GAP
