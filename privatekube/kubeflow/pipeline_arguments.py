"""Check the arguments of a pipeline against the inputs that its compiled package declares, before any call.

The server takes 1.5 for an integer, and kfp's client checks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic
from kfp.pipeline_spec import pipeline_spec_pb2

from privatekube import errors, validation

_TYPES: Mapping[str, Any] = {
    "BOOLEAN": bool,
    "LIST": list[Any],
    "NUMBER_DOUBLE": float,
    "NUMBER_INTEGER": int,
    "STRING": str,
    "STRUCT": dict[str, Any],
}
_CONFIG = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)


def checked(spec: pipeline_spec_pb2.PipelineSpec, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments in the types of the root inputs; those with a default may be missing.

    Raises:
        InvalidInput: an argument is unknown, missing, or of another type.
    """
    fields: dict[str, Any] = {}
    for name, parameter in spec.root.input_definitions.parameters.items():
        kind = _TYPES[pipeline_spec_pb2.ParameterType.ParameterTypeEnum.Name(parameter.parameter_type)]
        fields[name] = (kind, None if parameter.is_optional else ...)
    model = pydantic.create_model("Arguments", __config__=_CONFIG, **fields)
    try:
        values: dict[str, Any] = model.model_validate(dict(arguments)).model_dump(exclude_unset=True)
    except pydantic.ValidationError as error:
        raise errors.InvalidInput(validation.first_fault(error)) from None
    return values
