"""Every error Heliograph raises on purpose, one tree.

    HeliographError                     exit code 1 unless said
    +- ConfigError                      3  station file, option or parameter file is wrong
    +- ParameterError (ValueError)      3  a value handed to a function is impossible
    |  +- UnknownInstrument (KeyError)  3  the bench has no instrument of this name
    +- LimitError                       3  asked for more than the station allows; nothing was sent
    +- DependencyMissing                3  an optional package is not installed
    +- RunFileError                     3  a run file is missing, of another kind, or damaged
    |  +- AlreadyDistilled              1  this run has given its key already
    |  +- RunFileHeld                   3  its writer holds it just now
    +- DataError                        3  a data set is malformed
    |  +- DataMissing                   3  not here, and not fetched
    |  +- DataChecksumError             3  not the file it claims to be
    +- StorageError                     3  the disk is full, or the folder cannot be written
    |  +- FilesThere                    3  files of these names are there already
    +- InstrumentLocked                 4  somebody else holds the instrument
    +- BenchError                       4  the simulated bench did not start, or went away
    +- RunAborted                       4  a run was ended by somebody else, or because the bench was made safe
    +- InterlockError                   4
    |  +- ArmRefused                    4  the bench is not in a state from which light may be switched on
    |  +- InterlockOpen                 4  the state that would result is not safe; nothing was sent
    |  +- Tripped                       4  a rule made the bench safe; somebody has to reset it
    |  +- InsecureLight                 4  the light shows signs of an attack; no key comes of it
    +- InstrumentError                  4
    |  +- Timeout  Disconnected  BadReply  WrongIdentity  Rejected  Busy  NotHomed  DeviceFault  Released
    |     +- ChecksumError  StaleReply  ValueOutOfRange          (all are BadReply)
    +- DataLoss                         4  something was measured and did not arrive
    |  +- Overflow  StreamMismatch  NotMonotonic  ClockLost
    +- CalibrationError                 4
    |  +- Expired  Suspect
    +- AlignmentError  SyncError  TagStreamError  AnnouncementError      the light cannot be read
    +- ReconciliationError  VerificationError  DesyncError  NoKeyError   no key comes of this block
    +- FrameError                       a message is malformed, out of order or not authentic
    +- KeyStoreError                    1
    |  +- RollbackSuspected  GuardMismatch  StoreCorrupt  StoreLocked  UnknownKey
    +- InsufficientKey                  5  a store holds less than was asked
    +- ProvenanceError                  1  simulated and real key would mix
    +- PrecisionError (ArithmeticError) 1  rounding would have changed the result
    +- LedgerCorrupt                    1  an append-only record was altered
    +- RoundAborted                     1  a learning round was given up; its keys are burned
    +- QpuError                         1  a quantum processor, local or in a cloud
    |  +- QpuConfigError                3  circuit, option or name is wrong, or an SDK is missing; nothing was sent
    |  +- QpuUnsupported                3  this back-end cannot run such circuits; the message names the form that it can
    |  +- QpuAuthError                  3  no credentials, or they do not suffice
    |  +- QpuBudgetExceeded             3  the project's budget does not cover it; nothing was sent
    |  +- QpuUnavailable                4  service or device does not answer
    |  +- QpuRateLimited                4  the service asks for fewer requests, or a quota is used up
    |  +- QpuQueueTimeout               4  waited long enough; the job goes on
    |  +- QpuJobFailed                  1  the provider gave the job up
    |  +- QpuCancelled                  1  the job was cancelled
    +- QotError                         1  oblivious transfer
    |  +- StatesExhausted               1  fewer states are left than a step takes; none was used
    |  +- NoSignal                      3  the noise would drown the result; no state was used
    |  +- RunRepeated                   1  masks of an opening would come a second time; nothing was sent
    |  +- ValidationAbort               1  states or decoys show more errors than they may; the batch was dropped by both sides
    |     +- UnevenStates               1  tested states favour some bits more than they may
    |     +- WrongPurity                1  measured in X, the states are more or less coherent than agreed
    +- QheError                         1  root of the tree of homomorphic encryption

Every error says what went wrong, where, and what to do about it; the command line prints the three and exits with the code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self


class HeliographError(Exception):
    """Root of the tree.

    message: what happened, one sentence without the final stop.  where: instrument, file, pair or field.  remedy: what to do now.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}. {self.remedy}" if self.remedy else text

    def as_dict(self) -> dict[str, str]:
        """Return the four fields that `--json` prints for a failure."""
        return {"type": type(self).__name__, "message": self.message, "where": self.where, "remedy": self.remedy}


class ConfigError(HeliographError):
    """Station file, option or parameter file is wrong: unknown key, bare number, wrong dimension, impossible layout."""

    exit_code = 3


class ParameterError(HeliographError, ValueError):
    """A value handed to a function is impossible; `where` names it."""

    exit_code = 3


class UnknownInstrument(ParameterError, KeyError):
    """The bench has no instrument of this name; `remedy` lists those there are."""

    @classmethod
    def of(cls, name: object, there: Iterable[str], *, where: str) -> Self:
        """Return the error for a name.  there: the names of the instruments that the bench has."""
        return cls(f"there is no instrument {name!r}", where=where, remedy=f"There are {', '.join(there)}.")


class LimitError(HeliographError):
    """More was asked than the station allows. Nothing was sent."""

    exit_code = 3


class DependencyMissing(HeliographError):
    """An optional package is needed and not installed."""

    exit_code = 3


class RunFileError(HeliographError):
    """A run file is missing, of another kind, or damaged."""

    exit_code = 3


class AlreadyDistilled(RunFileError):
    """The run has given its key already; a second distillation would be the same bits twice."""

    exit_code = 1


class RunFileHeld(RunFileError):
    """The writer of a run file holds it, so that it cannot be read just now; nothing is wrong with it."""


class DataError(HeliographError):
    """A data set is malformed; `where` names index or line."""

    exit_code = 3


class DataMissing(DataError):
    """A data set is not on this machine and nobody asked to download it."""


class DataChecksumError(DataError):
    """A data file is not the file it claims to be. It was left alone."""


class StorageError(HeliographError):
    """The disk is full, or a folder cannot be written. What was flushed before is kept."""

    exit_code = 3


class FilesThere(StorageError):
    """Files would be written over of which nobody said that they may be; `message` names them. Nothing was written."""


class InstrumentLocked(HeliographError):
    """Another process holds the instrument; `message` names its process id."""

    exit_code = 4


class BenchError(HeliographError):
    """The simulated bench did not start, or went away."""

    exit_code = 4


class RunAborted(HeliographError):
    """A run was ended from outside: by another client, by the watchdog, or because the bench was made safe. Its file says `aborted`, and why."""

    exit_code = 4


class InterlockError(HeliographError):
    """A safety rule forbids the step."""

    exit_code = 4


class ArmRefused(InterlockError):
    """The bench is not in a state from which light may be switched on."""


class InterlockOpen(InterlockError):
    """The state that would result is not safe. Nothing was sent."""


class Tripped(InterlockError):
    """A rule made the bench safe, and it stays so until somebody resets it."""


class InsecureLight(InterlockError):
    """The detectors show signs of an attack or of a fault that looks like one. No key comes of this light."""


class InstrumentError(HeliographError):
    """An instrument did not do what was asked; `where` names it and its resource."""

    exit_code = 4


class Timeout(InstrumentError):
    """No complete reply came in time."""


class Disconnected(InstrumentError):
    """The link to the instrument is gone."""


class BadReply(InstrumentError):
    """A reply came that means nothing: garbage, or of the wrong type."""


class ChecksumError(BadReply):
    """A framed reply is damaged."""


class StaleReply(BadReply):
    """A reply belongs to an earlier request."""


class ValueOutOfRange(BadReply):
    """The instrument reports a number that is none, such as NaN or an overflow mark, or one outside what it can have."""


class WrongIdentity(InstrumentError):
    """Another device answers at this address. The port was closed."""


class Rejected(InstrumentError):
    """The instrument refused the command (NACK or error queue)."""


class Busy(InstrumentError):
    """The instrument kept answering that it is busy."""


class NotHomed(InstrumentError):
    """A motor does not know its position; home it first."""


class DeviceFault(InstrumentError):
    """The instrument reports a fault of its own."""


class Released(InstrumentError):
    """The instrument was let go for service; nothing reaches it before it is taken back."""


class DataLoss(HeliographError):
    """Something was measured and did not arrive."""

    exit_code = 4


class Overflow(DataLoss):
    """The tagger's buffer ran over."""


class StreamMismatch(DataLoss):
    """The device counted more than arrived."""


class NotMonotonic(DataLoss):
    """Time went backwards in a stream."""


class ClockLost(DataLoss):
    """The reference clock went away during a measurement."""


class CalibrationError(HeliographError):
    """A calibration cannot be used."""

    exit_code = 4


class Expired(CalibrationError):
    """The calibration is older than it may be."""


class Suspect(CalibrationError):
    """The calibration contradicts the present measurement."""


class AlignmentError(HeliographError):
    """The pattern offset is not certain; carries peak and second peak in the message."""


class SyncError(HeliographError):
    """The slot clock was lost for too long."""


class TagStreamError(HeliographError):
    """Tags are out of order."""


class AnnouncementError(HeliographError):
    """The announced events are malformed or lie outside the block."""


class ReconciliationError(HeliographError):
    """An error-correction message does not fit; state unchanged."""


class VerificationError(HeliographError):
    """The corrected keys differ. The block was dropped."""


class DesyncError(HeliographError):
    """The two parties disagree about what was done; no key on either side."""


class NoKeyError(HeliographError):
    """The block's key length is not positive; the message carries every term."""


class FrameError(HeliographError):
    """A message is malformed, out of order or not authentic."""


class KeyStoreError(HeliographError):
    """The key store refuses."""


class RollbackSuspected(KeyStoreError):
    """The store is older than its guard: a copy was restored. Nothing is served."""


class GuardMismatch(KeyStoreError):
    """The guard does not belong to this store."""


class StoreCorrupt(KeyStoreError):
    """The store cannot be read, or its audit chain is broken."""


class StoreLocked(KeyStoreError):
    """Another process has the store open."""


class UnknownKey(KeyStoreError):
    """A key id is unknown, burned or already fetched."""


class InsufficientKey(HeliographError):
    """A store holds less than was asked. No key was spent on any pair."""

    exit_code = 5

    def __init__(self, pair: str, need_bits: int, have_bits: int, *, purpose: str = "") -> None:
        wanted = f"{purpose} needs" if purpose else "needs"
        super().__init__(
            f"{wanted} {need_bits:,} bits, {have_bits:,} are available. No key was spent on any pair",
            where=f"pair {pair}",
            remedy=f"Exchange more light between the pair and distil it: `heliograph acquire key --pairs {pair}`, or Key exchange in the window.",
        )
        self.pair = pair
        self.need_bits = need_bits
        self.have_bits = have_bits


class ProvenanceError(HeliographError):
    """Simulated and real key would mix, or simulated randomness would become a real key."""


class PrecisionError(HeliographError, ArithmeticError):
    """Rounding would have changed the result; there is no output."""


class LedgerCorrupt(HeliographError):
    """An append-only record was altered."""


class RoundAborted(HeliographError):
    """A learning round was given up; its keys are burned and the model is unchanged."""


class QpuError(HeliographError):
    """Root of the errors of quantum processors; the vendor's own exception is the `__cause__`."""


class QpuConfigError(QpuError):
    """A circuit, an option or a name is wrong, or an SDK is not installed. Nothing was sent."""

    exit_code = 3


class QpuUnsupported(QpuError):
    """Such a circuit cannot be run by this back-end; `feature` names what it lacks."""

    exit_code = 3

    def __init__(self, feature: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(f"{feature} cannot be run here", where=where, remedy=remedy)
        self.feature = feature


class QpuAuthError(QpuError):
    """There are no credentials, or they do not suffice."""

    exit_code = 3


class QpuBudgetExceeded(QpuError):
    """The project's budget does not cover the job. Nothing was sent.

    cost, left: what the job would take and what is left, both by the names of the budget's limits.
    """

    exit_code = 3

    def __init__(self, message: str, cost: dict[str, float | None], left: dict[str, float | None], *, where: str = "", remedy: str = "") -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.cost = cost
        self.left = left


class QpuUnavailable(QpuError):
    """Service or device does not answer, or is switched off."""

    exit_code = 4


class QpuRateLimited(QpuError):
    """The service asks for fewer requests, or a quota is used up."""

    exit_code = 4


class QpuQueueTimeout(QpuError):
    """The wait ended before the job did; the job goes on and can be resumed by its `uuid`."""

    exit_code = 4

    def __init__(self, uuid: str, waited_s: float) -> None:
        super().__init__(f"no result after {waited_s:.0f} s; the job goes on", where=f"job {uuid}", remedy=f"Ask again later: heliograph qpu resume {uuid}")
        self.uuid = uuid
        self.waited_s = waited_s


class QpuJobFailed(QpuError):
    """The provider gave the job up.

    reason: in the provider's words.  missing: indices of the works without samples; those of the others are recorded.
    """

    def __init__(self, uuid: str, reason: str, missing: tuple[int, ...] = ()) -> None:
        lost = f" (no samples of works {', '.join(map(str, missing))})" if missing else ""
        super().__init__(f"the provider gave the job up: {reason}{lost}", where=f"job {uuid}", remedy="Look at the reason, then submit again on purpose.")
        self.uuid = uuid
        self.reason = reason
        self.missing = missing


class QpuCancelled(QpuError):
    """The job was cancelled; it has no samples."""

    def __init__(self, uuid: str) -> None:
        super().__init__("the job was cancelled and has no samples", where=f"job {uuid}", remedy="Submit it again if it is still wanted.")
        self.uuid = uuid


class QotError(HeliographError):
    """Oblivious transfer was given up."""


class StatesExhausted(QotError):
    """Fewer states are left than a step takes. None was used."""

    def __init__(self, needed: int, left: int, *, where: str = "states") -> None:
        super().__init__(f"{needed:,} states are needed, {left:,} are left. None was used", where=where, remedy="Prepare more states.")
        self.needed = needed
        self.left = left


class NoSignal(QotError):
    """The noise of the states would drown the result. No state was used."""

    exit_code = 3

    def __init__(self, predicted_sd: float, limit: float, *, where: str = "", remedy: str = "Take more shots, smaller blocks, or a better device.") -> None:
        super().__init__(f"a standard deviation of {predicted_sd:.3g} is to be expected, {limit:.3g} is the limit", where=where, remedy=remedy)
        self.predicted_sd = predicted_sd
        self.limit = limit


class RunRepeated(QotError):
    """A run has the number of an earlier one under the same seed: the aggregator would see differences of its shares. Nothing was sent."""

    def __init__(self, run: int) -> None:
        super().__init__(f"run {run} has had its masks under this seed", where="opening", remedy="Count the runs on, or draw another seed.")
        self.run = run


class ValidationAbort(QotError):
    """Tested states or decoys show more errors than they may. Both sides drop the whole batch."""

    def __init__(self, found: float, threshold: float, *, where: str = "validation") -> None:
        super().__init__(
            f"{found:.3%} errors were found, {threshold:.3%} is the threshold. The batch is dropped", where=where, remedy="Look for noise, or an eavesdropper."
        )
        self.found = found
        self.threshold = threshold


class WrongPurity(ValidationAbort):
    """Measured in X, the states are not as coherent, or not as dephased, as agreed. Both sides drop the whole batch.

    found: share that passed.  threshold: the bound that it crossed.
    """

    def __init__(self, found: float, threshold: float) -> None:
        super().__init__(found, threshold)
        side = "at least" if found < threshold else "at most"
        self.message = f"{found:.3%} pass the X test, {side} {threshold:.3%} may. The batch is dropped"
        self.remedy = "Do not trust the dealer: he kept copies, prepared other states, or left out the twirl."


class UnevenStates(ValidationAbort):
    """Tested states favour some bits more than they may: a dealer who does so knows them. Both sides drop the whole batch."""

    def __init__(self, found: float, threshold: float) -> None:
        super().__init__(found, threshold)
        self.message = f"the states are uneven: a frequency is off by {found:.3%}, {threshold:.3%} is the threshold. The batch is dropped"
        self.remedy = "Do not trust the dealer, or agree on a wider bias limit for the device."


class QheError(HeliographError):
    """Root of the errors of homomorphic encryption."""


def kind_named(name: str) -> type[HeliographError]:
    """Return the class of the tree that has this name, its root where none has."""
    waiting: list[type[HeliographError]] = [HeliographError]
    while waiting:
        kind = waiting.pop()
        if kind.__name__ == name:
            return kind
        waiting += kind.__subclasses__()
    return HeliographError
