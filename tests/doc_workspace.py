"""Where the commands of the docs run: a folder with a small simulated hospital, built once.

It holds what a clone holds after `dvc repro` and a few steps of training. The hospital is small,
the autoencoder and the text encoder are narrow; what is built is real. CXRFUTURE_DOCS_WORKSPACE
names a folder to keep between runs, which then take seconds.
"""

import os
import shutil
import subprocess
from pathlib import Path

import yaml
from typer.testing import CliRunner

import cxrfuture

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ("ddl_cxr", "ehrxdiff", "future")
TO_CHECK = ("event", "cohort", "window", "image", "embed", "fit_vae", "latent", "shard", "check")
SMALL = {
    "simulate": {"patients": 16, "image_size": 64},
    "ingest": {"threads": 1, "memory_limit": "1GB"},
    "sql": {"threads": 1, "memory_limit": "1GB"},
    "image": {"workers": 1},
    "shard": {"workers": 1},
    "fit_vae": {"config": "vae.yaml"},
}
BUILT = "built"
IGNORED = (
    "/clone/",
    "/built",
    "/build/",
    "/out/",
    "/encoder/",
    "/hospital/",
    "*.png",
    "*.csv",
    "*.parquet",
    "*.html",
)
TWO_STEPS = ("--set", "length.steps=2", "--set", "valid_samples=2")
ENCODER = {"backend": "local", "local": {"path": "encoder", "pooling": "mean"}}
REPORT = ("report", "--recipe", "ddl_cxr")


def build_workspace(folder: Path) -> set[tuple[str, ...]]:
    """All stages of the three recipes that params.yaml ships; nothing where all is there.

    Returns the commands that a page need not repeat.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    if Path(BUILT).exists():
        return set()
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section, settings in SMALL.items():
        params[section].update(settings)
    params["embed"]["backend"] = ENCODER["backend"]
    params["embed"]["local"].update(ENCODER["local"])
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    _write_autoencoder(Path("vae.yaml"))
    if not Path("encoder").exists():
        _write_encoder(Path("encoder"))
    if not Path(".git").exists():
        subprocess.run(["git", "init", "-q"], check=True)
        Path(".gitignore").write_text("".join(f"{name}\n" for name in IGNORED))
        commit = ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "start"]
        subprocess.run(["git", "add", ".gitignore"], check=True)
        subprocess.run(["git", *commit], check=True)
        Path("notebooks").mkdir(exist_ok=True)
    if not Path("etl/recipes").exists():
        shutil.copytree(ROOT / "etl" / "recipes", "etl/recipes")
    for stage in ("simulate", "ingest"):
        run_stage(stage)
    for recipe in RECIPES:
        for stage in TO_CHECK:
            run_stage(stage, "--recipe", recipe)
    run_stage(*REPORT)
    if not Path("build/train/ddl_cxr").exists():
        run_stage("train", "ddl_cxr-tiny", "--out", "build/train/ddl_cxr", *TWO_STEPS)
    Path(BUILT).touch()
    return {REPORT}


def run_stage(*arguments: str) -> None:
    done = CliRunner().invoke(cxrfuture.app, list(arguments))
    assert done.exit_code == 0, f"{arguments}: {done.exception!r}\n{done.output[-2000:]}"


def _write_autoencoder(path: Path) -> None:
    config = yaml.safe_load((ROOT / "train" / "config" / "fit_vae" / "tiny.yaml").read_text())
    config |= {"channels": [8, 8, 8, 8], "crop": 32, "length": {"epochs": None, "steps": 2}}
    path.write_text(yaml.safe_dump(config))


def _write_encoder(folder: Path) -> None:
    """A BERT of one narrow layer with drawn weights, and MiniLM's tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    from etl.local_folder import find_minilm

    torch.manual_seed(0)
    width = {"hidden_size": 16, "intermediate_size": 16, "max_position_embeddings": 64}
    config = BertConfig(num_hidden_layers=1, num_attention_heads=2, vocab_size=30522, **width)
    BertModel(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(find_minilm() / name, folder / name)
