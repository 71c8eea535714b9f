"""The recipe of dense training: its losses, its sampling of tiles, its learning rates."""
