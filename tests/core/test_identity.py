from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cryostat.core.errors
import cryostat.core.home
from cryostat.core.identity import code_version, differences, digest, sha256_array, sha256_file

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
facts = st.dictionaries(st.text(), st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=5))


def test_a_digest_is_that_of_canonical_json() -> None:
    expected = hashlib.sha256(b'{"a":1,"b":["x",null]}').hexdigest()[:16]
    assert digest({"b": ["x", None], "a": 1}) == expected


@given(facts)
def test_order_of_keys_and_copies_do_not_matter(value: dict[str, Any]) -> None:
    assert digest(value) == digest(dict(reversed(value.items())))
    assert differences(value, dict(value)) == []


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (224, 224.0),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        ((1, 2), [1, 2]),
        (np.array([1, 2]), [1, 2]),
        (np.bool_(True), True),
        (Path("a/b"), "a/b"),
        ({1: "x"}, {"1": "x"}),
    ],
)
def test_equal_values_hash_equally(ours: Any, theirs: Any) -> None:
    assert digest({"v": ours}) == digest({"v": theirs})


@pytest.mark.parametrize(("ours", "theirs"), [(1, True), (1, "1"), (None, ""), ([1, 2], [2, 1]), (0.1, 0.1000001)])
def test_different_values_hash_differently(ours: Any, theirs: Any) -> None:
    assert digest({"v": ours}) != digest({"v": theirs})


def test_what_an_identity_cannot_hold() -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest({"a": float("nan")})
    with pytest.raises(TypeError, match="cannot hold set"):
        digest({"a": {1, 2}})


def test_differences_name_the_fields_with_their_path() -> None:
    ours = {"mpp": 0.5, "encoder": {"name": "rcf", "seed": 0}, "same": 1.0}
    theirs = {"mpp": 0.25, "encoder": {"name": "rcf", "seed": 1}, "same": 1, "new": "x"}
    assert differences(ours, theirs) == ["encoder.seed: 0 / 1", "mpp: 0.5 / 0.25", "new: None / 'x'"]


def test_files_and_arrays(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_file(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert sha256_array(array) == sha256_array(np.asfortranarray(array))
    assert sha256_array(array) != sha256_array(array.reshape(3, 2))
    assert sha256_array(array) != sha256_array(array.astype(np.int64))
    assert sha256_array(array[:, ::2]) == sha256_array(array[:, ::2].copy())


def test_code_version_is_that_of_the_source() -> None:
    errors, home = cryostat.core.errors, cryostat.core.home
    assert code_version(errors) == code_version(errors)
    assert code_version(errors) != code_version(home)
    assert code_version(errors, home) != code_version(errors)
    assert code_version(home.Home) != code_version(home)


def test_code_version_sees_logic_and_overlooks_comments_and_docstrings(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(tmp_path)

    def version(name: str, source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        return code_version(importlib.import_module(name))

    plain = version("plain_part", "def f(x):\n    return x + 1\n")
    assert version("told_part", '"""Text."""\n\n\ndef f(x):\n    """More."""\n    # why\n    return x + 1\n') == plain
    assert version("other_part", "def f(x):\n    return x + 2\n") != plain
