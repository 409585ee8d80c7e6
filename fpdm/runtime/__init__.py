"""What the machine does for everything else: whole files, processes, names that load late."""

from fpdm.runtime.lazy import lazy
from fpdm.runtime.processes import processes, wait

__all__ = ["lazy", "processes", "wait"]
