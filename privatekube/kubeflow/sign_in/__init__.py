"""Sign in to Kubeflow Pipelines: one module for each way, each with its settings and the headers that it gives."""
