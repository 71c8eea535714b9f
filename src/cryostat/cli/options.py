"""Pieces of the command line that several commands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryostat.core.errors import SettingError


def key_values(pairs: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` texts as a mapping.

    Raises:
        SettingError: One has no equals sign or no key.
    """
    found = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise SettingError(f"--set {pair!r} is not KEY=VALUE", remedy="Write for example --set lr=0.001")
        found[key.strip()] = value.strip()
    return found


def of_encoders(encoders: Sequence[str], **options: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Options given as `VALUE` (where there is one encoder) or `ENCODER=VALUE`: encoder to option to value.

    Raises:
        SettingError: It is not clear which encoder a value is for.
    """
    found: dict[str, dict[str, str]] = {encoder: {} for encoder in encoders}
    for option, values in options.items():
        for value in values:
            name, sign, rest = value.partition("=")
            if sign and name in found:
                found[name][option] = rest
            elif len(encoders) == 1:
                found[encoders[0]][option] = value
            else:
                raise SettingError(
                    f"--{option} {value!r} does not say for which of {len(encoders)} encoders it is",
                    remedy=f"Write --{option} {encoders[0]}=…",
                )
    return found


def settings_of(names: Sequence[str], pairs: Sequence[str], kind: str) -> Mapping[str, Mapping[str, str]]:
    """Settings given as `KEY=VALUE` (where there is one name) or `NAME.KEY=VALUE`: name to key to value.

    Args:
        names: Heads or methods that the command was given.
        pairs: The settings.
        kind: What they are called in messages: `heads`, `methods`.

    Raises:
        SettingError: It is not clear which of them a setting is for.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    for key, value in key_values(pairs).items():
        name, dot, rest = key.partition(".")
        if dot and name in found:
            found[name][rest] = value
        elif len(names) == 1:
            found[names[0]][key] = value
        else:
            raise SettingError(
                f"--set {key} does not say for which of {len(names)} {kind} it is",
                remedy=f"Write --set {names[0]}.{key}={value}",
            )
    return found
