"""What a long run shows and keeps: history, progress bar, Ctrl-C between steps."""

import signal
import threading
from dataclasses import dataclass, field

__all__ = ["DeferredInterrupt", "History", "progress_bar"]


@dataclass
class History:
    """What training reported.

    Members
    -------
    steps : list of dict
        One a step: epoch, loss (mean over the batch), cycles, and the device's counters by name.
    epochs : list of dict
        One an epoch: epoch, loss (mean over the images), train_accuracy (of the outputs that the
        steps computed, before each update), cycles, and validation_loss, validation_accuracy.
    """

    steps: list = field(default_factory=list)
    epochs: list = field(default_factory=list)

    def to_dict(self):
        """Plain Python values, for JSON."""
        return {"steps": self.steps, "epochs": self.epochs}


class DeferredInterrupt:
    """Ctrl-C waits for the end of a step, so that what is saved then is a whole number of steps.

    A second one does not wait.
    """

    def __enter__(self):
        self.came = False
        self.main = threading.current_thread() is threading.main_thread()
        if self.main:
            self.before = signal.signal(signal.SIGINT, self.handle)
        return self

    def handle(self, number, frame):
        if self.came:
            raise KeyboardInterrupt
        self.came = True

    def check(self):
        if self.came:
            raise KeyboardInterrupt

    def __exit__(self, *exception):
        if self.main:
            signal.signal(signal.SIGINT, self.before)


class _NoBar:
    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def update(self, steps):
        pass

    def set_postfix_str(self, text, refresh=True):
        pass


def progress_bar(steps, wanted):
    if not wanted:
        return _NoBar()
    try:
        from tqdm import tqdm
    except ImportError:  # as on a board
        return _NoBar()
    return tqdm(total=steps, unit="step", dynamic_ncols=True)
