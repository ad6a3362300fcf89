"""MkDocs hooks: generate the API reference and the pages that live outside docs/, and check links to the repository.

Nothing that is generated here is written into docs/: the pages exist only in the build.
"""

from __future__ import annotations

import ast
import inspect
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import privatekube

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = "privatekube"
PAGES = {"CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md"}
"""Files at the root of the repository that are pages of the site as well."""

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and fill the sections of the navigation that list a folder."""
    for source, page in PAGES.items():
        files.append(_generated(config, page, (ROOT / source).read_text()))
    packages = _modules_by_package()
    files.append(_generated(config, "api/index.md", _public_names() + _overview(packages)))
    for package, modules in packages.items():
        files.append(_generated(config, f"api/{package}.md", _reference(package, modules)))
    decisions = sorted(page.name for page in (ROOT / "docs" / "decisions").glob("*.md"))
    folders = {"decisions/": decisions, "api/": ["index.md", *(f"{package}.md" for package in packages)]}
    for entry in config.nav or []:
        for title, path in entry.items():
            if isinstance(path, str) and path in folders:
                entry[title] = [f"{path}{page}" for page in folders[path]]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs passes them by name
    """Replace links to files of the repository by their paths; a file that does not exist fails the build."""
    source = page.file.src_uri
    folder = "" if source in PAGES.values() else posixpath.join("docs", posixpath.dirname(source))
    parts = _FENCE.split(markdown)
    for place in range(0, len(parts), 2):
        parts[place] = _LINK.sub(lambda match: _link(match, folder, page, files), parts[place])
    return "".join(parts)


def _link(match: re.Match[str], folder: str, page: Page, files: Files) -> str:
    text, target, anchor = match[1], match[2], match[3] or ""
    path = posixpath.normpath(posixpath.join(folder, target))
    if not (ROOT / path).exists():
        if page.file.src_uri.startswith("api/"):
            return match[0]
        message = f"{page.file.src_uri}: the link to {target} leads to {path}, which does not exist; correct the link"
        raise PluginError(message)
    inside = PAGES.get(path, path.removeprefix("docs/") if path.startswith("docs/") else "")
    if (ROOT / path).is_dir():
        inside = posixpath.join(inside, "index.md") if inside else ""
    if inside and files.get_file_from_path(inside):
        here = posixpath.dirname(page.file.src_uri)
        return f"[{text}]({posixpath.relpath(inside, here or '.')}{anchor})"
    return text if text.strip("`") == path else f"{text} (`{path}`)"


def _generated(config: MkDocsConfig, path: str, text: str) -> File:
    return File.generated(config, path, content=text)


def _modules_by_package() -> dict[str, list[str]]:
    """Return the public modules of the library, keyed by the package whose page shows them."""
    packages: dict[str, list[str]] = defaultdict(list)
    for source in sorted((ROOT / LIBRARY).rglob("*.py")):
        relative = source.relative_to(ROOT).with_suffix("")
        parts = [part for part in relative.parts if part != "__init__"]
        is_module = (source.parent / "__init__.py").exists()  # programs that `privatekube init` copies are data
        if not is_module or any(part.startswith("_") for part in parts):
            continue
        package = ".".join(parts[:2]) if len(relative.parts) > 2 else LIBRARY
        packages[package].append(".".join(parts))
    return dict(packages)


def _reference(package: str, modules: Iterable[str]) -> str:
    """Return the page of one package, with each of its modules in turn."""
    return "\n\n".join([f"# {package}", *(f"::: {module}" for module in modules)]) + "\n"


def _overview(packages: Iterable[str]) -> str:
    """Return the section that lists all packages."""
    rows = [f"| [`{package}`]({package}.md) | {_summary(package)} |" for package in packages]
    return "\n".join(["", "## Packages", "", "| package | purpose |", "|---|---|", *rows, ""])


def _public_names() -> str:
    """Return the section with every name of the public API, each with its place in the reference."""
    rows = []
    for name in privatekube.__all__:
        value = getattr(privatekube, name)
        if name.startswith("_"):
            continue
        purpose = (inspect.getdoc(value) or "").partition("\n")[0]
        rows.append(f"| [`{name}`][{value.__module__}.{name}] | {purpose} |")
    text = "Every name of `import privatekube`. What is elsewhere may change between releases."
    return "\n".join(["# API reference", "", text, "", "| name | purpose |", "|---|---|", *rows, ""])


def _summary(package: str) -> str:
    """Return the first line of a package's docstring."""
    source = ROOT.joinpath(*package.split("."), "__init__.py")
    return (ast.get_docstring(ast.parse(source.read_text())) or "").partition("\n")[0]
