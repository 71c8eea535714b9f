"""HoVer-NeXt as a head: it reads the pixels and no encoder's maps."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cryostat.cells.hovernext.model import HoverMaps, HoverNeXt


class HoverHead(nn.Module):
    """The network behind the interface of dense heads.

    Args:
        network: The network.
    """

    def __init__(self, network: HoverNeXt) -> None:
        super().__init__()
        self.network = network

    def forward(self, maps: Sequence[Tensor], image: Tensor) -> Tensor:
        """Of no maps and the (N, 3, S, S) image, the (N, K, S, S) class logits."""
        logits: Tensor = self.network(image)
        return logits

    def everything(self, image: Tensor) -> HoverMaps:
        """Class logits, vectors and parts of an (N, 3, S, S) image."""
        return self.network.forward_all(image)
