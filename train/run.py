"""A run that is ready to train."""

from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from cxrfuture_data.split import Split
from train.checkpoint import State, Trained
from train.plan import Plan
from train.task import Moment, Task


@dataclass(frozen=True)
class Run:
    """``made_from`` tells it from runs of other settings or data."""

    out: Path
    task: Task
    plan: Plan
    train: Split
    valid: Split
    made_from: str
    accelerator: Accelerator
    trained: Trained

    def state(self, steps: int) -> State:
        """The record of a checkpoint after so many steps."""
        return State(
            steps=steps,
            made_from=self.made_from,
            seed=self.plan.seed,
            best=self.trained.best,
            best_steps=self.trained.best_steps,
            settings=self.task.settings.model_dump(mode="json"),
        )

    def moment(self, step: int, purpose: str = "train") -> Moment:
        """Where the run is at a step."""
        return Moment(self.plan.seed, step, self.plan.steps, self.accelerator.device, purpose)

    def has_lost_patience(self, steps: int) -> bool:
        """Whether so many looks gave nothing better; the same on every rank and after a resume."""
        patience, since = self.plan.settings.patience, steps - self.trained.best_steps
        if patience is None or self.trained.best is None:
            return False
        return since >= patience * self.plan.look_steps
