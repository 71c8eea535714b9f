"""Options that say, or need not say, which encoder or head they are for."""

from __future__ import annotations

import pytest

from cryostat.cli.options import head_options, key_values, of_encoders
from cryostat.core.errors import SettingError


def test_one_encoder_needs_no_name_several_do() -> None:
    assert of_encoders(["a"], weights=["w.bin"]) == {"a": {"weights": "w.bin"}}
    assert of_encoders(["a"], weights=["dir=x/w.bin"]) == {"a": {"weights": "dir=x/w.bin"}}
    named = of_encoders(["a", "b"], weights=["b=w.bin"], precision=["a=bf16"])
    assert named == {"a": {"precision": "bf16"}, "b": {"weights": "w.bin"}}
    with pytest.raises(SettingError, match="which of 2 encoders"):
        of_encoders(["a", "b"], weights=["w.bin"])


def test_one_head_needs_no_name_several_do() -> None:
    assert head_options(["linear"], ["lr=0.1"]) == {"linear": {"lr": "0.1"}}
    assert head_options(["linear", "cell-probe"], ["cell-probe.hidden=8"]) == {
        "linear": {},
        "cell-probe": {"hidden": "8"},
    }
    with pytest.raises(SettingError, match="which of 2 heads"):
        head_options(["linear", "cell-probe"], ["lr=0.1"])


@pytest.mark.parametrize("pair", ["lr", "=1", ""])
def test_pairs_have_a_key_and_a_sign(pair: str) -> None:
    with pytest.raises(SettingError, match="not KEY=VALUE"):
        key_values([pair])
