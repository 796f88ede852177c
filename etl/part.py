"""Parts: numbered arrays with a done record each, so a killed stage goes on where it stopped."""

from pathlib import Path


def array_path(folder: Path, number: int) -> Path:
    """The array of a part."""
    return folder / f"part-{number:05d}.npy"


def record_path(folder: Path, number: int) -> Path:
    """The done record of a part."""
    return folder / "done" / f"part-{number:05d}.json"


def remove_parts_from(folder: Path, number: int) -> None:
    """Remove the parts of an earlier, longer run."""
    last_kept = array_path(folder, number - 1).name if number else ""
    for path in folder.glob("part-*.npy"):
        if path.name > last_kept:
            (folder / "done" / path.with_suffix(".json").name).unlink(missing_ok=True)
            path.unlink()
