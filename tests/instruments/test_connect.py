"""A whole station on real transports: opened, identified, armed, and safe on every way out, read back from the devices."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.core.errors import (
    ArmRefused,
    ClockLost,
    DeviceFault,
    Disconnected,
    InstrumentLocked,
    LimitError,
    NotHomed,
    NotMonotonic,
    Overflow,
    ParameterError,
    StreamMismatch,
    Timeout,
    Tripped,
    WrongIdentity,
)
from heliograph.instruments import roles, tag_stream
from heliograph.instruments.connect import Instruments, connect
from heliograph.instruments.guard import safe
from heliograph.instruments.role_adapter import RoleAdapter
from heliograph.instruments.station import Station
from heliograph.instruments.wire.interbus import Register


@pytest.fixture
def station(station_text: str) -> Station:
    return Station.parse(station_text.encode(), Path("lab.toml"))


@pytest.fixture
def running(bench: Any, station: Station) -> Any:
    with connect(station, bench.addresses) as instruments:
        yield instruments


def assert_dark(bench: Any) -> None:
    assert bench.laser.registers[Register.EMISSION] == b"\0"
    assert bench.voa.db == 20.0
    assert bench.snspd.labels["BiasCurrent"] == [0.0, 0.0]
    assert bench.snspd.labels["DetectorEnable"] is False
    assert bench.awg.settings["OUTP1"] == bench.awg.settings["OUTP2"] == "0"


def light_up(instruments: Instruments) -> None:
    instruments.arm()
    instruments["awg"].output(1, True)


def test_every_adapter_has_its_role(running: Any) -> None:
    for name, role in {"laser": "Laser", "voa": "Attenuator", "awg": "WaveformSource", "snspd": "PhotonDetector", "tagger": "TagSource"}.items():
        assert isinstance(running[name], getattr(roles, role))


def test_opening_makes_the_bench_safe(bench: Any, running: Any) -> None:
    assert_dark(bench)
    assert all(instrument.is_safe() for instrument in running.values())


def test_arming_closes_the_attenuators_then_biases_then_lights(bench: Any, running: Any) -> None:
    running["voa"].attenuation_db = 1.0

    running.arm()

    assert bench.voa.db == 20.0
    assert bench.snspd.labels["BiasCurrent"] == [18.0, 18.0]
    assert bench.laser.registers[Register.POWER_SET] == (1000).to_bytes(2, "little")
    assert running["laser"].emission
    assert not running["laser"].is_safe()


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_every_way_out_leaves_the_devices_safe(bench: Any, station: Station, error: type[BaseException] | None) -> None:
    def work() -> None:
        with connect(station, bench.addresses) as instruments:
            light_up(instruments)
            instruments["voa"].attenuation_db = 5.0
            if error:
                raise error

    if error:
        with pytest.raises(error) as caught:
            work()
        assert getattr(caught.value, "__notes__", []) == (["the bench was made safe"] if error is KeyboardInterrupt else [])
    else:
        work()

    assert_dark(bench)


def test_a_laser_that_refuses_ends_safe_with_its_cause(bench: Any, running: Any) -> None:
    bench.laser.obeys = False

    with pytest.raises(DeviceFault, match=r"laser \(ASRL.*reads back otherwise"):
        running.arm()

    assert bench.snspd.labels["BiasCurrent"] == [0.0, 0.0]


def test_an_open_interlock_refuses_arming(bench: Any, running: Any) -> None:
    bench.laser.registers[Register.STATUS] = b"\x02\x00"

    with pytest.raises(ArmRefused, match="interlock"):
        running.arm()

    assert bench.snspd.labels["DetectorEnable"] is False
    assert running["laser"].faults == ("interlock open",)


def test_a_dead_device_does_not_keep_the_others_from_becoming_safe(bench: Any, station: Station) -> None:
    def work() -> None:
        with connect(station, bench.addresses) as instruments:
            light_up(instruments)
            bench.laser_port.close()

    with pytest.raises(DeviceFault, match="laser FAILED"):
        work()

    assert bench.snspd.labels["BiasCurrent"] == [0.0, 0.0]
    assert bench.voa.db == 20.0


def test_a_second_opener_is_told_who_holds_the_instrument(bench: Any, running: Any, station: Station) -> None:
    with pytest.raises(InstrumentLocked, match=f"process {os.getpid()} holds"):
        connect(station, bench.addresses)


@pytest.mark.parametrize("error", [KeyboardInterrupt, Disconnected("gone")])
def test_a_port_is_closed_when_its_identification_is_cut_short(bench: Any, station: Station, monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    asked: list[Any] = []

    def interrupted(adapter: Any) -> None:
        asked.append(adapter)
        raise error

    monkeypatch.setattr(RoleAdapter, "check_identity", interrupted)

    with pytest.raises((KeyboardInterrupt, Disconnected)) as caught:
        connect(station, bench.addresses)

    assert not hasattr(caught.value, "__notes__"), "nothing was open yet"
    (tagger,) = asked
    assert tagger.name == "tagger"
    assert tagger.driver.adapter.connection.closed
    assert tagger.driver.datalink.connection.closed


def test_the_data_link_is_closed_even_if_the_control_link_does_not_close(bench: Any, running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tagger = running["tagger"]
    closed = []
    with monkeypatch.context() as patched:
        patched.setattr(tagger.driver.adapter, "close", lambda: (_ for _ in ()).throw(OSError("no")))
        patched.setattr(tagger.driver.datalink, "close", lambda: closed.append("data link"))

        with pytest.raises(OSError, match="no"):
            tagger.close()

    assert closed == ["data link"]


def test_another_device_at_the_address_is_refused_and_everything_closed(bench: Any, station: Station) -> None:
    bench.laser.registers[Register.TYPE] = b"\x34"
    with pytest.raises(WrongIdentity, match="0x34"):
        connect(station, bench.addresses)

    bench.laser.registers[Register.TYPE] = b"\x33"
    with connect(station, bench.addresses) as instruments:
        assert len(instruments) == 5


def test_older_tagger_firmware_is_refused_by_name(bench: Any, station: Station) -> None:
    bench.tagger.older = True

    with pytest.raises(WrongIdentity, match="INPO, TSGE"):
        connect(station, bench.addresses)


def test_a_closed_tagger_port_is_a_timeout_that_names_it(bench: Any, station: Station) -> None:
    addresses = {name: bench.addresses(name) for name in station.instruments}
    addresses["tagger"] = {**addresses["tagger"], "resource": "tcp://127.0.0.1:9"}

    with pytest.raises(Timeout, match=r"tagger \(tcp://127\.0\.0\.1:9\)"):
        connect(station, addresses.__getitem__)


def test_an_attenuator_without_position_is_homed_when_asked(bench: Any, station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.voa.homed = False
    with monkeypatch.context() as hurried, pytest.raises(DeviceFault, match="does not know its position|not homed"):
        hurried.setattr(safe, "DEADLINE_S", 0.5)
        connect(station, bench.addresses)

    with connect(station, bench.addresses, home=True) as instruments:
        assert instruments["voa"].homed
        bench.voa.homed = False
        with pytest.raises(NotHomed):
            instruments["voa"].attenuation_db = 3.0
        instruments["voa"].home()


def test_the_snapshot_describes_every_instrument_and_no_sample(bench: Any, running: Any) -> None:
    running["awg"].load(1, [0.5, 1.0], 1e9)

    found = running.snapshot()

    assert found["laser"]["wavelength_m"] == pytest.approx(1550.12e-9)
    assert found["snspd"]["simulated"] is True
    assert found["awg"]["ch1_waveform_points"] == 2
    assert len(str(found["awg"]["ch1_waveform_salted_sha256"])) == 64
    assert found["tagger"]["clock"] == "internal"
    assert found["voa"]["max_db"] == 20.0


def test_bytes_are_counted_on_the_drivers_side(running: Any) -> None:
    before = running.wire_counts()

    running["voa"].measured_db  # noqa: B018

    after = running.wire_counts()
    assert after["voa"].sent - before["voa"].sent == len("D\r")
    assert after["voa"].received - before["voa"].received == pytest.approx(len("DPos:1\r\nATTEN:20.00\r\nDone\r\n"), abs=2)
    assert all(count.sent > 0 and count.received > 0 for count in after.values())


@pytest.mark.parametrize("value", [25.0, 0.5, float("nan"), float("inf"), True, "3"])
def test_a_limit_error_says_what_is_allowed_and_nothing_is_sent(running: Any, value: Any) -> None:
    running["voa"].range_db  # noqa: B018
    before = running.wire_counts()["voa"]

    with pytest.raises(LimitError) as caught:
        running["voa"].attenuation_db = value

    assert running.wire_counts()["voa"] == before
    if value == 25.0:
        assert str(caught.value) == "voa: 25.00 dB asked, range 0.80 to 20.00 dB (station limit in lab.toml). Nothing was sent."


def test_limits_hold_for_power_bias_and_volts(bench: Any, running: Any) -> None:
    with pytest.raises(LimitError, match=r"16 mW asked, range 0 to 15 mW"):
        running["laser"].power_setpoint_w = 16e-3
    with pytest.raises(LimitError, match=r"1 µW asked, less than the laser's step of 10 µW"):
        running["laser"].power_setpoint_w = 1e-6
    with pytest.raises(LimitError, match="25 µA"):
        running["snspd"].set_bias(1, 26e-6)
    with pytest.raises(LimitError, match=r"2\.5 V"):
        running["awg"].load(1, [2.6, 0.0], 1e9)
    with pytest.raises(LimitError):
        running["awg"].load(1, [float("nan")], 1e9)
    assert not bench.awg.blocks


def test_a_waveform_is_loaded_behind_its_limits(bench: Any, running: Any) -> None:
    loaded = running["awg"].load(1, np.array([0.0, 1.25, 2.5, -2.5]), 1e9)

    assert loaded == roles.Loaded(1e9, 2.5 / 8191, 4)
    assert bench.awg.blocks[":DATA1:DAC VOLATILE,"] == bytes.fromhex("00001000 1fffe001")
    assert bench.awg.settings[":VOLT1:LIM:HIGH"] == "2.500000"
    assert bench.awg.settings[":FREQ1"] == "250000000.000000"
    assert bench.awg.settings[":VOLT1"] == "5.000000"
    assert bench.awg.commands.index(":VOLT1:LIM:STAT 1") < bench.awg.commands.index(":DATA1:DAC VOLATILE,")


def test_an_offset_is_set_and_read_back(running: Any) -> None:
    running["awg"].set_offset_v(2, 0.5)

    assert running["awg"].offset_v(2) == 0.5


def test_a_bias_is_set_for_one_detector(bench: Any, running: Any) -> None:
    running["snspd"].set_bias(2, 15e-6)

    assert bench.snspd.labels["BiasCurrent"] == [0.0, 15.0]
    assert running["snspd"].bias(2) == pytest.approx(15e-6)
    assert running["snspd"].threshold_v(1) == pytest.approx(0.1)


def test_counts_come_per_channel(running: Any) -> None:
    counts = running["snspd"].counts(0.1)

    assert counts.n.tolist() == [1000, 2000]
    assert counts.t_ns == 1_500_000_000


def test_a_period_is_the_one_the_device_was_set_to(bench: Any, running: Any) -> None:
    counts = running["snspd"].counts(0.0125)

    assert bench.snspd.labels["InptMeasurementPeriod"] == 12
    assert counts.period_s == 0.012


def test_the_limit_holds_for_the_period_that_was_set(bench: Any, running: Any) -> None:
    bench.counts_port._greeting = b"1.5,1000,12400\n"

    with pytest.raises(Tripped, match=r"1\.033 MHz is above the limit of 800 kHz"):
        running["snspd"].counts(0.0125)


def test_a_rate_above_the_limit_makes_the_whole_bench_safe(bench: Any, running: Any) -> None:
    running.arm()
    bench.counts_port._greeting = b"1.5,1000,200000\n"

    with pytest.raises(Tripped, match=r"2 MHz is above the limit of 800 kHz; the bench was made safe"):
        running["snspd"].counts(0.1)

    assert_dark(bench)


def test_lost_telegrams_are_sent_again(bench: Any, running: Any) -> None:
    bench.laser.drop = 1

    assert running["laser"].power_w == pytest.approx(0.01)
    assert running["laser"].driver.resent == 1


def test_a_late_answer_is_never_taken_for_the_next_question(bench: Any, running: Any) -> None:
    awg = running["awg"]
    awg.set_offset_v(1, 0.25)
    awg.driver.adapter.timeout_s = 0.2
    bench.awg.postpone = True

    with pytest.raises(Timeout, match="awg"):
        awg.offset_v(1)

    assert awg.output_is_on(1) is False
    assert awg.offset_v(1) == 0.25
    assert awg.driver.adapter.stale == 1


def test_a_silent_attenuator_is_a_timeout_and_the_next_answer_is_its_own(bench: Any, running: Any) -> None:
    bench.voa.mute = 1

    with pytest.raises(Timeout, match="voa"):
        running["voa"].measured_db  # noqa: B018

    assert running["voa"].measured_db == 20.0


@pytest.mark.parametrize(("name", "attribute"), [("laser", "power_w"), ("voa", "measured_db"), ("snspd", "enabled")])
def test_a_dead_link_is_disconnected(bench: Any, station: Station, monkeypatch: pytest.MonkeyPatch, name: str, attribute: str) -> None:
    instruments = connect(station, bench.addresses)
    monkeypatch.setattr(safe, "DEADLINE_S", 1.0)
    getattr(bench, f"{name}_port").close()

    with pytest.raises(Disconnected, match=name):
        getattr(instruments[name], attribute)

    assert [report.name for report in instruments.close() if report.state == "FAILED"] == [name]


def test_a_dead_generator_is_noticed_within_its_budget(bench: Any, station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    instruments = connect(station, bench.addresses)
    monkeypatch.setattr(safe, "DEADLINE_S", 0.5)
    bench.awg_port.close()
    begin = time.monotonic()

    with pytest.raises((Disconnected, Timeout), match="awg"):
        instruments["awg"].offset_v(1)

    assert time.monotonic() - begin < 4.0
    instruments.close()


def test_inputs_are_set_up_as_the_station_says(bench: Any, station_text: str) -> None:
    inputs = 'tagger.rules.inputs = { D2 = { threshold = "-250 mV", edge = "FALLING", delay = "1.5 ns" }, sync = { threshold = "1 V", edge = "RISING" } }\n'
    station = Station.parse(station_text.replace("awg.wire", inputs + "awg.wire", 1).encode(), Path("lab.toml"))

    with connect(station, bench.addresses) as instruments:
        found = instruments.snapshot()["tagger"]

    assert [found[f"{name}_threshold_v"] for name in ("D1", "D2", "sync")] == [-0.4, -0.25, 1.0]
    assert [found[f"{name}_edge"] for name in ("D1", "D2", "sync")] == ["FALLING", "FALLING", "RISING"]
    assert [found[f"{name}_delay_ps"] for name in ("D1", "D2", "sync")] == [0, 1500, 0]
    assert all(found[f"{name}_enabled"] for name in ("D1", "D2", "sync"))


def test_inputs_that_the_station_leaves_out_take_negative_clicks_and_a_positive_sync(bench: Any, running: Any) -> None:
    assert [bench.tagger.settings[f"INPU{ch}", "THRE"] for ch in (1, 2, 3)] == ["-0.4V", "-0.4V", "0.5V"]
    assert [bench.tagger.settings[f"INPU{ch}", "EDGE"] for ch in (1, 2, 3)] == ["FALLING", "FALLING", "RISING"]


def test_an_input_beyond_the_devices_range_does_not_open_the_bench(bench: Any, station_text: str) -> None:
    inputs = 'tagger.rules.inputs = { D1 = { threshold = "-3 V", edge = "FALLING" } }\n'
    station = Station.parse(station_text.replace("awg.wire", inputs + "awg.wire", 1).encode(), Path("lab.toml"))

    with pytest.raises(LimitError, match=r"tagger: -3 V asked"):
        connect(station, bench.addresses)


def test_an_external_reference_needs_the_taggers_external_clock(bench: Any, station_text: str) -> None:
    external = station_text.replace('rep_rate = "100 MHz"', 'rep_rate = "100 MHz", reference = "external 10 MHz"')
    station = Station.parse(external.encode(), Path("lab.toml"))

    with pytest.raises(ClockLost, match=r"tagger: the station's clock reference is 'external 10 MHz', the tagger runs on its own clock"):
        connect(station, bench.addresses)

    bench.tagger.settings["DEVI", "SYNC"] = "EXT"
    with connect(station, bench.addresses) as instruments:
        assert instruments["tagger"].clock == "external"


def test_an_input_is_configured_and_read_back(bench: Any, running: Any) -> None:
    running["tagger"].configure(1, -0.4, "FALLING", 1500, True)

    assert bench.tagger.settings["DELA1", "VALU"] == "1500"
    assert bench.tagger.settings["TSCO1", "WIND", "ENAB"] == "OFF"
    for wrong in ((1, 3.0, "FALLING", 0), (1, 0.1, "FALLING", -1), (9, 0.1, "FALLING", 0), (1, 0.1, "BOTH", 0)):
        with pytest.raises((LimitError, ParameterError)):
            running["tagger"].configure(*wrong, True)


def test_a_delay_and_a_threshold_are_one_command_each_and_read_back(bench: Any, running: Any) -> None:
    sent = len(bench.tagger.commands)
    running["tagger"].set_delay_s(2, 1.5e-9)
    running["tagger"].set_threshold_v(2, -0.25)

    assert bench.tagger.commands[sent:] == ["DELA2:VALU 1500", "DELA2:VALU?", "INPU2:THRE -0.25V", "INPU2:THRE?"]


def test_a_recording_gives_one_batch_a_sub_acquisition_and_its_dead_time(bench: Any, running: Any) -> None:
    batches = list(running["tagger"].record(0.6))

    assert [batch.seq for batch in batches] == [0, 1, 2]
    period = 200_000_040_000
    second = batches[1]
    assert (second.t_begin_ps, second.t_end_ps) == (period, period + 200_000_000_000)
    assert second.gaps == (roles.Gap(period + 200_000_000_000, 2 * period, "dead-time"),)
    assert second.t_ps.tolist() == [period + t for t in (10, 10, 10, 1010, 1010, 2010)]
    assert second.ch.tolist() == [1, 2, 3, 2, 3, 3]
    assert "REC:NUM 3" in bench.tagger.commands
    assert bench.tagger.commands[-1] == "stop --id 1"


def test_a_sub_acquisition_without_events_is_data(bench: Any, running: Any) -> None:
    bench.tagger.batches[1][1] = np.empty(0, np.int64)

    batches = list(running["tagger"].record(0.6))

    assert 1 not in batches[1].ch
    assert 1 in batches[2].ch


def test_a_port_that_is_taken_is_replaced_by_another(bench: Any, running: Any) -> None:
    bench.tagger.refuse_ports = 2

    assert len(list(running["tagger"].record(0.2))) == 1


def test_a_recording_given_up_early_is_ended_on_the_device(bench: Any, running: Any) -> None:
    recording = running["tagger"].record(0.6)
    next(recording)

    recording.close()

    assert bench.tagger.commands[-1].startswith("stop --id")
    assert not bench.tagger._streams
    assert len(list(running["tagger"].record(0.6))) == 3


def test_an_endless_recording_is_started_read_and_stopped(bench: Any, running: Any) -> None:
    tagger = running["tagger"]
    tagger.start()
    with pytest.raises(ParameterError):
        tagger.start()

    assert tagger.read(1.0).seq == 0
    assert tagger.read(1.0).seq == 1
    tagger.stop()

    assert "REC:NUM INF" in bench.tagger.commands
    assert tagger.is_safe()


def test_events_that_the_device_lost_are_a_gap_and_an_overflow(bench: Any, running: Any) -> None:
    bench.tagger.lost = 7
    batches: list[roles.TagBatch] = []

    with pytest.raises(Overflow, match="21 events are lost"):
        batches.extend(running["tagger"].record(0.6))
    recording = running["tagger"].record(0.6)
    seen = []
    with pytest.raises(Overflow):
        for batch in recording:
            seen.append(batch)  # noqa: PERF402

    assert seen[-1].gaps == (roles.Gap(0, 3 * 200_000_040_000, "device-error", 21),)
    assert seen[-1].t_ps.size == 0


def test_a_recording_that_is_closed_early_is_asked_what_it_lost(bench: Any, running: Any) -> None:
    recording = running["tagger"].record(0.6)
    next(recording)
    bench.tagger.lost = 7

    with pytest.raises(Overflow, match="21 events are lost"):
        recording.close()

    assert not bench.tagger._streams
    bench.tagger.lost = 0
    assert len(list(running["tagger"].record(0.6))) == 3


@pytest.mark.parametrize("read", [1, 2])
def test_a_recording_that_is_ended_early_tells_its_gap_before_it_raises(bench: Any, running: Any, read: int) -> None:
    recording = running["tagger"].record(0.6)
    for _ in range(read):
        next(recording)
    bench.tagger.lost = 7

    running["tagger"].end()

    last = next(recording)
    assert last.gaps == (roles.Gap(0, read * 200_000_040_000, "device-error", 21),)
    with pytest.raises(Overflow):
        next(recording)
    assert not bench.tagger._streams


def test_a_recording_that_is_ended_early_and_lost_nothing_just_ends(bench: Any, running: Any) -> None:
    tagger = running["tagger"]
    recording = tagger.record(0.6)
    next(recording)
    tagger.end()

    assert list(recording) == []

    asked = bench.tagger.commands[bench.tagger.commands.index("REC:PLAY") :]
    assert [command for command in asked if command.startswith(("status", "RAW1:ERR"))] == ["status --id 1", "RAW1:ERRORS?", "status --id 2", "status --id 3"]
    assert len(list(tagger.record(0.6))) == 3


def test_a_recording_that_is_given_up_is_not_asked(bench: Any, running: Any) -> None:
    recording = running["tagger"].record(0.6)
    next(recording)
    bench.tagger.lost = 7

    running["tagger"].abandon()
    recording.close()

    assert not [command for command in bench.tagger.commands if command.startswith("status")]
    assert not bench.tagger._streams


def test_an_endless_recording_that_lost_something_says_so_when_it_is_stopped(bench: Any, running: Any) -> None:
    tagger = running["tagger"]
    tagger.start()
    tagger.read(1.0)
    bench.tagger.lost = 7
    with pytest.raises(Overflow, match="21 events"):
        tagger.stop()
    tagger.stop()
    bench.tagger.lost, bench.tagger.extra = 0, 1

    tagger.start()
    tagger.read(1.0)
    with pytest.raises(StreamMismatch, match="were sent"):
        tagger.stop()
    assert tagger.is_safe()
    assert not bench.tagger._streams


def test_a_device_that_does_not_say_what_it_lost_is_a_timeout(bench: Any, running: Any) -> None:
    running["tagger"].start()
    running["tagger"].read(1.0)
    bench.tagger.silent = True

    with pytest.raises(Timeout, match="tagger"):
        running["tagger"].stop()
    bench.tagger.silent = False
    running["tagger"].start()
    running["tagger"].stop()


def test_a_recording_that_failed_has_ended_and_stopping_it_says_no_more(bench: Any, running: Any) -> None:
    tagger, bench.tagger.lost = running["tagger"], 7
    bench.tagger.batches[2][1] = np.array([5, 3])
    tagger.start()
    tagger.read(1.0)
    with pytest.raises(NotMonotonic):
        tagger.read(1.0)

    with pytest.raises(StreamMismatch, match="was ended after 1"):
        tagger.read(1.0)
    tagger.stop()

    assert not bench.tagger._streams


def test_reading_behind_a_stop_is_a_mismatch(running: Any) -> None:
    recording = running["tagger"].record(0.6)
    next(recording)
    running["tagger"].stop()

    with pytest.raises(StreamMismatch, match="was ended after 1"):
        next(recording)


def test_the_end_of_an_older_recording_leaves_a_newer_one_alone(running: Any) -> None:
    recording = running["tagger"].record(0.6)
    next(recording)
    running["tagger"].stop()
    running["tagger"].start()

    recording.close()

    assert running["tagger"].read(1.0).seq == 0
    running["tagger"].stop()


def test_a_channel_that_comes_late_is_waited_for_by_the_others(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, late = tag_stream.Recording._message, [True]

    def message(recording: Any, channel: int, deadline: float) -> Any:
        if channel == 2 and late and late.pop():
            raise Timeout("no tags of channel 2")
        return whole(recording, channel, deadline)

    monkeypatch.setattr(tag_stream.Recording, "_message", message)
    running["tagger"].start()
    with pytest.raises(Timeout):
        running["tagger"].read(1.0)

    assert running["tagger"].read(1.0).t_ps.tolist() == [0, 0, 0, 1000, 1000, 2000]
    running["tagger"].stop()


def test_a_device_that_counted_more_than_arrived_is_a_mismatch(bench: Any, running: Any) -> None:
    bench.tagger.extra = 1

    with pytest.raises(StreamMismatch, match="were sent"):
        list(running["tagger"].record(0.6))


def test_a_recording_that_ends_too_soon_is_a_mismatch(bench: Any, running: Any) -> None:
    bench.tagger.withhold = 1

    with pytest.raises(StreamMismatch, match="ended after 2"):
        list(running["tagger"].record(0.6))


def test_a_tagger_that_falls_silent_is_a_timeout(bench: Any, running: Any) -> None:
    recording = running["tagger"].record(0.6)
    bench.tagger.withhold = 2
    next(recording)
    bench.tagger.silent = True

    with pytest.raises(Timeout, match="tagger"):
        next(recording)
    bench.tagger.silent = False


def test_a_sub_acquisition_below_the_devices_shortest_is_refused(running: Any) -> None:
    with pytest.raises(LimitError):
        running["tagger"].record(1.0, 0.1)


def test_the_room_is_light_and_works_without_zmq() -> None:
    code = (
        "import sys; sys.modules['zmq'] = None; import heliograph.instruments, heliograph.instruments.wire, heliograph.instruments.station;"
        "assert not {'pymeasure', 'pyvisa', 'serial', 'scipy'} & set(sys.modules);"
        "import heliograph.instruments.connect, heliograph.instruments.tag_sources"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False, capture_output=True).returncode == 0


def test_numbers_of_numpy_are_numbers(bench: Any, running: Any) -> None:
    running["voa"].attenuation_db = np.float32(5.5)
    running["voa"].attenuation_db = np.int64(6)

    assert bench.voa.db == 6.0
