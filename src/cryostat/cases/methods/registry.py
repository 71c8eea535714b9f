"""All methods by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from cryostat.cases.methods.all_subsets import AllSubsets
from cryostat.cases.methods.base import Method
from cryostat.cases.methods.best_expert import BestExpert
from cryostat.cases.methods.bilinear import GatedBilinear
from cryostat.cases.methods.concat import Concatenation
from cryostat.cases.methods.core_bt import CoreBT
from cryostat.cases.methods.distillation import Distillation
from cryostat.cases.methods.hierarchical import HierarchicalHead
from cryostat.cases.methods.imputation import RidgeImputation
from cryostat.cases.methods.late import LateFusion
from cryostat.cases.methods.lda import DiscriminantAnalysis
from cryostat.cases.methods.moe import ExpertsByAvailability
from cryostat.cases.methods.nearest_mean import NearestMean
from cryostat.cases.methods.ordinal import OrdinalHead
from cryostat.cases.methods.product import ProductOfExperts
from cryostat.cases.methods.robust import GroupRobust
from cryostat.cases.methods.shaspec import ShaSpec
from cryostat.cases.methods.stacking import Stacking
from cryostat.core.errors import SettingError

_CLASSES: tuple[type[Method], ...] = (
    BestExpert,
    CoreBT,
    LateFusion,
    ProductOfExperts,
    Stacking,
    Concatenation,
    AllSubsets,
    GatedBilinear,
    ExpertsByAvailability,
    ShaSpec,
    RidgeImputation,
    Distillation,
    GroupRobust,
    NearestMean,
    DiscriminantAnalysis,
    OrdinalHead,
    HierarchicalHead,
)

METHODS: Mapping[str, Method] = MappingProxyType({kind.name: kind() for kind in _CLASSES})
"""Every method of ours by its name, in the order in which they are listed to readers."""


def method(name: str) -> Method:
    """The method of this name.

    Raises:
        SettingError: There is none; the nearest names are listed.
    """
    if name in METHODS:
        return METHODS[name]
    near = difflib.get_close_matches(name, METHODS, 3) or METHODS
    raise SettingError("is no method", where=f"method {name!r}", remedy=f"Choose one of: {', '.join(near)}")
