"""Opacus: a `PrivacyEngine` that trains exactly one planned step of DP-SGD, and refuses what differs from it.

A script that calls `PrivacyEngine().make_private(...)` keeps its loop:

    planned = PlannedTraining(noise_multiplier=1.1, sampling_rate=0.01, steps=500, max_grad_norm=1.0)
    engine = PlannedPrivacyEngine(planned, expected_batch_size=300.0, max_contribution=1)
    loader = DPDataLoader(dataset, sample_rate=planned.sampling_rate)
    model, optimizer, loader = engine.make_private(module=model, optimizer=optimizer, data_loader=loader)
    while engine.steps_left:
        for features, labels in loader:
            optimizer.zero_grad()
            loss(model(features), labels).backward()
            optimizer.step()
    released = engine.released(model)  # the trained module, and the DpEvent of the steps that were taken

`train` is this loop, for a script that has none.
"""

from __future__ import annotations

from privatekube import errors

with errors.naming_extra("training"):
    from privatekube.integrations.opacus.engine import PlannedPrivacyEngine as PlannedPrivacyEngine
    from privatekube.integrations.opacus.planned import PlannedTraining as PlannedTraining
    from privatekube.integrations.opacus.training import train as train

__all__ = ["PlannedPrivacyEngine", "PlannedTraining", "train"]
