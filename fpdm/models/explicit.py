"""What networks without an implicit layer have in common: nothing is iterated."""

from __future__ import annotations

from collections.abc import Sequence

from fpdm.errors import InvalidValueError
from fpdm.solution import Visited


class Explicit:
    """A network whose block passes are all made before an implicit layer that there is not."""

    @property
    def post_passes(self) -> int:
        """None: there is no implicit layer for them to follow."""
        return 0

    @staticmethod
    def check_nothing_to_iterate(evals: int | None, history: Sequence[Visited]) -> None:
        """Check that a call asks for no iterations.

        Args:
            evals: of the call; must be None or 0.
            history: of the call; must be empty.

        Raises:
            InvalidValueError: there is something to iterate.
        """
        if evals or history:
            raise InvalidValueError(
                f"evals={evals!r}: a DiT has no implicit layer to iterate; leave it out."
            )
