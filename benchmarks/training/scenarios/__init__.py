"""Every scenario by its name: its group, a colon, and what is special about it."""

from __future__ import annotations

from training.scenarios import backward, draws, fits, losses, optimizers, schedules
from training.scenarios.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    **optimizers.SCENARIOS,
    **schedules.SCENARIOS,
    **losses.SCENARIOS,
    **draws.SCENARIOS,
    **backward.SCENARIOS,
    **fits.SCENARIOS,
}
