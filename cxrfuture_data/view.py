"""Views: what of a sample a model sees. Values only; ``batch.collate`` and ``fill`` obey them.

Each published model's own is here by name, for ``split.loader(64, "ddl_cxr.pair")``; another is a
few words: ``dataclasses.replace(VIEWS["future.pair"], max_events=512, events="rows")``.
"""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from cxrfuture_data.augment import AUGMENTATIONS
from cxrfuture_data.schema import KINDS, ContractError

EHRXDIFF_EVENTS = 1024  # specs ehrxdiff 3.5


@dataclass(frozen=True, kw_only=True)
class View:
    """The shapes of what it gives are those of the batch types (``batch.py``)."""

    kind: str  # one of schema.KINDS
    # posterior: mean and log-variance, to be drawn from on the device; mean: the mean alone; drawn:
    # a draw a sample and epoch, of its own seed.
    latents: Literal["none", "posterior", "mean", "drawn"] = "none"
    hours: bool = False
    # As stored, (B, T, V) in the variables' units, NaN where nothing was measured, for those who
    # fill and scale on the device; else as a model reads them.
    hours_as_measured: bool = False
    # Of stays: the hours since the film, and at least the recipe's generation_hours, up to the
    # prediction; read as a pair's are. False: those of the stay's own window.
    generation: bool = False
    # vectors: gathered from the table of embeddings; rows: their rows, to be gathered on the device
    # from ``dataset.embeddings``.
    events: Literal["none", "vectors", "rows"] = "none"
    max_events: int | None = None  # the newest are kept
    # Of a null-event sample (specs ehrxdiff 5): no event, or as published ``max_events`` zero
    # vectors that count as events.
    null_events: Literal["masked", "zeros"] = "masked"
    # A folder of latents generated for stays (generated.py), to be joined by key.
    generated: str | None = None
    films: bool = False
    film_size: int | None = None  # pixels; None: the recipe's
    # role of a film -> one of augment.AUGMENTATIONS, applied in training.
    augment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ContractError(f"view: no kind {self.kind!r}; known are {', '.join(KINDS)}")
        if self.generation and (self.kind != "stay" or not self.hours):
            raise ContractError("view: generation=True is of hours; take kind stay and hours=True")
        if self.null_events == "zeros" and self.max_events is None:
            raise ContractError("view: null_events: zeros needs max_events, how many zero vectors")
        if self.max_events is not None and self.max_events < 1:
            raise ContractError(f"view: max_events is {self.max_events}; give 1 or more, or None")
        if self.generated is not None and self.kind != "stay":
            raise ContractError(f"view: generated latents are of stays, not of {self.kind} samples")
        strange = sorted(set(self.augment.values()) - AUGMENTATIONS.keys())
        if strange:
            known = ", ".join(AUGMENTATIONS)
            raise ContractError(f"view: no augmentation {strange[0]!r}; known are {known}")
        if self.augment and not self.films:
            raise ContractError("view: augment changes films; set films=True")

    def settings(self) -> dict[str, Any]:
        """As JSON holds them."""
        return asdict(self)


_PREDICTION = {"previous": "prediction_affine"}

VIEWS = {
    # Previous and target latents and the hours between (specs ddl-cxr 8).
    "ddl_cxr.pair": View(kind="pair", latents="posterior", hours=True),
    # The film before the prediction and the first 48 hours (specs ddl-cxr 9).
    "ddl_cxr.stay": View(
        kind="stay", latents="posterior", hours=True, films=True, augment=_PREDICTION
    ),
    # What a film at the prediction is generated from: the previous latent and the hours since
    # (specs ddl-cxr 3.7).
    "ddl_cxr.generation": View(kind="stay", latents="posterior", hours=True, generation=True),
    # Films for CLIP, latents, and the 1,024 newest events; the previous film is weakly augmented
    # (specs ehrxdiff 5, 7, 8).
    "ehrxdiff.pair": View(
        kind="pair",
        latents="posterior",
        events="vectors",
        max_events=EHRXDIFF_EVENTS,
        films=True,
        augment={"previous": "weak_affine"},
    ),
    # A film and the static values, for diffusion on pixels (specs diff3m 9).
    "diff3m.image": View(kind="image", films=True),
    # Hours and a film, or none (specs fusion-baselines 3 to 5, 12).
    "medfuse.stay": View(kind="stay", hours=True, films=True, augment=_PREDICTION),
    "drfuse.stay": View(kind="stay", hours=True, films=True, augment=_PREDICTION),
    # Everything: latents, hours, events with their times.
    "future.pair": View(kind="pair", latents="posterior", hours=True, events="vectors"),
    "future.stay": View(kind="stay", latents="posterior", hours=True, events="vectors"),
}


def find_view(view: str | View) -> View:
    """A view by name, or as it is."""
    if isinstance(view, View):
        return view
    if view not in VIEWS:
        near = difflib.get_close_matches(view, VIEWS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(VIEWS)}"
        raise ContractError(f"no view {view!r}; {hint}")
    return VIEWS[view]
