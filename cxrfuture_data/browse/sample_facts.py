"""One sample as the JSON that the page shows. Ids and times stand apart from all else."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cxrfuture_data.browse.reader import Reader
from cxrfuture_data.labels import ATTRIBUTES, CHANGE_ATTRIBUTES
from cxrfuture_data.sample import Film, ImageSample, PairSample, Sample, StaySample, films_of
from cxrfuture_data.schema import FINDINGS, STATIC

Named = list[dict[str, Any]]
WORDS = {1: "present", 0: "absent", -1: "uncertain", None: "not said"}
_YES_NO = {True: "yes", False: "no", None: "not known"}


def films(sample: Sample, reader: Reader, position: int) -> Named:
    """The films of the sample; where none is kept ``url`` is null, and ``reason`` says why."""
    found = []
    for role, film in films_of(sample).items():
        shape = reader.film_shape(position, role)
        url = f"/film/{reader.split}/{reader.kind}/{sample.key}/{role}.png"
        found.append(
            {
                "role": role,
                "label": f"{role} film" if role != "image" else "film",
                "url": None if shape is None else url,
                "reason": None if shape is not None else "films are not kept in this build",
                "view": film.view,
                "hours": _hours(sample, role),
                "height": None if shape is None else shape[0],
                "width": None if shape is None else shape[1],
            }
        )
    return found


def _hours(sample: Sample, role: str) -> float | None:
    """Since the previous film."""
    if isinstance(sample, PairSample) and role == "target":
        return sample.gap_hours
    return 0.0 if role == "previous" else None


def demographics(sample: Sample) -> Named:
    found = [_named("age", f"{sample.age:g} years"), _named("sex", sample.sex)]
    if isinstance(sample, PairSample | StaySample):
        found.append(_named("race", sample.race or "not recorded"))
        found.append(_named("insurance", sample.insurance or "not recorded"))
        history = sample.history
        if history is not None:
            bmi = "not recorded" if history.bmi is None else f"{history.bmi:.1f} kg/m2"
            ill = [name for name, value in history.comorbidities.items() if value]
            found.append(_named("body mass index", bmi))
            found.append(_named("earlier admissions", str(history.earlier_admissions)))
            found.append(_named("comorbidities", ", ".join(ill) or "none coded"))
    if isinstance(sample, ImageSample):
        found += [
            _named(name.replace("_", " "), "not known" if np.isnan(value) else f"{value:g} {unit}")
            for (name, unit), value in zip(STATIC.items(), sample.static.tolist(), strict=False)
        ]
    return found


def labels(sample: Sample, changes: Mapping[str, str]) -> Named:
    """A row a finding: the word of each film, and of pairs the change between them."""
    found = films_of(sample)
    roles: dict[str, Film | None] = dict.fromkeys(("previous", "target")) | found
    return [
        {"finding": finding}
        | {role: film and WORDS[film.labels[finding]] for role, film in roles.items()}
        | {"change": changes.get(finding)}
        for finding in FINDINGS
    ]


def attributes(sample: Sample) -> Named:
    """Chest ImaGenome's, where it describes a film; and what its report says has changed."""
    found = films_of(sample)
    if not any(film.attributes for film in found.values()):
        return []
    said = sample.changes if isinstance(sample, PairSample) else {}
    names = CHANGE_ATTRIBUTES if said else ATTRIBUTES
    return [
        {"attribute": name}
        | {role: WORDS[film.attributes.get(name)] for role, film in found.items()}
        | {"change": said.get(name)}
        for name in names
    ]


def outcomes(sample: Sample) -> Named:
    found: Named = []
    if isinstance(sample, PairSample | StaySample):
        found.append(_named("died in hospital", _YES_NO[sample.died_in_hospital]))
    if isinstance(sample, StaySample):
        if sample.icu_transfer is not None:
            found.append(_named("moved to the ICU", _YES_NO[sample.icu_transfer]))
        if sample.readmitted is not None:
            found.append(_named("admitted again", _YES_NO[sample.readmitted]))
        if sample.remaining_hours is not None:
            found.append(_named("hours left in hospital", f"{sample.remaining_hours:.1f} h"))
        if sample.label is not None:
            found.append(_named("label of the index file", f"{sample.label:g}"))
        if sample.phenotypes is not None:
            names = [name for name, value in sample.phenotypes.items() if value]
            found.append(_named("phenotypes", "; ".join(names) or "none"))
    return found


def provenance(reader: Reader, position: int) -> Named:
    """Where the sample lies, and all that it was made from."""
    manifest, shard = reader.dataset.manifest, reader.shard(position)
    _, _, file = shard.partition("/")
    entries = manifest.kind(reader.split, reader.kind).shards
    sums = {entry.name: entry.sha256 for entry in entries}
    found = [_named("shard", shard), _named("sha256 of the shard", sums[file])]
    for member in reader.members(position):
        where = f"{member['bytes']:,} bytes from byte {member['offset']:,}, xxh3 {member['xxh3']}"
        found.append(_named(str(member["name"]), where))
    shape = " x ".join(map(str, manifest.latent.shape))
    facts = {
        "dataset": str(reader.dataset.source),
        "recipe": manifest.recipe.name,
        "made from": manifest.made_from,
        "params digest": manifest.params_digest,
        "input digest": manifest.input_digest,
        "git commit": manifest.git_commit or "not known",
        "weights of the autoencoder": manifest.weights.vae,
        "weights of the embedder": manifest.weights.embedder or "none",
        "latent": f"{shape}, {manifest.latent.dtype}, scale {manifest.latent.scale:g}",
        "films kept": manifest.films_kept,
        "licence": manifest.licence,
    }
    return found + [_named(name, value) for name, value in facts.items()]


def ids(sample: Sample) -> Named:
    """What names a patient, and the times of the chart: for the page to hide until asked."""
    found = [_named("subject_id", str(sample.subject_id))]
    for name in ("hadm_id", "stay_id"):
        value = getattr(sample, name)
        if value is not None:
            found.append(_named(name, str(value)))
    for role, film in films_of(sample).items():
        found.append(_named(f"{role}: study_id", str(film.study_id)))
        found.append(_named(f"{role}: dicom_id", film.dicom_id))
        found.append(_named(f"{role}: taken at", film.taken_at.isoformat(sep=" ")))
    if isinstance(sample, PairSample | StaySample):
        for name in ("start_at", "end_at", "latest_event_at", "latest_known_at"):
            at = getattr(sample.window, name)
            words = f"window: {name.replace('_', ' ')}"
            found.append(_named(words, "none" if at is None else at.isoformat(sep=" ")))
    if isinstance(sample, StaySample):
        found.append(_named("prediction at", sample.prediction_at.isoformat(sep=" ")))
    return found


def _named(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}
