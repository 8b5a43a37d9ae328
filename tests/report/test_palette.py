import pytest

from fathom.report.palette import PALETTE, on_paper, style


def luminance(color):
    """As WCAG 2 defines it."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    parts = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("names", "least"),
    [
        (("ink", "heading", "muted", "validation", "test-text", "good", "warning", "bad"), 4.5),  # text
        (("training", "test", "member-1", "member-2", "member-3", "member-4"), 3.0),  # marks of charts
    ],
    ids=["text", "marks"],
)
def test_every_color_stands_out_from_its_ground(names, least, ground):
    """AA of WCAG 2: 4.5 for text, 3 for what has to be told apart in a picture."""
    for name in names:
        assert contrast(PALETTE[name][ground], PALETTE["ground"][ground]) >= least, name


def test_every_meaning_has_both_grounds_and_one_paper():
    assert all(style().count(f"--{name}:") == 2 for name in PALETTE)
    assert on_paper('fill="var(--ink)"') == 'fill="#16202e"'
