"""What a run writes beside its checkpoints: the settings, and a line of losses a step."""

import json
from pathlib import Path

import yaml

from cxrfuture_data.publish import publish
from cxrfuture_data.settings import Settings

CONFIG_FILE = "config.yaml"


def keep_losses(path: Path, steps: int) -> None:
    """Cut the log to the steps a checkpoint holds; a line that a kill cut short goes too."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] < steps]
    with publish(path) as part:
        part.write_text("".join(kept))


def write_loss(path: Path, step: int, losses: dict[str, float]) -> None:
    """Append one line to the log."""
    with path.open("a") as log:
        log.write(json.dumps({"step": step, **losses}) + "\n")


def read_losses(path: Path) -> list[dict[str, float]]:
    """The lines of the log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_config(path: Path, config: Settings) -> None:
    """Publish the settings the run was made with."""
    with publish(path) as part:
        part.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
