"""The graphs of this project, for Kubeflow Pipelines."""
