"""What every run does, of either benchmark: time itself, tell what it ran on, and appear whole or not at all."""
