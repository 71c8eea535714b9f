"""A package that is not installed is named with the command that installs it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from cryostat.core.extras import EXTRAS, missing_extra

OTHER_NAMES = {"mlflow": "mlflow-skinny", "openslide": "openslide-python", "umap": "umap-learn"}
"""What packages are called where they come from, if not as they are imported."""


def test_optional_packages_are_named_with_their_extra() -> None:
    error = missing_extra(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))
    assert error is not None
    assert "'torch', which is not installed" in str(error)
    assert "pip install 'cryostat[encoders]'" in str(error)
    assert missing_extra(ModuleNotFoundError("No module named 'nothing'", name="nothing")) is None


def test_the_table_agrees_with_the_project_file() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    for package, extra in EXTRAS.items():
        named = [line.split(">")[0] for line in project["optional-dependencies"][extra]]
        assert OTHER_NAMES.get(package, package.replace("_", "-")) in named
