"""The pipeline of this example: allocate, download, count_visits, consume, upload; then release.

python examples/statistics_opendp/pipeline.py
"""

from pathlib import Path

from privatekube import entrypoint

with entrypoint.imports_of("pipeline"):
    from privatekube.cli import own_pipeline
    from privatekube.kubeflow.one_step import OneStep

FOLDER = Path(__file__).resolve().parent
STEP = OneStep(
    project=FOLDER.parents[1], own=FOLDER / "count_visits", published={"visits": "visits.json", "nights": "nights.json"}
)

if __name__ == "__main__":
    own_pipeline.main(STEP, arguments=FOLDER / "arguments.yaml")
