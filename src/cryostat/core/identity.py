"""Identities: a hash of everything that determines a thing.

Same identity: reuse. Different: never mixed, and `differences` names the fields.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Facts = Mapping[str, Any]


def digest(facts: Any, length: int = 16) -> str:
    """SHA-256 of the canonical JSON of `facts`, shortened to `length` hex digits.

    Numbers that are equal hash equally (224 and 224.0); keys are sorted; NaN is refused.
    """
    text = json.dumps(_canonical(facts), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def canonical(facts: Facts) -> dict[str, Any]:
    """The form in which facts are hashed, ready for JSON: text keys, whole floats as integers, sequences as lists."""
    return {str(key): _canonical(item) for key, item in facts.items()}


def _canonical(value: Any) -> Any:
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return int(number) if math.isfinite(number) and number.is_integer() else number
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence | np.ndarray):
        return [_canonical(item) for item in value]
    raise TypeError(f"an identity cannot hold {type(value).__name__}")


def differences(ours: Facts, theirs: Facts, prefix: str = "") -> list[str]:
    """The fields in which two identities differ, as `field: ours / theirs`."""
    found: list[str] = []
    for key in sorted(set(ours) | set(theirs)):
        name = f"{prefix}{key}"
        a, b = ours.get(key), theirs.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{name}.")
        elif _canonical(a) != _canonical(b):
            found.append(f"{name}: {a!r} / {b!r}")
    return found


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_array(array: NDArray[Any]) -> str:
    """Hex SHA-256 of an array's dtype, shape and bytes."""
    state = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()


def code_version(*parts: ModuleType | type[Any]) -> str:
    """Hash of the logic of the modules or classes that determine a result; comments and docstrings do not matter."""
    return sources_version(*(inspect.getsource(part) for part in parts))


def sources_version(*sources: str) -> str:
    """`code_version` of source texts."""
    return digest([_logic(source) for source in sources])


def _logic(source: str) -> str:
    tree = ast.parse(textwrap.dedent(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
