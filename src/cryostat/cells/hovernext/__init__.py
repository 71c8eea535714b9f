"""HoVer-NeXt, the supervised baseline: a ConvNeXtV2 U-Net that classifies every pixel and can find the nuclei itself.

`model` is the network, `targets` and `loss` what its instance decoder learns, `watershed` the way from its maps to
nuclei, `search` the choice of the watershed's thresholds on validation fields.
"""
