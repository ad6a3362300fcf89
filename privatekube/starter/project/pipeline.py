"""The pipeline: one step, which claims, opens, counts, pays and publishes.

`python pipeline.py` runs it on this machine, with `--runner docker` in its image, which component.yaml names;
`python pipeline.py --compile FILE` writes the package for Kubeflow.
"""

import sys
from pathlib import Path

from privatekube import config, entrypoint, errors

with entrypoint.imports_of("pipeline"):
    from kfp import components, dsl

    from privatekube.client import plan_file
    from privatekube.data.tables import schema
    from privatekube.data.tables.layout import Category
    from privatekube.kubeflow import compilation, own_pipeline
    from privatekube.privacy.plan import Plan

PROJECT = Path(__file__).resolve().parent
STEPS = ("count_columns",)
count_columns = components.load_component_from_file(str(PROJECT / "count_columns" / "component.yaml"))


@dsl.pipeline(name="counts", description="Count the records of a table under a privacy budget")  # type: ignore[untyped-decorator]
def counts(dataset: str, namespace: str, epsilon: float, delta: float, prefix: str) -> None:
    """Run one step; a pipeline of several passes the outputs of one to the inputs of others."""
    count = count_columns(dataset=dataset, namespace=namespace, epsilon=epsilon, delta=delta, prefix=prefix)
    count.set_caching_options(False)  # a step that is taken from a cache pays for nothing
    count.set_env_variable("PRIVATEKUBE_ROLES", "claims,opens-data,draws-noise,pays")  # for `privatekube lint`


def require_columns() -> None:
    """Check arguments and plan against the schema; once the data is opened, a mistake costs the budget."""
    declared = schema.read(PROJECT / "schema.yaml")
    dataset = config.read_mapping(PROJECT / "arguments.yaml").get("dataset")
    if dataset != declared.dataset:
        bound = f"is not that of schema.yaml, {declared.dataset}"
        raise errors.invalid("arguments.yaml: dataset", dataset, bound, "correct one of them")
    categories = {name for name, kind in declared.features.items() if isinstance(kind, Category)}
    if declared.label is not None:
        categories.add(declared.label.column)
    plan = plan_file.read(PROJECT / "count_columns" / "plan.yaml")
    for step in plan.steps if isinstance(plan, Plan) else ():
        if step.name not in categories:
            raise errors.invalid(
                "plan.yaml: name", step.name, "is not a category of schema.yaml", "correct one of them"
            )


def main() -> None:
    """Run the pipeline, or compile it."""
    require_columns()
    if sys.argv[1:2] == ["--compile"] and len(sys.argv) == 3:
        compilation.compile_to(counts, Path(sys.argv[2]))
        return
    in_containers = sys.argv[1:] == ["--runner", "docker"]
    values = config.read_mapping(PROJECT / "arguments.yaml")
    sys.exit(own_pipeline.run(counts, values, project=PROJECT, steps=STEPS, in_containers=in_containers))


if __name__ == "__main__":
    entrypoint.run(main, extra="pipeline")
