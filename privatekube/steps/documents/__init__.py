"""The JSON documents that the steps of a run exchange, validated on reading.

Grant: the approved run: what allocate obtained, the noise of each step and the settings of the pipeline. Statistics and
Metrics: the noisy values that the run publishes. Spend: what a step used. Receipt: what was committed.
"""

from privatekube.steps.documents.document import (
    ADJACENCY,
    SCHEMA_VERSION,
    Adjacency,
    Document,
    Json,
    digest,
    encode,
    read,
    write,
)
from privatekube.steps.documents.grant import Declarations, Grant, GrantedBlock
from privatekube.steps.documents.granted_plan import GrantedPlan, GrantedStep, StatedSensitivity
from privatekube.steps.documents.payment import Receipt, Spend
from privatekube.steps.documents.published import (
    CountNoise,
    Estimate,
    Metrics,
    Published,
    SearchNoise,
    Statistics,
    TrainingNoise,
)

__all__ = [
    "ADJACENCY",
    "SCHEMA_VERSION",
    "Adjacency",
    "CountNoise",
    "Declarations",
    "Document",
    "Estimate",
    "Grant",
    "GrantedBlock",
    "GrantedPlan",
    "GrantedStep",
    "Json",
    "Metrics",
    "Published",
    "Receipt",
    "SearchNoise",
    "Spend",
    "StatedSensitivity",
    "Statistics",
    "TrainingNoise",
    "digest",
    "encode",
    "read",
    "write",
]
