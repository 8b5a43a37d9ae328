"""`fathom models`: the architectures, or the settings of one."""

from typing import Annotated

from cyclopts import Parameter

from .. import process
from .catalogues import as_json, print_records, print_settings, settings_of
from .common import PLAIN, Common, verb
from .terminal import print_json, say

app = verb("models", "fathom models", "fathom models mlp", "fathom models --json")


@app.default
def models(
    name: Annotated[str | None, Parameter(help="An architecture, to see its settings.")] = None,
    /,
    *,
    common: Common = PLAIN,
) -> None:
    """List the architectures, or the settings of one."""
    process.configure()
    from ..models import MODELS

    records = list(MODELS) if name is None else [MODELS[name]]
    described = [{**as_json(record), "settings": settings_of(record.factory)} for record in records]
    if common.json:
        print_json({"models": described} if name is None else described[0])
    elif name is None:
        print_records("", records)
    else:
        say(f"{name}: {records[0].summary}. {records[0].reference}")
        say("")
        print_settings("", described[0]["settings"])
