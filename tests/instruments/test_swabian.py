"""The Swabian adapter against a module with the vendor's names: every call and its order, and everything the device says about missing tags."""

import ast
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.acquisition.procedures.count_rates import CountRates
from heliograph.control.bench import Bench
from heliograph.core.entropy import SimRandom
from heliograph.core.errors import ConfigError, DependencyMissing, Disconnected, LimitError, NotMonotonic, ParameterError, Rejected, StreamMismatch, Timeout
from heliograph.instruments import roles, swabian
from heliograph.instruments.connect import connect
from heliograph.instruments.console import Console
from heliograph.instruments.event_stream import EventBatches, EventType
from heliograph.instruments.roles import Gap
from heliograph.instruments.station import Station, default_text
from heliograph.instruments.station_models import InstrumentEntry
from heliograph.mocks.lab import Lab
from heliograph.mocks.layout import Layout
from heliograph.mocks.time_tagger import ERROR, MISSED, TimeTaggerModule, Trouble
from heliograph.mocks.world import World
from heliograph.postprocess.procedures.key_exchange import KeyExchange

INPUTS = {1: "D1", 2: "D2", 3: "sync", 4: "frame"}
MAP = {"D1": 1, "D2": 2, "sync": 3, "frame": 4}


def station() -> Station:
    """The default bench with a Time Tagger in the place of the ID900."""
    lines = [line for line in default_text().decode().splitlines() if not line.startswith("tagger.")]
    new = [
        'tagger.wire = { role = "TagSource", driver = "SwabianTagger", resource = "swabian:2611", map = { D1 = 1, D2 = 2, sync = 3, frame = 4 } }',
        'tagger.rules.clock = "external"',
        'tagger.rules.inputs.D2 = { threshold = "-0.4 V", edge = "FALLING", delay = "3 ns" }',
        'tagger.rules.inputs.frame = { threshold = "0.5 V", edge = "RISING" }',
    ]
    at = lines.index("[optics]")
    return Station.parse("\n".join([*lines[:at], *new, *lines[at:]]).encode(), Path("lab.toml"))


def entry(**wire: Any) -> InstrumentEntry:
    given = {"role": "TagSource", "driver": "SwabianTagger", "resource": "swabian:2611", "map": MAP, **wire}
    inputs = {name: {"threshold": "-0.4 V", "edge": "FALLING"} for name in given["map"] if name in ("D1", "D2")}
    return InstrumentEntry.model_validate(
        {"wire": given, "rules": {"inputs": inputs | {"frame": {"threshold": "0.5 V", "edge": "RISING"}} if "frame" in given["map"] else inputs}}
    )


def module_of(monkeypatch: pytest.MonkeyPatch, **options: Any) -> TimeTaggerModule:
    found = TimeTaggerModule(World(Layout.of(station().plain())), INPUTS, **options)
    monkeypatch.setitem(sys.modules, "Swabian.TimeTagger", None)
    monkeypatch.setitem(sys.modules, "TimeTagger", found)
    return found


def opened(configured: InstrumentEntry | None = None) -> Any:
    configured = configured or entry()
    return closing(swabian.SwabianTagger.open("tagger", configured, configured.wire.addresses(), station="lab.toml"))


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> TimeTaggerModule:
    return module_of(monkeypatch)


@pytest.fixture(scope="module")
def bench() -> Iterator[tuple[Any, TimeTaggerModule]]:
    configured, patch = station(), pytest.MonkeyPatch()
    plain = configured.plain()
    # A real tagger has no place among the simulated devices; its tags come from their light all the same.
    lab = Lab(plain | {"instruments": {name: one for name, one in plain["instruments"].items() if name != "tagger"}})
    module = TimeTaggerModule(lab.world, INPUTS)
    patch.setitem(sys.modules, "Swabian.TimeTagger", None)
    patch.setitem(sys.modules, "TimeTagger", module)
    with lab.in_thread() as resources:
        own = configured.instruments["tagger"].wire.addresses()
        with connect(configured, lambda name: resources.get(name, own), home=True) as instruments:
            instruments.arm()
            yield instruments, module
    assert module.taken is None
    patch.undo()


def test_count_rates_and_tags_of_one_bench_agree(bench: tuple[Any, TimeTaggerModule]) -> None:
    instruments, _ = bench
    procedure = CountRates(duration_s=0.2, period_s=0.2)
    procedure.instruments = instruments
    procedure.check()
    procedure.startup()
    try:
        procedure.execute()
        batches = list(instruments["tagger"].record(0.2, 0.1))
    finally:
        procedure.shutdown()

    for number, rate_hz in ((1, procedure.result.d1_hz), (2, procedure.result.d2_hz)):
        tags = sum(int((batch.ch == number).sum()) for batch in batches)
        assert tags == pytest.approx(0.2 * rate_hz, rel=0.015)
    assert [batch.gaps for batch in batches] == [(), ()]


def test_a_recording_begins_with_the_frame_trigger_and_delays_are_in_the_tags(bench: tuple[Any, TimeTaggerModule]) -> None:
    instruments, _ = bench
    for _ in range(2):
        (batch,) = instruments["tagger"].record(0.05, 0.05)
        assert np.array_equal(batch.t_ps[batch.ch == 4], np.arange(500) * 100_000_000)
        assert np.array_equal(batch.t_ps[batch.ch == 3], np.arange(5000) * 10_000_000)
    assert instruments.snapshot()["tagger"]["D2_delay_ps"] == 3000
    assert instruments.wire_counts()["tagger"].received > 16 * 5500


@pytest.mark.slow
def test_a_key_exchange_aligns_with_it(bench: tuple[Any, TimeTaggerModule], tmp_path: Path) -> None:
    instruments, _ = bench
    exchange = KeyExchange(store=tmp_path / "store", source=SimRandom(1), pair="A-B", seconds=0.2)
    found = Bench(instruments.station, instruments, tmp_path / "runs").run(exchange, progress=lambda *_: None)

    assert found.summary["preamble"]["e_x"] < 0.03
    assert found.summary["preamble"]["e_y"] < 0.03


def test_every_call_comes_in_its_order_and_no_other(module: TimeTaggerModule) -> None:
    with opened(entry(map={"D1": 1, "sync": 3})) as tagger:
        tagger.configure_inputs()
        list(tagger.record(0.02, 0.02))
        tagger.test_signal(1, True)

    assert module.calls == [
        ("createTimeTagger", "2611"),
        ("setStreamBlockSize", 131_072, 20),
        ("setConditionalFilter", (), ()),
        ("setTestSignal", 1, False),
        ("setTriggerLevel", 1, -0.4),
        ("setInputDelay", -1, 0),
        ("setTestSignal", 3, False),
        ("setTriggerLevel", 3, 0.5),
        ("setInputDelay", 3, 0),
        ("TimeTagStream", 10_000_000, (-1, 3)),
        ("setTestSignal", 1, True),
        ("freeTimeTagger",),
    ]
    assert module.taken is None


def test_a_threshold_and_a_delay_are_one_call_each_at_the_edge_in_use(module: TimeTaggerModule) -> None:
    with opened(entry(map={"D1": 1, "sync": 3})) as tagger:
        with pytest.raises(ParameterError, match="input 1 was not set up"):
            tagger.set_delay_s(1, 2e-9)
        tagger.configure_inputs()
        before = len(module.calls)
        tagger.set_threshold_v(1, -0.3)
        tagger.set_delay_s(1, 2e-9)
        found = tagger.snapshot()
        assert "delay:1" not in tagger.accepted, "nothing reads back"
        for ask in (lambda: tagger.set_threshold_v(1, 2.6), lambda: tagger.set_delay_s(1, 2e-3)):
            with pytest.raises(LimitError):
                ask()

        assert module.calls[before:] == [("setTriggerLevel", 1, -0.3), ("setInputDelay", -1, 2000)]
        assert (found["D1_threshold_v"], found["D1_delay_ps"], found["D1_edge"]) == (-0.3, 2000, "FALLING")


def test_a_tagger_on_the_network_is_opened_at_its_server(module: TimeTaggerModule) -> None:
    with opened(entry(resource="swabian://10.0.0.9:41101")) as tagger:
        assert isinstance(tagger, roles.Instrument)
        assert tagger.identify() == roles.Identity("Swabian Instruments", "Time Tagger", "", "")

    assert module.calls[0] == ("createTimeTaggerNetwork", "10.0.0.9:41101")


def test_the_test_signal_shows_the_tagger_without_light(module: TimeTaggerModule) -> None:
    with opened() as tagger:
        tagger.configure_inputs()
        tagger.test_signal(1, True)
        (batch,) = tagger.record(0.02, 0.02)

    assert (batch.ch == 1).sum() == pytest.approx(20_000_000_000 / 1_200_000, abs=1)


def test_it_cannot_be_spoken_to_by_hand(module: TimeTaggerModule) -> None:
    with opened() as tagger:
        console = Console(tagger)
        for speak in (lambda: console.say("*IDN?"), lambda: console.say_bytes("0D"), console.listen):
            with pytest.raises(ParameterError, match="takes no text"):
                speak()


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Swabian", "Swabian.TimeTagger", "TimeTagger"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(DependencyMissing, match=r"pip install heliograph\[swabian\]"):
        opened()


def test_the_library_is_imported_nowhere_but_in_a_function() -> None:
    tree = ast.parse(Path(swabian.__file__).read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]

    assert not any("TimeTagger" in name or "Swabian" in name for name in names)


@pytest.mark.parametrize("resource", ["tcp://10.0.0.9:41101", "2611"])
def test_another_address_is_refused(module: TimeTaggerModule, resource: str) -> None:
    with pytest.raises(ConfigError, match="no address of a Time Tagger"):
        opened(entry(resource=resource))


def test_what_the_library_refuses_is_typed_and_names_the_instrument(module: TimeTaggerModule) -> None:
    with pytest.raises(Disconnected, match=r"tagger \(swabian:4711\): no Time Tagger '4711'"):
        opened(entry(resource="swabian:4711"))
    with opened(entry(map={"D1": 1, "sync": 9})) as tagger:
        with pytest.raises(Disconnected):
            opened()
        with pytest.raises(Rejected, match="channel 9 is not available"):
            tagger.configure_inputs()
        tagger.configure(1, -0.4, "FALLING", 0, True)
        tagger.start(0.02)
        module.taken = None
        with pytest.raises(Disconnected, match="freed"):
            tagger.read(1.0)
        module.taken = tagger.driver.tagger


@pytest.mark.parametrize(
    ("ch", "volts", "edge", "delay", "error"),
    [(0, 0.5, "RISING", 0, LimitError), (1, 3.0, "RISING", 0, LimitError), (1, 0.5, "UP", 0, ParameterError), (1, 0.5, "RISING", -1, LimitError)],
)
def test_what_cannot_be_is_refused_before_the_library_is_called(module: TimeTaggerModule, ch: int, volts: float, edge: Any, delay: int, error: Any) -> None:
    with opened() as tagger:
        before = len(module.calls)
        with pytest.raises(error):
            tagger.configure(ch, volts, edge, delay, True)
        with pytest.raises(ParameterError, match="no input was set up"):
            list(tagger.record(0.02, 0.02))

        assert module.calls[before:] == []


def test_a_stream_without_what_begins_or_fills_a_recording_is_a_timeout(module: TimeTaggerModule) -> None:
    module.inputs = {3: "sync"}
    with opened() as tagger:
        tagger.configure_inputs()
        tagger.start(0.02)
        with pytest.raises(Timeout, match="with which the recording could begin"):
            tagger.read(0.05)
        with pytest.raises(ParameterError, match="in progress"):
            tagger.start()
        assert not tagger.is_safe()
        assert tagger.to_safe().state == "CONFIRMED"
        with pytest.raises(StreamMismatch, match="was ended"):
            tagger.read(0.05)
        tagger.stop()
        with pytest.raises(ParameterError, match="no recording"):
            tagger.read(0.05)


def test_an_overflow_costs_its_tags_and_every_one_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(monkeypatch, troubles=[Trouble(31_000_000_000, 47_000_000_000), Trouble(55_000_000_000, 55_500_000_000, MISSED)])
    with opened() as tagger:
        tagger.configure_inputs()
        batches = list(tagger.record(0.1, 0.02))

    gaps = [gap for batch in batches for gap in batch.gaps]
    assert next(gap.reason for gap in gaps if gap.missed is not None) == "overflow"
    assert sum(gap.missed or 0 for gap in gaps) == module.lost > 1600
    # The recording begins with the first frame trigger behind the stream's late begin, 0.1 ms after the troubles' own time.
    covered = [(gap.t0_ps, gap.t1_ps) for gap in gaps if gap.reason == "overflow"]
    assert covered == [(30_900_000_000, 40_000_000_000), (40_000_000_000, 46_900_000_000)]
    for batch in batches:
        assert not any(((gap.t0_ps < batch.t_ps) & (batch.t_ps < gap.t1_ps)).any() for gap in batch.gaps if gap.reason == "overflow")


def test_a_recording_that_ends_early_has_told_everything_of_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(monkeypatch, troubles=[Trouble(5_000_000_000, 15_000_000_000), Trouble(61_000_000_000, 10**13)])
    with opened() as tagger:
        tagger.configure_inputs()
        recording, batches = tagger.record(1.0, 0.02), []
        for batch in recording:
            batches.append(batch)
            tagger.end()

        assert tagger.is_safe()
        (gap,) = batches[0].gaps
        assert gap.missed == module.lost > 900
        tagger.start(0.02)
        tagger.read(1.0)
        tagger.stop()
        assert len(list(tagger.record(0.02, 0.02))) == 1


def test_an_error_is_a_gap_back_to_the_last_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    module_of(monkeypatch, troubles=[Trouble(0, 5_004_000_000, ERROR)])
    with opened() as tagger:
        tagger.configure_inputs()
        (batch,) = tagger.record(0.02, 0.02)

    assert batch.gaps == (Gap(4_900_000_000, 4_904_000_000, "device-error"),)


def test_a_full_buffer_is_a_gap_to_the_next_one(module: TimeTaggerModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swabian, "BUFFER_EVENTS", 1000)
    with opened() as tagger:
        tagger.configure_inputs()
        (batch,) = tagger.record(0.04, 0.04)

    gap = batch.gaps[0]
    assert gap.reason == "buffer-full"
    assert gap.t1_ps - gap.t0_ps == pytest.approx(20_000_000_000 - 900 * 10_000_000, rel=0.2)


@st.composite
def events(draw: Any) -> tuple[np.ndarray, ...]:
    kinds = draw(st.lists(st.sampled_from([0, 0, 0, 0, 1, 2, 3, 4]), min_size=1, max_size=30))
    times = np.cumsum(draw(st.lists(st.integers(0, 40), min_size=len(kinds), max_size=len(kinds))))
    channels = draw(st.lists(st.sampled_from([-1, -2, 3, 4]), min_size=len(kinds), max_size=len(kinds)))
    missed = [draw(st.integers(1, 9)) if kind == EventType.MISSED else 0 for kind in kinds]
    return times + 1000, np.array(channels), np.array(kinds), np.array(missed)


@given(events(), st.lists(st.integers(0, 30), max_size=5), st.sampled_from([{"D1": 1, "D2": 2, "sync": 3}, MAP]))
def test_any_cutting_into_buffers_gives_the_same_batches(stream: Any, cuts: list[int], channels: dict[str, int]) -> None:
    def batches(places: list[int]) -> list[Any]:
        decoder = EventBatches(50, channels)
        found = [one for begin, end in zip([0, *places], [*places, len(stream[0])], strict=True) for one in decoder.feed(*(row[begin:end] for row in stream))]
        return [(one.seq, one.t_ps.tolist(), one.ch.tolist(), one.t_begin_ps, one.t_end_ps, one.gaps) for one in found]

    assert batches(sorted(min(cut, len(stream[0])) for cut in cuts)) == batches([])


@given(events(), st.integers(0, 30))
def test_no_gap_begins_before_a_batch_that_is_out(stream: Any, cut: int) -> None:
    decoder = EventBatches(50, MAP)
    for part in (slice(0, cut), slice(cut, None)):
        for batch in decoder.feed(*(row[part] for row in stream)):
            assert all(gap.t0_ps >= batch.t_begin_ps for gap in batch.gaps)


@given(events())
def test_no_missed_tag_is_counted_twice_or_forgotten_once_its_batch_is_out(stream: Any) -> None:
    times, channels, kinds, missed = stream
    # An overflow that goes on holds its batch back, so it is ended here, and the stream goes on for long.
    tail = (np.array([2**12, 2**13, 2**13]), np.array([3, 3, 3]), np.array([3, 0, 0]), np.array([0, 0, 0]))
    found = EventBatches(1000, {"D1": 1, "D2": 2, "sync": 3, "other": 4})
    found.feed([0], [1], [0], [0])
    batches = found.feed(*(np.concatenate([row, end]) for row, end in zip((times, channels, kinds, missed), tail, strict=True)))

    assert sum(gap.missed or 0 for batch in batches for gap in batch.gaps) == missed.sum()


def test_times_that_go_back_are_told() -> None:
    decoder = EventBatches(100, {"D1": 1})
    decoder.feed([10, 20], [1, 1], [0, 0], [0, 0])
    with pytest.raises(NotMonotonic):
        decoder.feed([15], [1], [0], [0])
    with pytest.raises(NotMonotonic):
        EventBatches(100, {"D1": 1}).feed([20, 10], [1, 1], [0, 0], [0, 0])
