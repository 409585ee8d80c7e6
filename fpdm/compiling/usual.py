"""A network that was compiled in the usual way of PyTorch: its timesteps are compiled alike."""

from __future__ import annotations

import threading
from typing import Any

from fpdm.compiling.compiled import Compiled


class Usual:
    """Finds out how a network was compiled, and keeps what computes its timesteps alike.

    Alone, a network is compiled anew where its past is longer, or a number is another.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # runs in threads have one program between them
        self._model: Any = None
        self._plain: Any = None
        self._compiled: Compiled | None = None

    def of(self, model: Any) -> tuple[Any, Compiled | None]:
        """What `torch.compile(model)` and `model.compile()` ask for, of whole timesteps.

        Args:
            model: a network, compiled or not.

        Returns:
            The network as it was, and what computes its timesteps with the same options; None if it
            was not compiled.
        """
        options = getattr(model, "compile_options", None)
        with self._lock:
            if model is not self._model or (options is not None and self._compiled is None):
                self._model = self._plain = model
                self._compiled = None if options is None else Compiled(**options)
                if hasattr(model, "_orig_mod") and hasattr(model, "dynamo_ctx"):
                    self._plain, self._compiled = model._orig_mod, Compiled(by=model.dynamo_ctx)
            return self._plain, self._compiled

    def __reduce__(self) -> tuple[type[Usual], tuple[()]]:
        """A copy has found nothing out yet."""
        return Usual, ()
