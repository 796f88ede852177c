"""A film's share of a sample: facts, labels, latents, and its member where films are kept."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from cxrfuture_data.facts import refusal
from cxrfuture_data.level import Levels
from cxrfuture_data.sample import Array, Film
from cxrfuture_data.schema import FILM_SUFFIXES, SAMPLE_MEMBER, ContractError, FilmsKept

NO_LATENT = np.zeros((0, 0, 0), np.float16)


def encode_film(
    film: Film | None,
    role: str,
    films: FilmsKept,
    facts: dict[str, Any],
    tensors: dict[str, Array],
) -> None:
    """A film that a stay lacks is null, with null labels and empty latents."""
    facts[role], facts["labels"][role], facts["attributes"][role] = None, None, {}
    tensors[f"{role}_mean"] = tensors[f"{role}_logvar"] = NO_LATENT
    if film is not None:
        levels = film.levels if films == "levels" else None
        facts[role] = {
            "study_id": film.study_id,
            "dicom_id": film.dicom_id,
            "taken_at": film.taken_at.isoformat(),
            "view": film.view,
            "levels": levels and [[size, end] for size, end in levels.ends.items()],
        }
        facts["labels"][role] = dict(film.labels)
        facts["attributes"][role] = dict(film.attributes)
        tensors[f"{role}_mean"], tensors[f"{role}_logvar"] = film.mean, film.logvar


def film_bytes(key: str, role: str, film: Film | None, films: FilmsKept) -> bytes:
    """Every sample has the same members, so a missing film is an empty one."""
    if film is None:
        return b""
    if films == "png" and film.png:
        return film.png
    if films == "levels" and film.levels and film.levels.is_whole:
        return film.levels.data
    raise refusal(key, f"{role}: a film without its {'PNG' if films == 'png' else films}")


def read_film(
    role: str,
    facts: Mapping[str, Any],
    tensors: Mapping[str, Array],
    members: Mapping[str, bytes],
) -> Film | None:
    film = facts[role]
    for suffix in FILM_SUFFIXES.values():
        if role + suffix in members and (film is None) != (members[role + suffix] == b""):
            raise refusal(facts["key"], f"{role}{suffix} is empty, or there is no such film")
    if film is None:
        return None
    levels = _read_levels(facts["key"], role, film, members.get(role + FILM_SUFFIXES["levels"]))
    return Film(
        study_id=film["study_id"],
        dicom_id=film["dicom_id"],
        taken_at=datetime.fromisoformat(film["taken_at"]),
        view=film["view"],
        labels=facts["labels"][role],
        attributes=facts["attributes"][role],
        mean=tensors[f"{role}_mean"],
        logvar=tensors[f"{role}_logvar"],
        png=members.get(role + FILM_SUFFIXES["png"]),
        levels=levels,
    )


def level_end(key: str, role: str, ends: Mapping[int, int], size: int) -> int:
    """The bytes that hold the level of ``size`` pixels, and all that are smaller."""
    if size not in ends:
        raise ContractError(
            f"sample {key}: {role} has no level of {size} pixels; ask for one of {sorted(ends)}"
        )
    return ends[size]


def _read_levels(key: str, role: str, film: Mapping[str, Any], data: bytes | None) -> Levels | None:
    if data is None:
        return None
    if film["levels"] is None:
        raise refusal(key, f"{role}.levels, of which {SAMPLE_MEMBER} says nothing")
    return Levels(data, dict(film["levels"]))
