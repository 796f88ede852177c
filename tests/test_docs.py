"""docs/fidelity.md repeats the corrections of the recipes' files, and names commands that exist."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cxrfuture
from etl.recipe import read_recipe, shipped_recipes

ROOT = Path(__file__).resolve().parent.parent
FIDELITY = (ROOT / "docs" / "fidelity.md").read_text()


def corrections_table():
    """A line a correction: the section of every recipe that has it, and why, each reason once."""
    recipes = [read_recipe(name) for name in shipped_recipes()]
    lines = ["| correction | recipe and section | why |", "|---|---|---|"]
    for name in sorted({name for recipe in recipes for name in recipe.corrections}):
        texts = {
            recipe.name: recipe.corrections[name].partition(": ")
            for recipe in recipes
            if name in recipe.corrections
        }
        places = "; ".join(f"{recipe} {section}" for recipe, (section, _, _) in texts.items())
        reasons = "; ".join(dict.fromkeys(why for _, _, why in texts.values()))
        lines.append(f"| `{name}` | {places} | {reasons} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_corrections_is_that_of_the_recipes_files():
    assert FIDELITY.endswith(f"\n\n{corrections_table()}")


@pytest.mark.parametrize("recipe", shipped_recipes())
def test_every_correction_names_its_section_and_says_why(recipe):
    for name, text in read_recipe(recipe).corrections.items():
        section, _, why = text.partition(": ")
        assert re.match(r"([a-z0-9-]+ )?\d", section), name
        assert why, name


@pytest.mark.parametrize("line", re.findall(r"^    cxrfuture (.+)$", FIDELITY, re.MULTILINE))
def test_its_commands_exist(line):
    command, *words = line.split()
    shown = CliRunner().invoke(cxrfuture.app, [command, "--help"], env={"COLUMNS": "120"})
    assert shown.exit_code == 0
    for option in (word for word in words if word.startswith("--")):
        assert option in shown.output


def test_it_is_short():
    assert FIDELITY.count("\n") < 150


if __name__ == "__main__":
    print(corrections_table(), end="")
