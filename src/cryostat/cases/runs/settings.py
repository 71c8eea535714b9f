"""Settings of a method, from what a user wrote."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from cryostat.cases.methods.base import Method, Setting
from cryostat.core.errors import SettingError


def resolved_settings(method: Method, *given: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a method: its defaults, over them each mapping in turn.

    Args:
        method: The method.
        given: Settings by name, as values or as text from a command line.

    Raises:
        SettingError: The method has no such setting, or the value is of another kind or none of its options.
    """
    resolved: dict[str, Any] = {name: setting.default for name, setting in method.settings.items()}
    for some in given:
        for name, value in some.items():
            if name not in method.settings:
                raise SettingError(f"{method.name} has no setting {name!r}", remedy=_remedy(method, name))
            resolved[name] = _value(method.settings[name], f"{method.name}.{name}", value)
    return resolved


def _remedy(method: Method, name: str) -> str:
    if not method.settings:
        return "It has none"
    near = difflib.get_close_matches(name, method.settings, 1)
    return f"Did you mean {near[0]}?" if near else f"Choose of: {', '.join(method.settings)}"


def _value(setting: Setting, name: str, value: Any) -> Any:
    kind = type(setting.default)
    try:
        found = _switch(value) if kind is bool else kind(value)
    except (TypeError, ValueError) as error:
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "text")
        raise SettingError(f"{name} = {value!r} is not {wanted}", remedy=f"The default is {setting.default}") from error
    if setting.options and found not in setting.options:
        raise SettingError(f"{name} = {value!r}", remedy=f"Choose one of: {', '.join(setting.options)}")
    if kind is int and float(value) != found:
        raise SettingError(f"{name} = {value!r} is not a whole number", remedy=f"The default is {setting.default}")
    return found


def _switch(value: Any) -> bool:
    known = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
    text = str(value).lower()
    if text not in known:
        raise ValueError(text)
    return known[text]
