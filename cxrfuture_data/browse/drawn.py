"""What models made of a dataset's samples: generated films, and maps of anomalies, by key.

Generated films are latents (generated.py; of pairs `<split>-<seed>.safetensors`, of stays
`stay-<split>-<seed>.safetensors`), decoded when asked for by the autoencoder they are of. Anomaly
maps are PNGs `films/KEY.png` of film, reconstruction and map side by side, with scores a line each
in `<split>.jsonl` (`cxrfuture anomaly`).
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open

from cxrfuture_data.browse.problem import NOT_FOUND, Problem
from cxrfuture_data.command import import_part
from cxrfuture_data.dataset import Dataset
from cxrfuture_data.generated import LATENTS
from cxrfuture_data.sample import Array
from cxrfuture_data.schema import ContractError

_FILE = re.compile(r"(stay-)?(train|valid|test)-([0-9]+)")
_PANELS = {"reconstruction": 1, "anomaly": 2}  # of a picture of three; the first is the film
_LABELS = {"reconstruction": "what a model of normal films gives back", "anomaly": "anomaly map"}
_ROLE = re.compile(r"generated-([0-9]+)")


@dataclass(frozen=True, eq=False)
class LatentFile:
    """The latents that one seed drew of a split and kind."""

    path: Path
    split: str
    kind: str
    seed: int
    rows: Mapping[str, int]  # key -> row

    def latent(self, key: str) -> Array:
        """(C, h, w) float16."""
        try:
            with safe_open(self.path, "np") as file:
                return np.asarray(file.get_slice(LATENTS)[self.rows[key]])
        except (OSError, SafetensorError, IndexError) as error:
            raise ContractError(
                f"{self.path}: no file of latents ({error}); generate again"
            ) from None


def open_latents(folder: Path, made_from: str) -> list[LatentFile]:
    """Every file of a folder; those of another dataset are refused."""
    files = [
        _open_latents(path, found, made_from)
        for path in sorted(folder.glob("*.safetensors"))
        if (found := _FILE.fullmatch(path.stem))
    ]
    if not files:
        raise ContractError(f"{folder}: no generated latents; run `cxrfuture generate RUN` first")
    return sorted(files, key=lambda file: file.seed)


def _open_latents(path: Path, found: re.Match[str], made_from: str) -> LatentFile:
    record = path.with_suffix(".json")
    try:
        facts = json.loads(record.read_text())
        rows = {str(key): row for row, key in enumerate(facts["keys"])}
        dataset = facts["dataset"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ContractError(f"{record}: cannot be read; generate again") from None
    if dataset != made_from:
        raise ContractError(f"{path}: of another dataset; generate again for this one")
    kind = "stay" if found[1] else "pair"
    return LatentFile(path, found[2], kind, int(found[3]), rows)


class Drawn:
    """Of one dataset. ``autoencoder``: a folder; without it latents are known and not shown."""

    def __init__(
        self,
        dataset: Dataset,
        *,
        generated: Path | None = None,
        anomaly: Path | None = None,
        autoencoder: Path | None = None,
    ) -> None:
        self.latents: Sequence[LatentFile] = (
            [] if generated is None else open_latents(generated, dataset.manifest.made_from)
        )
        self.anomaly = anomaly
        if anomaly is not None and not (anomaly / "films").is_dir():
            raise ContractError(f"{anomaly}: no films of anomalies; run `cxrfuture anomaly` first")
        self._codec = None if autoencoder is None else _open_codec(autoencoder, dataset)
        self._decoding = threading.Lock()
        self._decode = lru_cache(maxsize=64)(self._decode_once)

    @property
    def has_generated(self) -> bool:
        return bool(self.latents)

    def films(self, split: str, kind: str, key: str) -> Iterator[dict[str, Any]]:
        """As the films of a sample are described, and ``seed`` of generated ones."""
        base = {"view": None, "hours": None, "height": None, "width": None, "seed": None}
        address = f"/film/{split}/{kind}/{key}"
        for file in self._files(split, kind, key):
            has_film = self._codec is not None
            yield base | {
                "role": "generated",
                "label": f"generated film, seed {file.seed}",
                "url": f"{address}/generated-{file.seed}.png" if has_film else None,
                "reason": None if has_film else "a latent; give --autoencoder to see the film",
                "seed": file.seed,
            }
        picture = self._picture(kind, key)
        if picture is not None:
            for role, label in _LABELS.items():
                url = f"{address}/{role}.png"
                yield base | {"role": role, "label": label, "url": url, "reason": None}

    def pixels(self, split: str, kind: str, key: str, role: str) -> Array:
        """(H, W) uint8."""
        if role in _PANELS:
            picture = self._picture(kind, key)
            if picture is None:
                raise Problem(NOT_FOUND, f"sample {key} has no {role} picture")
            return _read_panel(picture, _PANELS[role])
        found = _ROLE.fullmatch(role)
        files = self._files(split, kind, key)
        chosen = [file for file in files if found and file.seed == int(found[1])]
        if not chosen:
            raise Problem(NOT_FOUND, f"sample {key} has no film {role!r}")
        if self._codec is None:
            raise Problem(NOT_FOUND, f"{role} is a latent; start with --autoencoder FOLDER")
        with self._decoding:
            return self._decode(chosen[0], key)

    def scores(self, split: str, kind: str, key: str) -> list[dict[str, str]]:
        """The anomaly scores of a film, if it has any."""
        if self.anomaly is None or kind != "image":
            return []
        row = _read_scores(self.anomaly, split).get(key, {})
        return [
            {"name": name.replace("_", " "), "value": f"{value:.4g}"}
            for name, value in row.items()
            if name != "key"
        ]

    def _files(self, split: str, kind: str, key: str) -> list[LatentFile]:
        return [
            file
            for file in self.latents
            if file.split == split and file.kind == kind and key in file.rows
        ]

    def _picture(self, kind: str, key: str) -> Path | None:
        """``key`` is that of a sample that exists, so it names a file and no path."""
        if self.anomaly is None or kind != "image":
            return None
        path = self.anomaly / "films" / f"{key}.png"
        return path if path.is_file() else None

    def _decode_once(self, file: LatentFile, key: str) -> Array:
        torch = import_part("torch", "train")
        assert self._codec is not None
        latent = torch.from_numpy(file.latent(key))[None]  # (1, C, h, w)
        film: Array = self._codec.decode(latent)[0].cpu().numpy()  # (H, W)
        return film


def _open_codec(folder: Path, dataset: Dataset) -> Any:
    codec = import_part("cxrfuture_data.codec", "train")
    if codec.weights_digest(folder) != dataset.manifest.weights.vae:
        raise ContractError(
            f"{folder}: not the autoencoder of this dataset's latents; name the one it was built by"
        )
    return codec.load_codec(folder)


def _read_panel(path: Path, panel: int) -> Array:
    """One of three square pictures side by side, with as much black after the first as after the
    second."""
    try:
        pixels = np.asarray(Image.open(path, formats=("PNG",)))
    except (OSError, SyntaxError) as error:
        raise ContractError(f"{path}: no PNG ({error}); run `cxrfuture anomaly` again") from None
    height, width = pixels.shape
    if width < 3 * height:
        raise ContractError(f"{path}: not three pictures; run `cxrfuture anomaly` again")
    start = panel * (height + (width - 3 * height) // 2)
    return pixels[:, start : start + height]


@lru_cache(maxsize=8)
def _read_scores(folder: Path, split: str) -> dict[str, dict[str, Any]]:
    """By key, of all ranks."""
    paths = [folder / f"{split}.jsonl", *sorted(folder.glob(f"{split}.*.jsonl"))]
    try:
        rows = [
            json.loads(line)
            for path in paths
            if path.exists()
            for line in path.read_text().splitlines()[1:]
        ]
        return {row["key"]: row for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        raise ContractError(
            f"{folder}: scores of {split} cannot be read; run `cxrfuture anomaly` again"
        ) from None
