"""CoRe-BT's fusion: frozen experts, weighted for each patient by a gate, and a residual that starts at nothing."""

from cryostat.cases.methods.core_bt.method import CoreBT

__all__ = ["CoreBT"]
