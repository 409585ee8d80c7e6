"""A pipeline that knows what was measured of it."""

from __future__ import annotations

from operator import is_
from pathlib import Path
from typing import Any, cast

from fpdm.calibration import FILE, Calibration
from fpdm.checks import check_choice
from fpdm.errors import InvalidValueError
from fpdm.interfaces import AllocationPolicy
from fpdm.planning.choosing import Choice
from fpdm.planning.choosing import plan as choose
from fpdm.planning.fitting import wants_calibration
from fpdm.planning.identity import check_identity
from fpdm.plugins import Spec


class Calibrated:
    """Gives a pipeline its calibration: what it was given, or what lies in its folder."""

    _given: Calibration | None = None
    _checked: tuple[Any, ...] = ()
    _forgotten = False

    @property
    def calibration(self) -> Calibration | None:
        """What was measured of it, by `fpdm calibrate`; None if nothing was.

        It is read from `calibration.json` in the folder that the pipeline was loaded from, and can
        be set. It is checked when a run needs it.
        """
        if self._given is None and not self._forgotten:
            folder = cast("Any", self).config.get("_name_or_path")
            if folder and (Path(folder) / FILE).is_file():
                self._given = Calibration.read(Path(folder) / FILE)
        return self._given

    @calibration.setter
    def calibration(self, value: Calibration | None) -> None:
        if value is not None and not isinstance(value, Calibration):
            raise InvalidValueError(
                f"calibration={value!r}: must be a Calibration, or None for none."
            )
        self._given, self._forgotten = value, value is None

    @property
    def checked_calibration(self) -> Calibration | None:
        """The same, of which it is certain that it is of this network and scheduler.

        Raises:
            InvalidValueError: it is of others, or cannot be read.
        """
        calibration = self.calibration
        pipe = cast("Any", self)
        now = calibration, pipe.model, pipe.scheduler
        seen = len(self._checked) == len(now) and all(map(is_, now, self._checked))
        if calibration is not None and not seen:
            check_identity(calibration, self)
            self._checked = now
        return calibration

    def planned(
        self,
        plan: Any,
        *,
        seconds: float | None,
        count: int,
        guidance_scale: float,
        **way: Any,
    ) -> dict[str, Any]:
        """How a run spends its budget: as it is said, or as a plan has it.

        Args:
            plan: `auto`, or a `Choice`; None leaves all as it is said, unless there are seconds.
            seconds: that the run may take, in place of a budget; None does not ask.
            count: samples of the run.
            guidance_scale: of the run.
            way: keywords of the pipeline: what is said, None where nothing is.

        Returns:
            The same keywords, settled.

        Raises:
            InvalidValueError: the plan is none, or what it would say is said already.
        """
        if plan is None and seconds is None:
            return way
        said = {name: value for name, value in way.items() if value is not None}
        if isinstance(plan, Choice):
            if said or seconds is not None:
                named = next(iter(said), "seconds")
                raise InvalidValueError(f"{named}: the plan says so already; leave it out.")
            return way | plan.settings
        check_choice("plan", "auto" if plan is None else plan, choices=("auto",))
        budget = said.pop("budget", None)
        chosen = choose(
            self,
            budget=budget,
            seconds=seconds,
            count=count,
            given=said,
            guidance_scale=guidance_scale,
        )
        return way | chosen.settings | said

    def calibration_for(self, allocation: Spec | AllocationPolicy | None) -> Calibration | None:
        """The calibration, if an allocation wants one.

        Args:
            allocation: by name, by mapping with options, or an object; None is the usual one.

        Raises:
            InvalidValueError: it is of another model.
        """
        return self.checked_calibration if wants_calibration(allocation) else None
