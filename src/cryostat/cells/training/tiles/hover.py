"""Learning HoVer-NeXt: the classes by a focal loss, and the nuclei themselves where it has an instance decoder."""

from __future__ import annotations

from torch import Tensor

from cryostat.cells.heads.settings import HoverNeXtSettings
from cryostat.cells.hovernext.head import HoverHead
from cryostat.cells.hovernext.loss import InstanceLossSettings, combined_loss, instance_loss
from cryostat.cells.hovernext.targets import instance_targets
from cryostat.cells.training.recipe.loss import focal_loss
from cryostat.cells.training.tiles.batch import Batch, Wants
from cryostat.cells.training.tiles.learners import DenseLearner, Task
from cryostat.cells.training.tiles.models import DenseModel


class HoverLearner(DenseLearner):
    """Learns class logits, and with an instance decoder the vectors and parts of nuclei.

    Args:
        task: What to learn; its settings are those of HoVer-NeXt.
        model: A `HoverHead` with what it needs around it.
    """

    def __init__(self, task: Task, model: DenseModel) -> None:
        super().__init__(task, model)
        settings = task.settings
        if not isinstance(settings, HoverNeXtSettings) or not isinstance(model.head, HoverHead):
            raise TypeError("a HoverLearner needs a HoverHead and its settings")
        self.gamma, self.background = settings.gamma, int(task.outputs.ids[0]) == 0
        self.instances = InstanceLossSettings(weight=settings.instance_weight) if settings.instances else None
        self.wants = Wants(images=True, instances=settings.instances)
        self.hover = model.head

    def _loss(self, batch: Batch) -> Tensor:
        if batch.images is None:
            raise ValueError("HoVer-NeXt needs images")
        found = self.hover.everything(batch.images)
        classes = focal_loss(
            found.classes,
            self._targets[batch.labels],
            self.gamma,
            background=self.background,
            mean_over_all=self.task.rules.focal_mean_over_all,
        )
        if self.instances is None or found.vectors is None or found.parts is None or batch.instances is None:
            return classes
        targets = instance_targets(batch.instances)
        return combined_loss(
            instance_loss(found.vectors, found.parts, targets, self.instances), classes, self.instances
        )
