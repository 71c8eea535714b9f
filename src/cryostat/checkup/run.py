"""The whole check-up."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cryostat.checkup.hub import Ask, hub
from cryostat.checkup.machine import disks, gpus, memory, processor
from cryostat.checkup.packages import commands, packages, python
from cryostat.checkup.sign import Sign
from cryostat.core.home import Home

PARTS = ("machine", "disk", "packages", "commands", "hub")
"""In the order in which they are told."""


@dataclass(frozen=True)
class CheckUp:
    """The outcome.

    Attributes:
        signs: What was looked at, part by part.
    """

    signs: tuple[Sign, ...]

    @property
    def works(self) -> bool:
        """True when nothing keeps Cryostat itself from working."""
        return all(sign.state != "bad" for sign in self.signs)

    def of(self, part: str) -> tuple[Sign, ...]:
        """What was looked at of one part."""
        return tuple(sign for sign in self.signs if sign.part == part)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"works": self.works, "signs": [asdict(sign) for sign in self.signs]}


def check_up(home: Home, *, offline: bool = False, ask: Ask | None = None) -> CheckUp:
    """Look at machine, disks, packages and hub; writes nothing.

    Args:
        home: Where things would be kept.
        offline: Ask nothing of the network.
        ask: Asks the hub, in place of `hub.ask_hub`.
    """
    signs = [processor(), memory(), *gpus(), *disks(home), python(), *packages(), *commands()]
    return CheckUp((*signs, *hub(offline=offline, ask=ask)))
