"""Which extra of the installation brings which package."""

from __future__ import annotations

from cryostat.core.errors import MissingExtraError

EXTRAS = {
    "anndata": "anndata",
    "h5py": "formats",
    "huggingface_hub": "encoders",
    "jinja2": "report",
    "lmdb": "formats",
    "markupsafe": "report",
    "matplotlib": "figures",
    "mlflow": "mlflow",
    "nibabel": "volumes",
    "openpyxl": "formats",
    "openslide": "slides",
    "peft": "training",
    "safetensors": "encoders",
    "segmentation_models_pytorch": "training",
    "tensorboard": "tensorboard",
    "timm": "encoders",
    "torch": "encoders",
    "torchvision": "encoders",
    "transformers": "encoders",
    "umap": "maps",
    "wandb": "wandb",
}
"""Import name of an optional package to the extra that installs it."""


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """Our error for an optional package that is not installed; None for any other module."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    return MissingExtraError(package, extra=EXTRAS[package], purpose="This command")
