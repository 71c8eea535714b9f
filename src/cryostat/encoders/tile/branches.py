"""One branch of a published checkpoint: its tensors by the names of a network written here, nothing dropped unsaid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from cryostat.encoders.card import EncoderCard

WRAPPER = "module."
"""Put before every name by distributed training."""


@dataclass
class Branch:
    """Picks the tensors of one branch of a checkpoint, and remembers what it passed over.

    Attributes:
        rename: From a name in the file to the network's; a name it does not know comes back as it is, and will be
            refused as unexpected.
        ignored: Tells the names of other branches and of heads.
        stated: The same as patterns, for people.
        adjust: Changes the tensors after they are renamed, and says what it changed.
        told: What was passed over and changed, filled by `__call__`.
    """

    rename: Callable[[str], str]
    ignored: Callable[[str], bool]
    stated: str
    adjust: Callable[[dict[str, Tensor]], Sequence[str]]
    told: list[str] = field(default_factory=list)

    def __call__(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Renamed tensors of the branch, and every tensor that neither it nor a pattern accounts for."""
        bare = unwrapped(tensors)
        ours = [name for name in bare if not self.ignored(name)]
        kept: dict[str, Tensor] = {}
        for name in ours:
            renamed = self.rename(name)
            kept[name if renamed in kept else renamed] = bare[name]
        passed = len(bare) - len(ours)
        self.told = [f"{passed} tensors of other branches were passed over: {self.stated}."] if passed else []
        self.told += self.adjust(kept)
        return kept

    def noted(self, card: EncoderCard) -> EncoderCard:
        """A card whose notes tell what was passed over and changed."""
        return replace(card, notes=(*card.notes, *self.told))


def unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors without the prefix of distributed training, where all names bear it."""
    wrapped = all(name.startswith(WRAPPER) for name in tensors)
    return {name.removeprefix(WRAPPER) if wrapped else name: tensor for name, tensor in tensors.items()}
