"""The pipeline of this example: allocate, download, train_regression, consume, upload; then release.

python examples/tabular_opacus/pipeline.py --set epsilon=1
"""

from pathlib import Path

from privatekube import entrypoint

with entrypoint.imports_of("pipeline"):
    from privatekube.cli import own_pipeline
    from privatekube.kubeflow.one_step import OneStep

FOLDER = Path(__file__).resolve().parent
STEP = OneStep(project=FOLDER.parents[1], own=FOLDER / "train_regression", published={"model": "model.json"})

if __name__ == "__main__":
    own_pipeline.main(STEP, arguments=FOLDER / "arguments.yaml")
