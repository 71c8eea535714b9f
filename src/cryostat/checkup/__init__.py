"""What works on this machine, what is missing, and the command that mends it."""

from cryostat.checkup.run import CheckUp, check_up
from cryostat.checkup.sign import Sign

__all__ = ["CheckUp", "Sign", "check_up"]
