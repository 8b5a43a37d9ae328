"""Progress from events made by hand, with a clock that the test turns."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from fathom.cli.progress import Progress, State
from fathom.look import THIN_SPACE


class Plan(SimpleNamespace):
    def __str__(self):
        return "8 members (8 candidates x 1 seed x 1 fold) in 1 program on 2 devices\n  more"

    def explain(self):
        return f"{self}\n    because"


DATA = {
    "event": "data",
    "name": "digits",
    "rows": 1797,
    "features": 64,
    "kind": "classification",
    "classes": 10,
    "target": "digit",
    "notes": ["column 'id' is ignored: it numbers the rows (an identifier)"],
}
PLANNED = {"event": "plan", "plan": Plan(members=8, cohorts=[SimpleNamespace(epochs=10)])}
COMPILING = {"event": "compile", "state": "start", "programs": 2}
MADE = [
    {"cohort": "mlp 8", "name": "epoch", "read": False, "traced": 0.2, "compiled": 3.0, "stored": True},
    {"cohort": "mlp 8", "name": "init", "read": True, "traced": 0.0, "compiled": 0.1, "stored": True},
]
COMPILED = {"event": "compile", "state": "end", "programs": 2, "seconds": 3.2, "made": MADE}


def epoch(number, *, alive=8, best=0.9, progress=None, examples=1000, loss=(0.5, 0.7, np.nan, 0.6)):
    report = SimpleNamespace(train={"loss": np.array(loss)})
    share = (number + 1) / 10 if progress is None else progress
    values = {
        "epoch": number,
        "report": report,
        "alive": alive,
        "best": best,
        "examples": examples,
        "progress": share,
    }
    return {"event": "epoch", **values}


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def screen(**options):
    return Console(file=io.StringIO(), width=100, **options)


def written(console):
    return console.file.getvalue().replace(THIN_SPACE, " ")


def played(state, *events):
    return [line.replace(THIN_SPACE, " ") for event in events for line in state.take(event)]


def test_lines_worth_keeping_say_data_notes_plan_and_compiling():
    lines = played(State("accuracy", Clock()), DATA, PLANNED, COMPILING, COMPILED)
    assert lines == [
        "digits: 1 797 rows, 64 features, predicting digit, 10 classes",
        "note: column 'id' is ignored: it numbers the rows (an identifier)",
        "8 members (8 candidates x 1 seed x 1 fold) in 1 program on 2 devices",
        "compiled 2 programs in 3.2 s",
    ]


def test_the_facts_of_an_epoch():
    clock = Clock()
    state = State("accuracy", clock)
    played(state, DATA, PLANNED, COMPILING, COMPILED)
    clock.now += 2.0
    played(state, {"event": "diverged", "member": 3, "step": 5, "last_loss": 9.0}, epoch(0, alive=7))
    facts = {name: value.replace(THIN_SPACE, " ") for name, value in state.facts()}
    assert facts == {
        "phase": "training, epoch 1 of 10",
        "members": "7 of 8 alive, 1 diverged",
        "best accuracy": "0.9000",
        "loss": "0.600",
        "speed": "500 examples/s",
        "time left": "18 s",
    }


def test_the_time_left_shrinks_between_epochs_and_is_never_below_zero():
    clock = Clock()
    state = State("accuracy", clock)
    played(state, PLANNED, COMPILING, COMPILED)
    clock.now += 1.0
    played(state, epoch(0))
    assert state.seconds_left == pytest.approx(9.0)
    clock.now += 4.0
    assert state.seconds_left == pytest.approx(5.0)
    clock.now += 99.0
    assert state.seconds_left == 0.0


def test_the_time_spent_compiling_does_not_count_as_training():
    clock = Clock()
    state = State("accuracy", clock)
    played(state, PLANNED, COMPILING)
    clock.now += 60.0
    played(state, COMPILED)
    clock.now += 1.0
    played(state, epoch(0))
    assert state.seconds_left == pytest.approx(9.0)


def test_a_resumed_run_counts_only_what_it_trained_itself():
    clock = Clock()
    state = State("accuracy", clock)
    played(state, PLANNED, COMPILING, COMPILED, epoch(4))
    clock.now += 2.0
    played(state, epoch(5))
    assert state.seconds_left == pytest.approx(2.0 / 0.1 * 0.4)


def test_the_speed_is_that_of_the_last_seconds():
    clock = Clock()
    state = State("accuracy", clock)
    played(state, PLANNED, COMPILING, COMPILED)
    for number in range(20):
        clock.now += 1.0
        played(state, epoch(number, examples=100 if number < 10 else 700, progress=0.01 * number))
    assert state.speed == pytest.approx(700.0)


def test_rungs_and_slowness_are_said():
    state = State("accuracy", Clock())
    played(state, PLANNED)
    rung = {"event": "rung", "at": 0.2, "kept": [0, 1], "dropped": [2, 3, 4]}
    slower = {"event": "slower", "at": 0.5, "planned": 4, "kept": 1, "seconds": 3.0}
    lines = played(state, rung, slower)
    assert lines == [
        "rung at 20 % of the epochs: the best 2 candidates go on, 3 members dropped",
        "slower than planned: 1 candidates go on instead of 4",
    ]
    assert state.alive == 5


def test_an_event_of_a_later_version_is_passed_over():
    assert played(State("accuracy", Clock()), {"event": "tea"}) == []


def test_no_console_shows_nothing():
    with Progress("accuracy", None) as progress:
        progress(DATA)
        progress(PLANNED)
        progress(epoch(0))


def test_without_a_terminal_there_are_plain_lines_every_few_seconds():
    clock, console = Clock(), screen(force_terminal=False)
    with Progress("accuracy", console, clock) as progress:
        for event in (DATA, PLANNED, COMPILING, COMPILED):
            progress(event)
        for number in range(10):
            clock.now += 1.0
            progress(epoch(number))
        progress({"event": "choose"})
    text = written(console)
    assert "\x1b" not in text
    trained = [line for line in text.splitlines() if "] epoch" in line]
    assert [line.partition("epoch ")[2].partition(" ")[0] for line in trained] == ["1", "4", "7", "10"]
    assert trained[1] == (
        "[4.0 s] epoch 4 of 10 · 8 of 8 alive · best accuracy 0.9000 · loss 0.600"
        " · 1 000 examples/s · time left 6.0 s"
    )
    assert "compiling 2 programs" in text
    assert text.splitlines()[-1].endswith("choosing, then testing once")


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_live_table_fits_its_terminal_and_leaves_it_clean(width):
    clock = Clock()
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    progress = Progress("balanced_accuracy", console, clock)
    with progress:
        for event in (DATA, PLANNED, COMPILING, COMPILED):
            progress(event)
        clock.now += 1.0
        progress(epoch(0, best=0.987654))
    still = screen(force_terminal=False)
    still.print(progress.picture(), width=width)
    picture = written(still)
    assert max(len(line) for line in picture.splitlines()) <= width
    assert "best balanced_accuracy  0.9877" in picture
    assert "10 %" in picture
    assert "\x1b[?25h" in written(console)  # the cursor is shown again


def test_explained_the_whole_plan_and_every_program_are_told():
    state = State("accuracy", Clock(), explained=True)
    assert next(state.take(PLANNED)).endswith("because")
    list(state.take(COMPILING))
    traced, read, _ = state.take(COMPILED)
    took = [line.replace(THIN_SPACE, " ") for line in (traced, read)]
    assert (
        took[0]
        == "  mlp 8, an epoch of training, then validation: traced in 0.2 s, compiled in 3.0 s, kept on disk"
    )
    assert took[1] == "  mlp 8, making its members: read from disk in 0.1 s"
