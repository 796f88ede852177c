"""The smallest settings that have every part of the real ones."""

from train.ddl_cxr import DdlCxrSettings
from train.settings import VaeConfig


def fit_settings():
    """Four samples a step, eight steps; of every task."""
    return {
        "optimiser": {"learning_rate": 2e-3, "betas": [0.9, 0.999], "weight_decay": 0.01},
        "warmup_steps": 0,
        "decay": "none",
        "batch_size": 4,
        "accumulate": 1,
        "length": {"epochs": None, "steps": 8},
        "clip_norm": 1.0,
        "ema_decay": 0.9999,
        "precision": "no",
        "compile": False,
        "checkpoint_steps": 100,
        "valid_steps": 100,
        "valid_samples": None,
        "workers": 0,
        "trackers": [],
    }


def ddl_cxr_settings(**changes):
    """Two levels, no dropout."""
    value = {
        "task": "ddl_cxr",
        "recipe": "ddl_cxr",
        "fidelity": "corrected",
        "without": [],
        "select_by": "simple",
        "patience": None,
        "fold": None,
        "unet_weights": None,
        "unet": {
            "channels": [8, 16],
            "res_blocks": 1,
            "heads": 2,
            "head_width": None,
            "norm_groups": 4,
            "gradient_checkpointing": False,
        },
        "history": {"width": 16, "feedforward": 16, "heads": 2, "layers": 1, "dropout": 0.0},
        "objective": {
            "findings_weight": 1.4,
            "contrast_weight": 1.0,
            "contrast_margin": 0.2,
            "context_noise": 0.5,
        },
        "sampler": {"steps": 3, "eta": 1.0},
    }
    return DdlCxrSettings.model_validate(fit_settings() | value | changes)


def vae_config(loss=None, **changes):
    """Films of 32 pixels, latents of 4 x 4; every optional term is off."""
    value = {
        "image_channels": 1,
        "channels": [8, 8, 8, 8],
        "layers_per_level": 1,
        "norm_groups": 4,
        "latent_channels": 4,
        "dropout": 0.0,
        "crop": 32,
        "scaling_factor": 1.0,
        "first_logvar": -4.0,
        "loss": {
            "kl_weight": 1e-6,
            "perceptual_weight": 0.0,
            "adversarial_weight": 0.0,
            "adversarial_from_step": 0,
            "label_weight": 0.0,
            "unknown_labels": "masked",
        }
        | (loss or {}),
        "batch_size": 4,
        "accumulate": 1,
        "length": {"epochs": None, "steps": 40},
        "optimiser": {
            "learning_rate": 4e-3,
            "per_film": False,
            "betas": [0.9, 0.99],
            "weight_decay": 0.0,
        },
        "precision": "no",
        "checkpoint_steps": 100,
        "valid_steps": 20,
        "valid_films": None,
    }
    return VaeConfig.model_validate(value | changes)
