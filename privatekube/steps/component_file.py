"""Write the interface of a component, `component.yaml`, from the signature of its program, and check that they agree.

Name, description, image and command are the author's and are kept; inputs, outputs and arguments follow the program.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privatekube import config, errors
from privatekube.images.component_yaml import FILE
from privatekube.steps import arguments, interface

_HEADER = (
    "# Interface of the component: privatekube component generate writes inputs, outputs and args from the program.\n"
)
_PLAIN = re.compile(r"[A-Za-z0-9][\w ./@-]*(:[\w./@-]+)*")
"""Text that YAML reads as itself without quotes."""


@dataclass(frozen=True, slots=True)
class _Own:
    """What the author of a component says in its file.

    Args:
        header: comment lines at the top, with their line ends.
        name: for people.
        description: one sentence.
        image: the image that it runs in.
        module: what `python3 -m` runs in it.
    """

    header: str
    name: str
    description: str
    image: str
    module: str


def generate(folder: Path) -> str:
    """Return the text of a component's file as it follows from its program.

    Args:
        folder: holds `__main__.py` with a function of the folder's name. Without a file, name, image and module are
            made from the folder's name, and the description is the first line of the function's docstring.

    Raises:
        InvalidInput: the file cannot be kept as it is, or the program cannot be imported or described.
    """
    path = folder / FILE
    own = _read(path) if path.exists() else None
    step = program(folder, folder.name if own is None else own.module)
    return "".join(_lines(own or _of_folder(folder, step), interface.of(step)))


def is_current(folder: Path) -> bool:
    """Whether a component's file is what `generate` returns.

    Raises:
        InvalidInput: there is no such file; see also `generate`.
    """
    path = folder / FILE
    if not path.is_file():
        raise errors.invalid("component", str(folder), f"holds no {FILE}", "generate it")
    return path.read_text(encoding="utf-8") == generate(folder)


def program(folder: Path, module: str) -> Callable[..., None]:
    """Import the program of a component: the function with the folder's name in its `__main__`.

    Args:
        folder: of the component.
        module: name of the package that the folder is, from the project's root.

    Raises:
        InvalidInput: there is no such program, or it cannot be imported.
    """
    folder, parts = folder.resolve(), module.split(".")
    if not (folder / "__main__.py").is_file():
        raise errors.InvalidInput(
            f"component: {folder.name!r} has no __main__.py; write its program, or name another one"
        )
    if folder.parts[-len(parts) :] != tuple(parts):
        raise errors.invalid("module", module, f"is not {folder}/__main__.py", f"correct the command in {FILE}")
    root = str(folder.parents[len(parts) - 1])
    sys.path[:0] = [root]
    try:
        imported = importlib.import_module(f"{module}.__main__")
    except (ImportError, SyntaxError) as error:
        missing = errors.missing_extra(error) if isinstance(error, ImportError) else None
        raise missing or errors.invalid("module", module, f"cannot be imported ({error})", "correct it") from error
    finally:
        sys.path.remove(root)
    step: Callable[..., None] | None = getattr(imported, folder.name, None)
    if step is None or Path(imported.__file__ or "").resolve() != folder / "__main__.py":
        raise errors.invalid("program", str(folder / "__main__.py"), f"has no function {folder.name}", "name it so")
    return step


def _of_folder(folder: Path, step: Callable[..., None]) -> _Own:
    title = folder.name.replace("_", " ").capitalize()
    description = (step.__doc__ or "").strip().partition("\n")[0]
    return _Own(_HEADER, title, description, f"example/{folder.name.replace('_', '-')}", folder.name)


def _read(path: Path) -> _Own:
    document = config.read_mapping(path)
    container = (document.get("implementation") or {}).get("container") or {}
    _require_keys(path, document, {"name", "description", "inputs", "outputs", "implementation"})
    _require_keys(path, container, {"image", "command", "args"})
    command = container.get("command")
    if not isinstance(command, list) or command[:2] != ["python3", "-m"] or len(command) != 3:
        raise errors.invalid(f"{path}: command", command, "must be [python3, -m, MODULE]", "correct it")
    header = re.match(r"(?:#.*\n)*", path.read_text(encoding="utf-8"))
    texts = {"name": document.get("name"), "description": document.get("description"), "image": container.get("image")}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise errors.invalid(f"{path}: {name}", value, "must be text", "correct it")
    return _Own(header=header[0] if header else "", module=str(command[2]), **{key: str(texts[key]) for key in texts})


def _require_keys(path: Path, mapping: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(mapping) - known)
    if unknown:
        raise errors.invalid(f"{path}", unknown[0], "is not kept when the file is written", "remove it")


def _lines(own: _Own, declared: interface.Interface) -> Iterator[str]:
    yield f"{own.header}name: {_scalar(own.name)}\ndescription: {json.dumps(own.description, ensure_ascii=False)}\n"
    for kind, parameters in (("inputs", declared.inputs), ("outputs", declared.outputs)):
        yield from [f"{kind}:\n"] if parameters else []
        yield from map(_entry, parameters)
    yield f"implementation:\n  container:\n    image: {_scalar(own.image)}\n    command: [python3, -m, {own.module}]\n"
    yield "    args:\n"
    for parameter in declared.inputs:
        value = "inputPath" if parameter.kind in interface.ARTIFACTS else "inputValue"
        yield f"    - {arguments.option(parameter.name)}\n    - {{{value}: {parameter.name}}}\n"
    for parameter in declared.outputs:
        yield f"    - {arguments.option(parameter.name)}\n    - {{outputPath: {parameter.name}}}\n"


def _entry(parameter: interface.Parameter) -> str:
    default = "" if parameter.default is None else f", default: {json.dumps(parameter.default)}"
    description = json.dumps(parameter.description, ensure_ascii=False)
    return f"- {{name: {parameter.name}, type: {parameter.kind}, description: {description}{default}}}\n"


def _scalar(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
