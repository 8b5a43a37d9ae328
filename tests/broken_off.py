"""Breaking a run off where a test wants it, as Ctrl-C or an error would."""


class Killed(Exception):
    """Raised by `killed_at` and by nothing else."""


def killed_at(kind, count):
    """A callback that breaks a run off at the `count`-th event of a kind."""
    seen = []

    def listen(event):
        seen.append(event["event"])
        if event["event"] == kind and seen.count(kind) == count:
            raise Killed

    return listen
