"""params.yaml: one section a stage, read once, checked whole."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from cxrfuture_data.schema import ContractError, FilmsKept
from cxrfuture_data.settings import Settings, parse_settings, read_yaml
from etl.database_url import SETTING, holds_secret, is_database, show_url
from etl.environment import ENVIRONMENT

SIMULATED = "simulate"
FIT_VAE = "fit_vae"

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class Paths(Settings):
    """Where MIMIC lies ("simulate": nowhere, make it) and where the build goes.

    Chest ImaGenome and the reports of MIMIC-CXR are optional: "" is none. So is a folder of films
    that lie elsewhere than the csvs of MIMIC-CXR-JPG: "" is beside them.
    """

    mimic_iv: str
    mimic_cxr_jpg: str
    chest_imagenome: str = ""  # these three may go unsaid: few have them
    mimic_cxr_reports: str = ""
    films: str = ""
    build: Path


class SimulateParams(Settings):
    patients: Positive
    seed: int
    image_size: Annotated[int, Field(ge=64, le=4096)]
    films_as: Literal["jpg", "resized", "flat", "dicom"]
    version: Literal["2.0", "2.2", "3.0", "3.1"]
    cxr_version: Literal["2.0.0", "2.1.0"]


class IngestParams(Settings):
    tables: Literal["recipe", "all"]
    memory_limit: str
    threads: Count  # 0: every core
    max_rejects: Count


class SqlParams(Settings):
    """Settings of DuckDB for event, cohort and window."""

    memory_limit: str
    threads: Count


class CacheParams(Settings):
    """``folder`` may be the URL of an object store, refused unless ``attestation`` says why rows
    made from MIMIC may go there."""

    folder: str = ""  # "" is cache/ below the build
    ledger: str = ""  # "" is SQLite in the folder, or below the build for a URL
    attestation: str = ""


class ExecutorParams(Settings):
    """Where image, embed and latent run: on this machine or on a Ray cluster (docs/cluster.md)."""

    kind: Literal["local", "ray"]
    address: str  # of a head node, host:port; "": the cluster of this machine, or one for the run


class ImageParams(Settings):
    workers: Positive
    kept_size: Annotated[int, Field(ge=0, le=1024, multiple_of=8)]  # 0: the recipe's
    films_per_shard: Positive


class LocalEmbedder(Settings):
    """A folder of a Hugging Face encoder, or of sentence-transformers. Nothing is downloaded."""

    path: str
    pooling: Literal["folder", "mean", "cls"]  # folder: as its modules.json says
    normalise: bool  # to unit length; pooling "folder" says so itself
    max_tokens: Count  # 0: as the folder says


class RemoteEmbedder(Settings):
    """Any OpenAI-compatible endpoint. Refused unless ``attestation`` says why it is allowed.

    0 is no limit, in max_cost_usd, max_tokens_total, tokens_per_minute and max_tokens; it is "as
    the model gives" in dimensions.
    """

    kind: Literal["openai", "azure"]
    base_url: str
    api_version: str  # azure only
    model: str  # azure: the name of the deployment
    api_key_env: str  # "": the server asks for no key
    batch_size: Positive
    concurrency: Positive
    requests_per_minute: Positive
    tokens_per_minute: Count
    retries: Count
    timeout_seconds: Annotated[float, Field(gt=0)]
    dimensions: Count
    cut: Literal["server", "here", "here_unit"]
    max_tokens: Count
    tokenizer: str  # a tokenizer.json; "": four characters are taken for a token
    usd_per_million_tokens: Annotated[float, Field(ge=0)]
    max_cost_usd: Annotated[float, Field(ge=0)]
    max_tokens_total: Count
    attestation: str


class EmbedParams(Settings):
    backend: Literal["minilm", "local", "remote"]
    batch_size: Positive
    autocast: Literal["none", "bf16", "fp16"]
    local: LocalEmbedder
    remote: RemoteEmbedder


class FitVaeParams(Settings):
    """``perceptual_weights``: files of VGG16's and LPIPS's weights; none, and that term is left
    out."""

    config: str
    seed: int
    perceptual_weights: list[Path]


class LatentParams(Settings):
    weights: str  # "fit_vae", or a folder saved by diffusers' AutoencoderKL
    batch_size: Positive
    films_per_shard: Positive
    precision: Literal["fp32", "bf16", "fp16"]
    cpu_threads: Count = 0  # 0: as many as torch takes


class ShardParams(Settings):
    samples_per_shard: Positive
    keep_films: FilmsKept
    keep_texts: bool
    workers: Positive


class FitDiffusionParams(Settings):
    config: str
    recipe: str
    seed: int


class Params(Settings):
    recipes: list[str]
    paths: Paths
    simulate: SimulateParams
    ingest: IngestParams
    sql: SqlParams
    cache: CacheParams
    executor: ExecutorParams
    image: ImageParams
    embed: EmbedParams
    fit_vae: FitVaeParams
    latent: LatentParams
    shard: ShardParams
    fit_diffusion: FitDiffusionParams

    def build(self, *names: str) -> Path:
        """A folder or file below the build folder."""
        return self.paths.build.joinpath(*names)

    def weights_of(self, recipe: str) -> Path:
        """The folder of the autoencoder that makes a recipe's latents."""
        if self.latent.weights == FIT_VAE:
            return self.build(recipe, FIT_VAE)
        return Path(self.latent.weights)


def read_params(path: Path) -> Params:
    """params.yaml, with the folders of the environment (MIMIC_IV_DIR, ...) put over its paths."""
    value = read_yaml(path)
    paths = value.get("paths")
    if isinstance(paths, dict):
        _refuse_password(paths.get("mimic_iv"), path)
        for key, variable in ENVIRONMENT.items():
            if os.environ.get(variable):
                paths[key] = os.environ[variable]
    return parse_settings(Params, value, str(path))


def _refuse_password(mimic_iv: object, path: Path) -> None:
    if isinstance(mimic_iv, str) and is_database(mimic_iv) and holds_secret(mimic_iv):
        raise ContractError(
            f"{path}: {SETTING} holds the password for {show_url(mimic_iv)}, and DVC copies the"
            " file's values into dvc.lock; put it into ~/.pgpass, PGPASSWORD or MIMIC_IV_DIR"
        )
