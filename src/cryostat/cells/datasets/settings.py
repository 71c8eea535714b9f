"""What a user may set for a format; what a format cannot honour is refused, never passed over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cryostat.cells.datasets.importing import ImportOptions
from cryostat.core.errors import SettingError


@dataclass(frozen=True)
class Setting:
    """One setting of a format.

    Attributes:
        default: Its value when the user says nothing.
        meaning: What it does, for messages.
        choices: The values it may have; any text when empty.
    """

    default: str
    meaning: str
    choices: tuple[str, ...] = ()


def read_settings(
    format_name: str,
    options: ImportOptions,
    settings: Mapping[str, Setting],
    uses: Collection[str] = (),
) -> dict[str, str]:
    """The user's settings completed with defaults.

    Args:
        format_name: Format, for messages.
        options: What the user said.
        settings: The settings that the format knows.
        uses: Which of `mpp`, `clinical`, `classes` the format honours.

    Raises:
        SettingError: An option, a setting or its value is not one that the format can honour.
    """
    for option in ("mpp", "clinical", "classes"):
        if getattr(options, option) is not None and option not in uses:
            raise SettingError(
                f"the format {format_name!r} cannot use --{option}", remedy="Leave it out, or import as 'generic'"
            )
    for name, value in options.settings.items():
        _check(format_name, settings, name, value)
    return {name: options.settings.get(name, setting.default) for name, setting in settings.items()}


def _check(format_name: str, settings: Mapping[str, Setting], name: str, value: str) -> None:
    if name not in settings:
        known = "; ".join(f"{n} ({s.meaning})" for n, s in settings.items()) or "none"
        raise SettingError(f"the format {format_name!r} has no setting {name!r}", remedy=f"Its settings are: {known}")
    choices = settings[name].choices
    if choices and value not in choices:
        raise SettingError(
            f"the setting {name!r} of format {format_name!r} cannot be {value!r}",
            remedy=f"Choose one of: {', '.join(choices)}",
        )
