"""The templates: every value is escaped, and a value that is missing is an error."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import jinja2
import markupsafe

from privatekube.resources import summary

_MOST_CHARACTERS = 300
"""Longer text of a user is cut in tables; the object's own view has all of it."""


def environment() -> jinja2.Environment:
    """Return the environment of the templates."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("privatekube.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"url": _url, "share": _share, "short": _short, "query": urlencode, "number": "{:,}".format}
    templates.filters["number_of"] = summary.number_of
    templates.filters["own_style"] = markupsafe.Markup  # the style sheet of this package, which no user writes
    return templates


def _url(resource_id: str, kind: str) -> str:
    """Return the address of a block or claim: `kind` is the first part of it."""
    namespace, _, name = resource_id.partition("/")
    return f"/{kind}/{quote(namespace, safe='')}/{quote(name, safe='')}"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
