"""Run a pipeline on Kubeflow Pipelines or on this machine; the only package that imports kfp."""
