"""The rules: each is one function that finds the steps which break the promise in one way.

docs/lint.md has a section for each rule, under the rule's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from privatekube.lint import roles as role_signs
from privatekube.lint.graph import Step
from privatekube.lint.roles import Role, Roles

PAGE = "docs/lint.md"
_SHOWN_METRICS = ("system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics")
_SHOWN_PAGES = ("system.HTML", "system.Markdown")


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which a step breaks the promise.

    Args:
        rule: name of the rule.
        step: name of the step.
        fault: what is wrong, as the end of a sentence that starts with the step.
        remedy: what to do.
    """

    rule: str
    step: str
    fault: str
    remedy: str

    @property
    def page(self) -> str:
        """Where the documentation explains the rule."""
        return f"{PAGE}#{self.rule}"

    def __str__(self) -> str:
        return f"{self.step}: {self.fault}; {self.remedy} ({self.page})"


Fault = tuple[Step, str, str]
"""A step, what is wrong with it, and what to do."""


def check(roles: Roles) -> list[Finding]:
    """Return what all rules find, rule by rule."""
    return [
        Finding(name, step.name, fault, remedy) for name, rule in RULES.items() for step, fault, remedy in rule(roles)
    ]


def cached_step(roles: Roles) -> Iterator[Fault]:
    """Find steps whose result may be taken from an earlier run, so that they neither claim nor pay in this one."""
    for step in roles.steps(*Role):
        if step.is_cached:
            yield step, f"{_verbs(roles, step)}, but is cached", "call set_caching_options(False) on its task"


def blind_retry(roles: Roles) -> Iterator[Fault]:
    """Find steps that are repeated whatever their failure was: noise would be drawn, or budget asked for, twice."""
    for step in roles.steps(Role.CLAIMS, Role.DRAWS_NOISE, Role.PAYS):
        if step.retries > 0:
            fault = f"{_verbs(roles, step)}, but is repeated up to {step.retries} times after any failure"
            yield step, fault, "remove set_retry from its task and from the graphs around it"


def leaves_before_consume(roles: Roles) -> Iterator[Fault]:
    """Find releases and private data that leave the run before, or without, a step that pays for them."""
    paying = roles.steps(Role.PAYS)
    for drawing in roles.steps(Role.DRAWS_NOISE):
        payers = [step for step in paying if roles.pays_for(step, drawing)]
        if not payers:
            yield drawing, "draws noise, but no step pays for it", "give its spend to the step that pays"
            continue
        for step in _outside(roles, drawing):
            if not any(payer.name in step.after for payer in payers):
                fault = f"reads what {drawing.name} releases, but may run before {payers[0].name} has paid"
                yield step, fault, f"give it the receipt of {payers[0].name} as an input"
    yield from _private_data_that_leaves(roles)


def data_without_grant(roles: Roles) -> Iterator[Fault]:
    """Find steps that open data without a Grant: nobody has approved that they read it, and nothing is charged."""
    for step in roles.steps(Role.OPENS_DATA):
        if not role_signs.has_grant(step) and not roles.has(step.name, Role.CLAIMS):
            yield step, "opens data, but reads no grant", "give it the grant of the step that claims"


def exact_metric(roles: Roles) -> Iterator[Fault]:
    """Find values that steps with access to data show to everyone with access to Kubeflow, before the run has paid."""
    for step in roles.steps(Role.OPENS_DATA):
        for name, kind in step.output_types.items():
            if kind in (*_SHOWN_METRICS, *_SHOWN_PAGES):
                fault = f"opens data, and shows its output {name} ({kind}) in Kubeflow before the run has paid"
                yield step, fault, "write a noisy value into an artifact of type system.Artifact"
        for name in sorted(step.output_parameters):
            fault = f"opens data, and writes the parameter {name}, which Kubeflow keeps and shows"
            yield step, fault, "write a noisy value into an artifact of type system.Artifact"


def mutable_image(roles: Roles) -> Iterator[Fault]:
    """Find images whose content may change after the check: without a digest, a tag is moved at any time."""
    for step in roles.graph.steps.values():
        if step.image is not None and not re.search(r"@sha256:[0-9a-f]{64}$", step.image):
            fault = f"runs in the image {step.image or '(none)'}, which is not pinned by its digest"
            yield step, fault, "build and push it, and name it as NAME@sha256:DIGEST"


def no_exit_task(roles: Roles) -> Iterator[Fault]:
    """Find claims that no exit task settles: budget stays held when the run fails. A step that also pays settles."""
    for step in roles.steps(Role.CLAIMS):
        if roles.has(step.name, Role.PAYS):
            continue
        users = [user for user in roles.steps(*Role) if any(source.step == step.name for source in user.sources)]
        common = step.exit_tasks.intersection(*(user.exit_tasks for user in users))
        if not common:
            fault = "claims, but no exit task runs after it and all steps that use its budget, however they end"
            yield step, fault, "put them into one dsl.ExitHandler whose exit task settles the claim"


def shared_volume(roles: Roles) -> Iterator[Fault]:
    """Find steps with data in reach that mount a volume which outlives the run: other runs and people read it."""
    for step in roles.steps(Role.OPENS_DATA, Role.DRAWS_NOISE):
        for volume in step.shared_volumes:
            fault = f"{_verbs(roles, step)}, and mounts {volume}, which outlives the run and may be mounted by others"
            yield step, fault, "use the workspace of the run, which is erased with it"


def needless_secret(roles: Roles) -> Iterator[Fault]:
    """Find steps that run a model or a query on private data in the workspace, and could take it elsewhere."""
    for step in roles.steps(Role.DRAWS_NOISE):
        if step.secrets and step.has_workspace and not roles.has(step.name, Role.PAYS):
            fault = f"draws noise on data of the workspace, but is given the Secret {step.secrets[0]}"
            yield step, fault, "give Secrets to the steps that read or write a bucket"


RULES: Mapping[str, Callable[[Roles], Iterator[Fault]]] = {
    "cached-step": cached_step,
    "blind-retry": blind_retry,
    "leaves-before-consume": leaves_before_consume,
    "data-without-grant": data_without_grant,
    "exact-metric": exact_metric,
    "mutable-image": mutable_image,
    "no-exit-task": no_exit_task,
    "shared-volume": shared_volume,
    "needless-secret": needless_secret,
}
"""Each rule by its name."""

_VERBS = {Role.CLAIMS: "claims", Role.OPENS_DATA: "opens data", Role.DRAWS_NOISE: "draws noise", Role.PAYS: "pays"}


def _verbs(roles: Roles, step: Step) -> str:
    return " and ".join(verb for role, verb in _VERBS.items() if roles.has(step.name, role))


def _outside(roles: Roles, drawing: Step) -> list[Step]:
    """Return the steps that read a release of `drawing` without being a part of the computation that is charged."""
    inside = {Role.OPENS_DATA, Role.DRAWS_NOISE, Role.PAYS}
    return [
        step
        for step in roles.graph.steps.values()
        if not roles.of[step.name] & inside
        and any(source.step == drawing.name and roles.is_release(source) for source in step.sources)
    ]


def _private_data_that_leaves(roles: Roles) -> Iterator[Fault]:
    """Find steps that open data for something else than noise: nothing that they could be for is charged."""
    drawing = roles.steps(Role.DRAWS_NOISE)
    noisy_from = roles.graph.lineage(frozenset(source for step in drawing for source in step.sources))
    for step in roles.steps(Role.OPENS_DATA):
        returned = [output for output in roles.graph.returned & step.outputs if roles.is_private(output)]
        if returned:
            yield step, f"opens data, and the pipeline returns its output {returned[0].name}", "return no private data"
        elif not roles.has(step.name, Role.DRAWS_NOISE) and not step.outputs & noisy_from:
            fault = "opens data, but neither draws noise nor hands the data to a step that does"
            yield step, fault, "remove it, or draw noise in it and write a spend"
