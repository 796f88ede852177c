"""Which model a run's settings are of, and encoders to begin with."""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import Field
from torch import nn

from cxrfuture_data.schema import ContractError
from train.checkpoint import load_encoders
from train.fusion.daft import Daft, DaftSettings
from train.fusion.ddl_cxr import DdlCxrFusion, DdlCxrFusionSettings
from train.fusion.drfuse import DrFuse, DrFuseSettings
from train.fusion.medfuse import MedFuse, MedFuseSettings
from train.fusion.mmtm import Mmtm, MmtmSettings
from train.fusion.tabular import Tabular, TabularSettings
from train.fusion.uni_cxr import UniCxr, UniCxrSettings
from train.fusion.uni_ehr import UniEhr, UniEhrSettings

ModelSettings: TypeAlias = Annotated[
    DdlCxrFusionSettings
    | UniEhrSettings
    | UniCxrSettings
    | TabularSettings
    | MmtmSettings
    | DaftSettings
    | MedFuseSettings
    | DrFuseSettings,
    Field(discriminator="name"),
]
_CLASSES: dict[str, Any] = {
    "ddl_cxr": DdlCxrFusion,
    "uni_ehr": UniEhr,
    "uni_cxr": UniCxr,
    "tabular": Tabular,
    "mmtm": Mmtm,
    "daft": Daft,
    "medfuse": MedFuse,
    "drfuse": DrFuse,
}


def model_class(settings: ModelSettings) -> Any:
    """The FusionModel (train/fusion/seen.py) that these settings are of."""
    return _CLASSES[settings.name]


def begin_with(model: nn.Module, encoder: str, run: Path) -> None:
    """Put the encoder, film or record, of another run of this task into a model that has one."""
    if not hasattr(model, encoder):
        raise ContractError(f"start_{encoder}: the model has no encoder of that name; set null")
    hint = f"train it with the settings of this run's {encoder}"
    load_encoders(model, (f"{encoder}.",), run, hint)
