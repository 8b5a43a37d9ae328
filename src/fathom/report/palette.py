"""The page's colors by meaning, each on a light and on a dark ground; charts name the meaning, never the color."""

import re

from .. import look

#: By name: on a light ground (also in print and in exported figures), on a dark one.
PALETTE = {
    "ground": ("#ffffff", "#0c121b"),
    "ink": ("#16202e", "#e3e9f1"),
    "heading": (look.NAVY, "#dbe8fb"),
    "muted": ("#566375", "#9aa8ba"),
    "rule": ("#dbe1e8", "#27323f"),
    "wash": ("#f4f6f9", "#131c28"),
    "training": (look.TRAINING, "#8b9bb2"),
    "validation": (look.VALIDATION, "#4aa5e6"),
    "test": (look.TEST, "#f0962e"),
    "test-text": ("#a85a00", "#f0962e"),
    "good": (look.GOOD, "#58b98a"),
    "warning": ("#8f5f10", "#d9a441"),
    "bad": (look.BAD, "#f0756b"),
    # The palette of Okabe and Ito, those first that stand out from both grounds.
    "member-1": ("#0072b2", "#56b4e9"),
    "member-2": ("#d55e00", "#ee8b45"),
    "member-3": ("#009e73", "#2fc79b"),
    "member-4": ("#b8578e", "#dd92bd"),
}

#: Colors by meaning, as charts write them.
INK, MUTED, RULE, GROUND, WASH = (f"var(--{name})" for name in ("ink", "muted", "rule", "ground", "wash"))
TRAINING, VALIDATION, TEST, BAD = (f"var(--{name})" for name in ("training", "validation", "test", "bad"))
#: Members and classes, in order.
MEMBERS = tuple(f"var(--member-{number})" for number in range(1, 5))


def style() -> str:
    """The style rules that say what each meaning looks like on a light and on a dark ground."""
    light, dark = (
        " ".join(f"--{name}: {pair[ground]};" for name, pair in PALETTE.items()) for ground in (0, 1)
    )
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    )


def on_paper(text: str) -> str:
    """Text of a chart with every meaning replaced by its color on a light ground."""
    return re.sub(r"var\(--([a-z0-9-]+)\)", lambda found: PALETTE[found[1]][0], text)
