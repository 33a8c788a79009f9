"""A day at the simulated bench, gone through in the window by keys and mouse: what pictures are taken of, and what tests walk along."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QCheckBox, QComboBox, QLineEdit, QWidget

from heliograph.control.topics import LearningProgress, QueueState, StoreStates
from heliograph.core.errors import BenchError
from heliograph.gui.window import Window

from .person import Person

OPEN_S, RUN_S = 60.0, 180.0


class Day:
    """An operator's window and what is done in it, one step after the other; each returns once the bench has done it. Raises BenchError where it does not."""

    def __init__(self, window: Window) -> None:
        self.window, self.desk = window, window.desk
        self.person = Person(window)

    def go(self, page: str) -> None:
        """Go to a page by clicking its tab."""
        wanted = next((one for one in self.window.pages if page == one.NAME), None)
        if wanted is None:
            raise BenchError(f"there is no page {page!r}", where="window")
        self.person.tab("Pages", wanted.title())
        self.person.until(lambda: self.window.page is wanted, f"page {page}")

    def begin(self, folder: Path) -> None:
        """Start the simulated bench from the welcome page; its folder is made in the present one unless another is given."""
        self.window.welcome.simulate.disconnect()
        self.window.welcome.simulate.connect(lambda: self.window.opening.simulate(folder))
        self.person.click("Simulated bench")
        self.wait_open()

    def wait_open(self) -> None:
        """Wait until the bench is seen and controlled."""
        self.person.until(lambda: self.desk.controls and self.desk.latest("station") is not None, "the bench", OPEN_S)
        self.person.until(lambda: self.desk.latest("safety") is not None, "its safety")

    def put_first_steps_away(self) -> None:
        """Put the bar for newcomers away."""
        self.person.until(lambda: self.person.sees("Put the first steps away"), "the first steps")
        self.person.click("Put the first steps away")

    def arm(self) -> None:
        """Arm the bench by the wizard of its page."""
        self.go("bench")
        self.person.tab("Panels", "Arming")
        self.person.until(lambda: self.person.find("Arm").isEnabled(), "leave to arm")
        self.person.hold("Arm")
        self.person.until(lambda: self.state == "ARMED", "the armed bench", OPEN_S)

    @property
    def state(self) -> str:
        """Return the safety state that the owner told last."""
        safety = self.desk.latest("safety")
        return str(safety["state"]) if safety is not None else ""

    def fill(self, name: str, text: str) -> None:
        """Write into a field of a form, choose from its list, or tick it: "True" or "False"."""
        field: QWidget = self.person.find(name)
        if isinstance(field, QComboBox):
            self.person.choose(name, text)
            return
        if isinstance(field, QCheckBox):
            if field.isChecked() != (text == "True"):
                self.person.click(name)
            return
        if not isinstance(field, QLineEdit | QAbstractSpinBox):
            raise BenchError(f"{name!r} is no field", where="form")
        self.person.click(name)
        self.person.write(text)

    def start(self, page: str, procedure: str, button: str = "Start", /, **fields: str) -> int:
        """Put a procedure into the queue from its page; return its job number.  fields: by accessible name, underscores for spaces."""
        self.go(page)
        self.person.until(lambda: self.person.find(button, QAbstractButton).isEnabled(), "leave to start")
        if self.person.find("Procedure", QComboBox).currentText() != procedure:
            self.person.choose("Procedure", procedure)
        for name, text in fields.items():
            self.fill(name.replace("_", " "), text)
        before = self._last_job()
        self.person.click(button)
        self.person.until(lambda: self._last_job() > before, "the run in the queue")
        return self._last_job()

    def _last_job(self) -> int:
        queue: QueueState | None = self.desk.latest("queue")
        return max((row.job for row in queue.rows), default=0) if queue is not None else 0

    def wait_ended(self, job: int) -> str:
        """Wait until a job, and what was put into the queue because of it, is over; return its state."""

        def over() -> bool:
            return all(row.over for row in self.desk.latest("queue").rows if row.job >= job)

        self.person.until(over, f"the end of job {job}", RUN_S)
        return next(str(row.state) for row in self.desk.latest("queue").rows if row.job == job)

    def scan(self, points: int = 25) -> int:
        """Scan the fringe of the first user."""
        job = self.start("acquire", "Phase scan", Points=str(points))
        self.person.until(lambda: self.desk.latest("scan") is not None and self.desk.latest("scan").over, "the end of the scan", RUN_S)
        self._done(job)
        return job

    def exchange(self, pair: str, light_s: float = 5.0) -> int:
        """Exchange key between two users, and wait until it is in their stores."""
        before = self.delivered(pair)
        job = self.start("key", "Key exchange", Pair=pair, Light=f"{light_s:g}")
        self._done(job)
        self.person.until(lambda: self.delivered(pair) > before, f"key of {pair}", RUN_S)
        return job

    def learn(self, rounds: int = 0) -> int:
        """Learn with what the stores hold.  rounds: 0 for those of the task."""
        job = self.start("learning", "Learn", "Start learning", **{"Rounds, 0 for those of the task": str(rounds)})
        self._done(job)
        self.person.until(lambda: (now := self.learning) is not None and now.state == "done", "the end of learning")
        return job

    def _done(self, job: int) -> None:
        state = self.wait_ended(job)
        if state != "done":
            row = next(one for one in self.desk.latest("queue").rows if one.job == job)
            raise BenchError(f"job {job}, {row.procedure}, is {state}: {row.why}", where="queue")

    @property
    def learning(self) -> LearningProgress | None:
        """Return how learning stands."""
        found: LearningProgress | None = self.desk.latest("learning")
        return found

    def delivered(self, pair: str) -> int:
        """Return how many bits the stores of a pair were given, as far as the window was told."""
        return self._stored(pair, "delivered")

    def spendable(self, pair: str) -> int:
        """Return how many bits of a pair can be spent, as far as the window was told."""
        return self._stored(pair, "spendable")

    def _stored(self, pair: str, what: str) -> int:
        stores: StoreStates | None = self.desk.latest("stores")
        return min((int(getattr(one, what)) for one in stores.stores if one.pair == pair), default=0) if stores is not None else 0
