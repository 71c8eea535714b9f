"""A study with something else in place of what its file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryostat.cells.protocols import load_protocol
from cryostat.cells.runs.spec import Study


@dataclass(frozen=True)
class Overrides:
    """What replaces a part of a study; empty leaves it as it is.

    Attributes:
        protocol: Rules. Settings of heads belong to the rules they were written for, and are dropped with those.
        encoders: Encoders.
        heads: Heads.
        seeds: Seeds.
        encoder_options: Encoder to `weights` and `precision`, each in place of the file's.
    """

    protocol: str | None = None
    encoders: Sequence[str] = ()
    heads: Sequence[str] = ()
    seeds: Sequence[int] = ()
    encoder_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, study: Study) -> Study:
        """The study with the replacements; under other rules it also has a name of its own.

        Raises:
            SettingError: There is no such protocol.
        """
        changed = replace(
            study,
            encoders=list(self.encoders) or study.encoders,
            heads=list(self.heads) or study.heads,
            seeds=list(self.seeds) or study.seeds,
            encoder_options=_merged(study.encoder_options, self.encoder_options),
        )
        if not self._other_rules(study):
            return changed
        base = {**study.base, "protocol": self.protocol}
        return replace(changed, name=f"{study.name}-{self.protocol}", base=base, head_options={})

    def notes(self, study: Study) -> list[str]:
        """What the reader should know of the replacements, a sentence each."""
        if not self._other_rules(study) or not study.head_options:
            return []
        heads = ", ".join(study.head_options)
        return [
            f"The study's settings of {heads} belong to its protocol {_protocol(study)!r} and were dropped: "
            f"under {self.protocol!r} these heads have their own."
        ]

    def _other_rules(self, study: Study) -> bool:
        return self.protocol is not None and load_protocol(self.protocol).name != _protocol(study)


def _protocol(study: Study) -> str:
    return str(study.base.get("protocol", "standard"))


def _merged(
    given: Mapping[str, Mapping[str, Any]], instead: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    return {name: {**given.get(name, {}), **instead.get(name, {})} for name in {**given, **instead}}
