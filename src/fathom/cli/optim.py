"""`fathom optim`: learning rules, schedules, clippings, and the settings of a recipe."""

from .. import process
from .catalogues import as_json, print_records, print_settings, settings_of
from .common import PLAIN, Common, verb
from .terminal import print_json, say

app = verb("optim", "fathom optim", "fathom optim --json")


@app.default
def optim(*, common: Common = PLAIN) -> None:
    """List the learning rules, schedules, clippings and training settings."""
    process.configure()
    from ..optim import CLIPS, RULES, SCHEDULES, Recipe

    catalogues = {"optimizer": RULES, "schedule": SCHEDULES, "clip_by": CLIPS}
    settings = settings_of(Recipe)
    if common.json:
        print_json(
            {
                **{name: [as_json(r) for r in records] for name, records in catalogues.items()},
                "recipe": settings,
            }
        )
        return
    for name, records in catalogues.items():
        print_records(f"recipe.{name}", records)
        say("")
    print_settings("recipe", settings)
