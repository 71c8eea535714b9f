"""The cases benchmark: typing a patient from whatever evidence is there."""
