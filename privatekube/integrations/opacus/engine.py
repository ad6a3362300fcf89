"""The privacy engine that makes a model, an optimizer and a loader train one planned step."""

from __future__ import annotations

import math
import warnings
from typing import Any, cast

from opacus import PrivacyEngine
from opacus.grad_sample import AbstractGradSampleModule
from opacus.validators.errors import UnsupportedModuleError
from torch import nn, optim
from torch.utils.data import DataLoader

from privatekube import errors
from privatekube.integrations.opacus import modules, sampling
from privatekube.integrations.opacus.optimizer import PlannedOptimizer
from privatekube.integrations.opacus.planned import PlannedTraining
from privatekube.privacy import mechanisms
from privatekube.privacy.events import DpEvent
from privatekube.training import models, randomness

_AS_PLANNED = {
    "batch_first": True,
    "clipping": "flat",
    "grad_sample_mode": "hooks",
    "poisson_sampling": True,
    "rand_on_empty": False,
    "wrap_model": True,
}
"""The only values of Opacus' options for which the plan's cost is the cost of what runs."""


class PlannedPrivacyEngine(PrivacyEngine):  # type: ignore[misc]  # Opacus has no types
    """Opacus' privacy engine for one planned training; see the package for a whole loop.

    Each item of the data set must be one privacy unit: its gradient is what is sampled and clipped. Samples and noise
    come from a stream cipher keyed by the operating system, as in the training of this library: Opacus' own secure mode
    needs a package that does not exist for this torch.

    Args:
        planned: what to train.
        expected_batch_size: the expected number of units in a sample, which divides the noisy sums: public, or from a
            noisy count that was paid for. Never from the size of the data.
        max_contribution: how many items of the data set one privacy unit has at most.

    Raises:
        InvalidInput: the batch size is not positive, or a unit has more than one item.
    """

    def __init__(self, planned: PlannedTraining, *, expected_batch_size: float, max_contribution: int) -> None:
        if not 0 < expected_batch_size < math.inf:
            raise errors.invalid(
                "expected_batch_size", expected_batch_size, "must be positive and finite", "correct it"
            )
        if max_contribution != 1:
            raise errors.invalid(
                "max_contribution", max_contribution, "must be 1", "give a data set that has one item for each unit"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of the secure mode, whose part the generator takes
            super().__init__(accountant="rdp")
        self.planned = planned
        self._expected_batch_size = expected_batch_size
        self._most_taken = 0
        self._untrained: list[modules.UntrainedState] = []

    @property
    def steps_left(self) -> int:
        """How many planned steps are not taken yet.

        Raises:
            InvalidInput: the accountant's history has fewer steps than it had before.
        """
        taken = sum(int(steps) for _, _, steps in self.accountant.history)
        if taken < self._most_taken:
            bound = f"are fewer than the {self._most_taken} that were taken"
            raise errors.invalid("steps", taken, bound, "continue a saved training with a new engine")
        self._most_taken = taken
        return self.planned.steps - taken

    def make_private(
        self,
        *,
        module: nn.Module,
        optimizer: optim.Optimizer,
        data_loader: DataLoader[Any],
        noise_multiplier: float | None = None,
        max_grad_norm: float | None = None,
        loss_reduction: str = "mean",
        **options: object,
    ) -> tuple[nn.Module, PlannedOptimizer, DataLoader[Any]]:
        """Return module, optimizer and loader that train what was planned.

        Args:
            module: the model, made of layers that Opacus supports.
            optimizer: over parameters of the model.
            data_loader: Opacus' `DPDataLoader` of the planned sampling rate.
            noise_multiplier: that of the plan, or left out.
            max_grad_norm: likewise.
            loss_reduction: "mean" or "sum", as the loss of the script is.
            **options: Opacus' other options, with the values that they have by default.

        Raises:
            InvalidInput: one of them differs from the plan, or is nothing that Opacus can train with.
        """
        for name, value in (("noise_multiplier", noise_multiplier), ("max_grad_norm", max_grad_norm)):
            if value is not None:
                self.planned.require_same(name, value)
        _require_options(options)
        sampling.require_poisson(data_loader, self.planned)
        modules.require_parameters(module, optimizer)
        modules.require_no_statistics(module)
        wrapped = self._wrapped(module, loss_reduction)
        self._untrained.append(modules.UntrainedState(module, optimizer))
        generator = randomness.SecureGenerator()
        sampler = sampling.PoissonSampler(
            len(data_loader.dataset),  # type: ignore[arg-type]  # Opacus' loader has checked it
            self.planned,
            steps_left=lambda: self.steps_left,
            generator=generator,
        )
        private_optimizer = PlannedOptimizer(
            optimizer,
            self.planned,
            sampler=sampler,
            steps_left=lambda: self.steps_left,
            expected_batch_size=self._expected_batch_size,
            loss_reduction=loss_reduction,
            generator=generator,
            count_step=self._count_step,
        )
        return wrapped, private_optimizer, sampling.with_sampler(data_loader, sampler)

    def make_private_with_epsilon(self, **_: object) -> tuple[nn.Module, PlannedOptimizer, DataLoader[Any]]:
        """Refuse to choose the noise: it is planned."""
        raise errors.InvalidInput("epsilon: is planned already; call make_private")

    def event(self) -> DpEvent:
        """Return the event of the steps that the accountant has recorded.

        Raises:
            InvalidInput: there are none, or they are not those of the plan, or some were taken off the history.
        """
        _ = self.steps_left  # checks the history
        return self.planned.event_of(self.accountant.history)

    def released(self, module: nn.Module) -> mechanisms.Released[nn.Module]:
        """Return the trained module without Opacus' hooks, together with the event of its training.

        Args:
            module: what `make_private` returned, or the module that was given to it.

        Raises:
            InvalidInput: the steps are not those of the plan, a weight is not finite, or something of the module that
                is not trained was changed, such as a buffer.
        """
        event = self.event()
        for state in self._untrained:
            state.require_unchanged()
        trained = module.to_standard_module() if isinstance(module, AbstractGradSampleModule) else module
        models.require_finite(trained.state_dict())
        return mechanisms.Released(trained, event)

    def _count_step(self, optimizer: Any) -> None:
        """Record a step that has its noise in the accountant, and remember that it was taken."""
        self.accountant.get_optimizer_hook_fn(sample_rate=self.planned.sampling_rate)(optimizer)
        _ = self.steps_left

    def _wrapped(self, module: nn.Module, loss_reduction: str) -> nn.Module:
        """Return the module with Opacus' hooks, which form the gradient of each item."""
        try:
            wrapped = self._prepare_model(module, loss_reduction=loss_reduction, grad_sample_mode="hooks")
        except UnsupportedModuleError as error:
            fault = str(error).splitlines()[0]
            raise errors.InvalidInput(f"module: {fault}; call PrivacyEngine.get_compatible_module") from error
        return cast("nn.Module", wrapped)


def _require_options(options: dict[str, object]) -> None:
    for name, value in options.items():
        if name not in _AS_PLANNED:
            raise errors.invalid(name, value, "is not part of the plan", "leave it out")
        if value != _AS_PLANNED[name]:
            raise errors.invalid(name, value, f"is not planned; {_AS_PLANNED[name]!r} is", "leave it out")
