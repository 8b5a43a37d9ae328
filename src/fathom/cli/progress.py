"""Progress of a run: what its events say, as a live table in a terminal and as plain lines elsewhere."""

import collections
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from ..look import TRAINING, VALIDATION, format_count, format_number, format_seconds

_LINE_EVERY = 3.0  # seconds between plain lines
_RATE_OVER = 5.0  # seconds that the training speed is averaged over
_BAR_WIDTH = 40
_REFRESH = 4  # live pictures a second

Event = Mapping[str, Any]


_DOES = {
    "init": "making its members",
    "epoch": "an epoch of training, then validation",
    "window": "training on a window of rows",
}


def _how_made(program: Event) -> str:
    """How a program came to be."""
    seconds = format_seconds(program["compiled"])
    how = f"read from disk in {seconds}"
    if not program["read"]:
        kept = "kept on disk" if program["stored"] else "left to JAX's own cache"
        how = f"traced in {format_seconds(program['traced'])}, compiled in {seconds}, {kept}"
    return f"  {program['cohort']}, {_DOES[program['name']]}: {how}"


class State:
    """Where a run is, from its events alone.

    Args:
        metric: the metric's name.
        clock: seconds that only ever grow.
        explained: whether to say why the programs are what they are, and how they came to be.
    """

    def __init__(self, metric: str, clock: Callable[[], float] = time.monotonic, explained: bool = False):
        self.metric, self.clock, self._explained = metric, clock, explained
        self.started = clock()
        self.phase = "opening the data"
        self.members = self.alive = self.diverged = self.epoch = self.epochs = 0
        self.best = self.loss = math.nan
        self.share = 0.0
        self._examples: collections.deque[tuple[float, int]] = collections.deque()
        self._trained = 0.0  # seconds of training until the last epoch, compiling left out
        self._since = self.started
        self._share_before: float | None = None

    def take(self, event: Event) -> Iterator[str]:
        """Learn from an event.

        Args:
            event: what a run tells its callbacks.

        Returns:
            Lines that are worth keeping on the screen.
        """
        handler = getattr(self, f"_on_{event['event']}", None)
        return iter(()) if handler is None else handler(event)

    def _on_data(self, event: Event) -> Iterator[str]:
        self.phase = "baselines"
        classes = f", {event['classes']} classes" if event["kind"] == "classification" else ""
        rows, features = format_count(event["rows"]), format_count(event["features"])
        yield f"{event['name']}: {rows} rows, {features} features, predicting {event['target']}{classes}"
        yield from (f"note: {note}" for note in event["notes"])

    def _on_shuffle(self, event: Event) -> Iterator[str]:
        self.phase = f"shuffling the rows on disk ({100 * event['share']:.0f} %)"
        return iter(())

    def _on_baseline(self, event: Event) -> Iterator[str]:
        self.phase = f"baselines ({event['name'].replace('_', ' ')} done)"
        return iter(())

    def _on_plan(self, event: Event) -> Iterator[str]:
        plan = event["plan"]
        self.members = self.alive = plan.members
        self.epochs = max(cohort.epochs for cohort in plan.cohorts)
        yield plan.explain() if self._explained else str(plan).partition("\n")[0]

    def _on_compile(self, event: Event) -> Iterator[str]:
        programs = event["programs"]
        if event["state"] == "start":
            self.phase = f"compiling {programs} program{'s' * (programs != 1)}"
            return
        self.phase = "training" if self.members else "measuring the speed"
        self._since = self.clock()
        if self._explained:
            yield from map(_how_made, event["made"])
        if event["seconds"] >= 0.5:
            yield f"compiled {programs} program{'s' * (programs != 1)} in {format_seconds(event['seconds'])}"

    def _on_epoch(self, event: Event) -> Iterator[str]:
        now = self.clock()
        if self._share_before is None:  # a resumed run begins with a share that this process did not train
            self._share_before = event["progress"] if event["epoch"] else 0.0
            self._examples.append((self._since, 0))
        self.phase = "training"
        self.epoch, self.alive, self.share = event["epoch"] + 1, event["alive"], event["progress"]
        self.best = event["best"]
        finite = [float(loss) for loss in event["report"].train.get("loss", ()) if math.isfinite(loss)]
        self.loss = statistics.median(finite) if finite else math.nan
        self._trained += now - self._since
        self._since = now
        self._examples.append((now, event["examples"]))
        while len(self._examples) > 2 and now - self._examples[1][0] > _RATE_OVER:
            self._examples.popleft()
        return iter(())

    def _on_rung(self, event: Event) -> Iterator[str]:
        kept, dropped = len(event["kept"]), len(event["dropped"])
        self.alive = max(0, self.alive - dropped)
        each = "candidate goes" if kept == 1 else "candidates go"
        share = f"{100 * event['at']:.0f} %"
        yield f"rung at {share} of the epochs: the best {kept} {each} on, {dropped} members dropped"

    def _on_diverged(self, event: Event) -> Iterator[str]:
        self.diverged += 1
        return iter(())

    def _on_slower(self, event: Event) -> Iterator[str]:
        yield f"slower than planned: {event['kept']} candidates go on instead of {event['planned']}"

    def _on_choose(self, event: Event) -> Iterator[str]:
        self.phase, self.share = "choosing, then testing once", 1.0
        return iter(())

    def _on_done(self, event: Event) -> Iterator[str]:
        self.phase = "done"
        return iter(())

    @property
    def speed(self) -> float:
        """Examples a second over all members; nan before the first epoch."""
        if len(self._examples) < 2 or self._examples[-1][0] <= self._examples[0][0]:
            return math.nan
        examples = sum(count for _, count in list(self._examples)[1:])
        return examples / (self._examples[-1][0] - self._examples[0][0])

    @property
    def seconds_left(self) -> float:
        """Seconds of training still to come, at the speed so far; nan before it is known."""
        done = self.share - (self._share_before or 0.0)
        if self.phase != "training" or done <= 0:
            return math.nan
        left = self._trained * (1.0 - self.share) / done
        return max(0.0, left - (self.clock() - self._since))

    def facts(self) -> list[tuple[str, str]]:
        """What there is to say, as pairs of a word and its value."""
        epoch = f", epoch {self.epoch} of {self.epochs}" if self.epoch and self.phase == "training" else ""
        facts = [("phase", self.phase + epoch)]
        if self.members:
            lost = f", {self.diverged} diverged" if self.diverged else ""
            facts.append(
                ("members", f"{format_count(self.alive)} of {format_count(self.members)} alive{lost}")
            )
        if self.epoch:
            facts.append((f"best {self.metric}", format_number(self.best, 4)))
            facts.append(("loss", format_number(self.loss)))
        if not math.isnan(self.speed):
            facts.append(("speed", f"{format_number(self.speed)} examples/s"))
        if not math.isnan(self.seconds_left):
            facts.append(("time left", format_seconds(self.seconds_left)))
        return facts


class Progress:
    """Shows a run while it trains; give the instance to the run as a callback.

    Use it as a context manager, so that the terminal is left as it was found.

    Args:
        metric: the metric's name.
        out: where to write; None shows nothing.
        clock: seconds that only ever grow.
        explained: whether to say why the programs are what they are, and how they came to be.
    """

    def __init__(
        self,
        metric: str,
        out: Console | None,
        clock: Callable[[], float] = time.monotonic,
        explained: bool = False,
    ):
        self.state = State(metric, clock, explained)
        self._out = out
        self._live: Live | None = None
        self._shown = -math.inf
        self._phase = ""
        if out is not None and out.is_terminal and not out.is_dumb_terminal:
            self._live = Live(
                get_renderable=self.picture,
                console=out,
                refresh_per_second=_REFRESH,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take an event and show what it changed."""
        lines = list(self.state.take(event))
        if self._out is None:
            return
        for line in lines:
            style = "dim" if line.startswith("note: ") else None
            self._out.print(line, style=style, soft_wrap=self._live is None)
        if self._live is None:
            self._line()

    def _line(self) -> None:
        """A plain line, if the phase is another or the last line is some seconds old."""
        now, phase = self.state.clock(), self.state.phase.partition(" (")[0]
        training = phase == "training"
        if training and not self.state.epoch:
            return
        if phase == self._phase and not (training and now - self._shown >= _LINE_EVERY):
            return
        self._shown, self._phase = now, phase
        facts = dict(self.state.facts())
        said = [facts.pop("phase").removeprefix("training, ")]
        if training:
            said += [
                value if name in ("members", "speed") else f"{name} {value}" for name, value in facts.items()
            ]
        elapsed = format_seconds(now - self.state.started)
        if self._out is not None:
            self._out.print(f"[{elapsed}] {' · '.join(said)}", soft_wrap=True)

    def picture(self) -> Table:
        """The live table."""
        table = Table.grid(padding=(0, 2))
        table.add_column(style=TRAINING)
        table.add_column()
        for name, value in self.state.facts():
            table.add_row(name, value, style="bold" if name.startswith("best") else None)
        if self.state.epoch:
            beside = max(len(name) for name, _ in self.state.facts()) + 2
            width = min(_BAR_WIDTH, (self._out.width if self._out else 80) - beside)
            done = 100 * self.state.share
            bar = ProgressBar(100, done, width=width, complete_style=VALIDATION, finished_style=VALIDATION)
            table.add_row(f"{done:.0f} %", bar)
        return table
