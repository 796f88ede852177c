"""The judge of films: findings, attributes, age and sex from one film, and its features for FID.

Trained on real targets, never on generated films. Stands in for the papers' classifiers, whose
weights are not public (specs ehrxdiff 10.2, 10.6, 13).

Shapes: B films, H x W pixels, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import ResNetConfig, ResNetModel

from cxrfuture_data import Dataset
from cxrfuture_data.batch import AnyBatch, PairBatch
from cxrfuture_data.codec import to_pixels
from cxrfuture_data.labels import ATTRIBUTES, UNCERTAIN
from cxrfuture_data.schema import FINDINGS, ContractError
from cxrfuture_data.settings import Settings
from cxrfuture_data.split import Split
from cxrfuture_data.view import View
from train.mean import mean_of_known, mean_of_real
from train.model.resnet import norm_by_group, resize_films
from train.settings import FitSettings, Positive, Weight
from train.task import Moment

LOSSES = ("loss", "findings", "attributes", "age", "sex")


class ResNetSettings(Settings):
    """transformers' ResNet; ResNet-50 is 64, [256, 512, 1024, 2048], [3, 4, 6, 3], bottleneck."""

    stem: Positive
    channels: Annotated[list[Positive], Field(min_length=1)]
    depths: Annotated[list[Positive], Field(min_length=1)]
    layer: Literal["basic", "bottleneck"]
    norm_groups: Positive


class HeadWeights(Settings):
    """Of the loss."""

    findings: Weight
    attributes: Weight
    age: Weight
    sex: Weight


class ClassifierSettings(FitSettings):
    task: Literal["classifier"]
    network: ResNetSettings
    film_size: Positive | None  # pixels; films of another size are resized; null: as they come
    augment: bool  # films turned by up to 10 degrees and a tenth larger or smaller
    weights: HeadWeights


class Answers(NamedTuple):
    """Logits (B, 14), (B, 10) and (B,); ``age`` (B,) in training patients' deviations."""

    findings: Tensor
    attributes: Tensor
    age: Tensor
    is_male: Tensor
    features: Tensor  # (B, F)


@dataclass(frozen=True, eq=False)
class Judgement:
    """On the CPU, float32."""

    findings: Tensor  # (B, 14) probability of presence
    attributes: Tensor  # (B, 10)
    age: Tensor  # (B,) years
    is_male: Tensor  # (B,) probability
    features: Tensor  # (B, F), what the heads read


class Classifier(nn.Module):
    """A ResNet with group norm, and a linear head a question.

    Group norm in place of batch norm: what it says of a film depends on no other, in training as
    after it, so any number of ranks trains alike and averaged weights need no statistics.
    """

    def __init__(self, settings: ClassifierSettings, age_mean: float, age_std: float) -> None:
        """Age's moments, of training patients, are kept with the weights."""
        super().__init__()
        network = settings.network
        self.film_size = settings.film_size
        config = ResNetConfig(
            num_channels=1,
            embedding_size=network.stem,
            hidden_sizes=network.channels,
            depths=network.depths,
            layer_type=network.layer,
        )
        self.network = ResNetModel(config)
        norm_by_group(self.network, network.norm_groups)
        width = network.channels[-1]
        self.findings = nn.Linear(width, len(FINDINGS))
        self.attributes = nn.Linear(width, len(ATTRIBUTES))
        self.age = nn.Linear(width, 1)
        self.sex = nn.Linear(width, 1)
        self.register_buffer("age_moments", torch.tensor([age_mean, age_std]))

    def forward(self, films: Tensor) -> Answers:
        """films: (B, 1, H, W) uint8."""
        pixels = resize_films(to_pixels(films[:, 0]), self.film_size)  # (B, 1, s, s)
        features = self.network(pixels).pooler_output.flatten(1)  # (B, F)
        return Answers(
            findings=self.findings(features),
            attributes=self.attributes(features),
            age=self.age(features)[:, 0],
            is_male=self.sex(features)[:, 0],
            features=features,
        )


@torch.no_grad()
def predict(model: Classifier, films: Tensor) -> Judgement:
    """films: (B, 1, H, W) uint8."""
    was_training = model.training
    model.eval()
    found = model(films.to(model.age_moments.device))
    model.train(was_training)
    mean, std = model.age_moments.tolist()
    return Judgement(
        findings=found.findings.float().sigmoid().cpu(),
        attributes=found.attributes.float().sigmoid().cpu(),
        age=(found.age.float() * std + mean).cpu(),
        is_male=found.is_male.float().sigmoid().cpu(),
        features=found.features.float().cpu(),
    )


def join(parts: Sequence[Judgement]) -> Judgement:
    """Of the films of all parts, one after the other."""
    return Judgement(**{name: torch.cat([vars(p)[name] for p in parts]) for name in vars(parts[0])})


@dataclass(frozen=True)
class ClassifierTask:
    """Learns from the targets of pairs; a null event's is the previous film, and is left out."""

    settings: ClassifierSettings
    data: Dataset

    @property
    def view(self) -> View:
        """The target film; the previous one comes with it and is not used."""
        if self.data.manifest.films_kept == "none":
            raise ContractError(
                f"{self.data.source}: no films are kept, which a classifier reads; "
                "build with shard.keep_films: png"
            )
        augment: Mapping[str, str] = {"target": "weak_affine"} if self.settings.augment else {}
        return View(kind="pair", films=True, augment=augment)

    @property
    def losses(self) -> Sequence[str]:
        """The sum, and a head's terms."""
        return LOSSES

    @property
    def averaged(self) -> Sequence[str]:
        """All weights."""
        return ("",)

    def select(self, split: Split) -> Split:
        """Real pairs."""
        return split.where(~split.columns["is_null_event"])

    def build(self) -> Classifier:
        """New weights."""
        age = self.data.statistics.pair.age
        return Classifier(self.settings, age.mean, age.std or 1.0)

    def losses_of(self, model: nn.Module, batch: AnyBatch[Tensor], at: Moment) -> dict[str, Tensor]:
        """The named scalars of LOSSES."""
        assert isinstance(batch, PairBatch)
        batch = batch.to(at.device)
        found: Answers = model(batch.target_film)
        age = self.data.statistics.pair.age
        years = (batch.age - age.mean) / (age.std or 1.0)
        is_certain = batch.label_known & (batch.labels != UNCERTAIN)
        costs = {  # (B,) each
            "findings": _binary(found.findings, batch.labels == 1, is_certain),
            "attributes": _binary(found.attributes, batch.attributes == 1, batch.attribute_known),
            "age": (found.age.float() - years).square(),
            "sex": binary_cross_entropy_with_logits(
                found.is_male.float(), batch.is_male.float(), reduction="none"
            ),
        }
        terms = {name: mean_of_real(cost, batch.is_padding) for name, cost in costs.items()}
        weights = self.settings.weights.model_dump()
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return {"loss": total, **terms}


def _binary(logits: Tensor, is_true: Tensor, is_known: Tensor) -> Tensor:
    """(B, L) each -> (B,)."""
    each = binary_cross_entropy_with_logits(logits.float(), is_true.float(), reduction="none")
    return mean_of_known(each, is_known)
