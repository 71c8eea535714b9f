"""Options that say, or need not say, which encoder or head they are for."""

from __future__ import annotations

import pytest

from cryostat.cli.options import key_values, of_encoders, settings_of
from cryostat.core.errors import SettingError


def test_one_encoder_needs_no_name_several_do() -> None:
    assert of_encoders(["a"], weights=["w.bin"]) == {"a": {"weights": "w.bin"}}
    assert of_encoders(["a"], weights=["dir=x/w.bin"]) == {"a": {"weights": "dir=x/w.bin"}}
    named = of_encoders(["a", "b"], weights=["b=w.bin"], precision=["a=bf16"])
    assert named == {"a": {"precision": "bf16"}, "b": {"weights": "w.bin"}}
    with pytest.raises(SettingError, match="which of 2 encoders"):
        of_encoders(["a", "b"], weights=["w.bin"])


def test_one_head_needs_no_name_several_do() -> None:
    assert settings_of(["linear"], ["lr=0.1"], "heads") == {"linear": {"lr": "0.1"}}
    assert settings_of(["linear", "cell-probe"], ["cell-probe.hidden=8"], "heads") == {
        "linear": {},
        "cell-probe": {"hidden": "8"},
    }
    with pytest.raises(SettingError, match="which of 2 heads"):
        settings_of(["linear", "cell-probe"], ["lr=0.1"], "heads")


@pytest.mark.parametrize("pair", ["lr", "=1", ""])
def test_pairs_have_a_key_and_a_sign(pair: str) -> None:
    with pytest.raises(SettingError, match="not KEY=VALUE"):
        key_values([pair])
