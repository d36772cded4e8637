"""Which address means what; nothing else is served. Pure: no path of a request ever reaches the file system."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from speakrs_server.identifiers import is_session
from speakrs_server.pages import assets
from speakrs_server.results import SUFFIXES

Kind = Literal["stream", "events", "session", "result", "healthz", "readyz", "schema", "asyncapi", "page", "none"]
LONGEST = 2_048
_SESSION = re.compile(r"/v1/sessions/([^/]{1,64})(?:/(events|result\.([A-Za-z.]{1,20})))?")
FIXED: dict[str, Kind] = {
    "/v1/stream": "stream",
    "/healthz": "healthz",
    "/readyz": "readyz",
    "/v1/schema.json": "schema",
    "/v1/asyncapi.json": "asyncapi",
}


@dataclass(frozen=True, slots=True)
class Route:
    """What is asked for."""

    kind: Kind
    """What it is; `none` for everything that is nothing."""
    session: str = ""
    """Name of the session."""
    format: str = ""
    """Format of the result."""
    live: bool = False
    """Whether the live result is asked for."""
    after: int = 0
    """Number of the last message a viewer has."""
    asset: str = ""
    """Address of the part of the captions page."""


NOWHERE = Route("none")


def route(target: str) -> Route:
    """What a request target stands for."""
    path, _, query = target.partition("?")
    if len(target) > LONGEST or "#" in target or "%" in path:
        return NOWHERE
    if path in assets():
        return Route("page", asset=path)  # whatever its query says is for the page alone
    try:
        values = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=8))
    except ValueError:
        return NOWHERE
    if (kind := FIXED.get(path)) is not None:
        resumes = values.get("resume", "")
        return Route(kind, session=resumes if is_session(resumes) else "")
    match = _SESSION.fullmatch(path)
    if match is None or not is_session(match.group(1)):
        return NOWHERE
    session, what, suffix = match.groups()
    if what is None:
        return Route("session", session)
    if what == "events":
        after = values.get("after", "0")
        return Route("events", session, after=int(after)) if re.fullmatch("[0-9]{1,15}", after) else NOWHERE
    format_name = SUFFIXES.get(suffix.lower())
    which = values.get("pass", "final")
    if format_name is None or which not in ("live", "final"):
        return NOWHERE
    return Route("result", session, format_name, which == "live")
