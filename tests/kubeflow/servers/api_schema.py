"""Check a request against the published schema of KFP's API, which `kfp_server_api` is generated from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import kfp_server_api
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

_PLAIN: dict[str, Any] = {"str": str, "int": int, "bool": bool, "float": (int, float), "object": object}


def faults(document: Any, kind: str, where: str = "") -> Iterator[str]:
    """Yield what in a JSON document is not as the schema has it."""
    if match := re.fullmatch(r"list\[(.*)\]", kind):
        if not isinstance(document, list):
            yield f"{where}: not a list"
            return
        for index, item in enumerate(document):
            yield from faults(item, match.group(1), f"{where}[{index}]")
    elif match := re.fullmatch(r"dict\(str, (.*)\)", kind):
        if not isinstance(document, dict):
            yield f"{where}: not a mapping"
            return
        for name, item in document.items():
            yield from faults(item, match.group(1), f"{where}.{name}")
    elif kind == "datetime":
        datetime.fromisoformat(document)
    elif kind in _PLAIN:
        if not isinstance(document, _PLAIN[kind]) or (kind not in {"bool", "object"} and document is True):
            yield f"{where}: not a {kind}"
    else:
        yield from _model_faults(document, getattr(kfp_server_api, kind), where)


def _model_faults(document: Any, model: Any, where: str) -> Iterator[str]:
    if hasattr(model, "allowable_values"):
        if document not in model.allowable_values:
            yield f"{where}: not one of {model.allowable_values}"
        return
    if not isinstance(document, dict):
        yield f"{where}: not a {model.__name__}"
        return
    kinds = {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}
    for name, value in document.items():
        if name not in kinds:
            yield f"{where}.{name}: unknown field"
        else:
            yield from faults(value, kinds[name], f"{where}.{name}")


def package_faults(package: dict[str, Any]) -> Iterator[str]:
    """Yield what in `pipeline_spec` of a run is not as KFP's protocol buffers have it."""
    spec, platform = package.get("pipeline_spec", package), package.get("platform_spec", {})
    try:
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    except json_format.ParseError as error:
        yield str(error)


def argument_faults(run: dict[str, Any]) -> Iterator[str]:
    """Yield what the API server answers 400 for: unknown and missing parameters, and text for a number."""
    package = run["pipeline_spec"]
    inputs = package.get("pipeline_spec", package)["root"]["inputDefinitions"]["parameters"]
    given = run["runtime_config"].get("parameters", {})
    kinds: dict[str, Any] = {"STRING": str, "LIST": list, "STRUCT": dict, "BOOLEAN": bool}
    for name in given.keys() - inputs.keys():
        yield f"parameter {name}: unknown"
    for name, declared in inputs.items():
        if name not in given and not declared.get("isOptional"):
            yield f"parameter {name}: missing"
        elif name in given and not isinstance(given[name], kinds.get(declared["parameterType"], (int, float))):
            yield f"parameter {name}: not a {declared['parameterType']}"
