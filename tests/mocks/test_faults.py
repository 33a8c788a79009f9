"""Scripts of faults: what may be written, what is refused, and that the same script gives the same bytes."""

from __future__ import annotations

import pytest

from heliograph.core.errors import ConfigError
from heliograph.mocks.devices.base import Reply
from heliograph.mocks.fault_kinds import KINDS
from heliograph.mocks.fault_links import EFFECTS, FaultyFeed, FaultyLink, Lines
from heliograph.mocks.faults import NAMES, Fault, Faults, read
from heliograph.mocks.randomness import Seeds

DRIVERS = {"laser": "KoherasBasik", "voa": "OzDD100", "awg": "Keysight81160A", "snspd": "WebSQ", "tagger": "ID900"}


class Echo:
    """Answers every line by itself, and knows when it was restarted."""

    def __init__(self) -> None:
        self.heard, self.restarts = b"", 0

    def feed(self, data: bytes) -> list[Reply]:
        self.heard += data
        *lines, self.heard = self.heard.split(b"\n")
        return [Reply(line + b"\n") for line in lines]

    def power_cycle(self) -> None:
        self.restarts += 1


def faulty(*faults: Fault, instrument: str = "awg", port: str = "resource", seed: int = 7) -> FaultyLink:
    echo = Echo()
    return FaultyLink(echo, Lines(Faults(faults), DRIVERS, Seeds(seed)).line(instrument, port, echo))


def replies(link: FaultyLink, *requests: bytes) -> list[bytes]:
    return [b"".join(reply.data for reply in link.feed(request)) for request in requests]


def test_every_fault_of_replies_has_an_effect():
    kinds = {name for name, kind in KINDS.items() if kind.layer == "reply"}
    assert kinds == {*EFFECTS, "power-cycle"}
    assert set(NAMES) == {f"{name}:NAME" if name in kinds else name for name in KINDS}


def test_the_other_name_of_a_fault_is_the_same_fault(tmp_path):
    script = tmp_path / "faults.toml"
    script.write_text('[[fault]]\nkind = "tag-overflow"\n')

    assert {*read(["tag-overflow", str(script)]), Fault("tag-overflow")} == {Fault("tagger-overflow")}
    assert Faults.parse(["tag-overflow"], ["tagger"]).has("tagger-overflow", "tagger")


def test_a_name_a_script_and_code_say_the_same(tmp_path):
    script = tmp_path / "faults.toml"
    script.write_text(
        '[[fault]]\nkind = "timeout"\ninstrument = "voa"\nat = 3\non = "A"\ntimes = 2\n'
        '[[fault]]\nkind = "stale"\ninstrument = "awg"\nrate = 0.004\ndelay = "250 ms"\n'
        '[[fault]]\nkind = "fibre-cut"\nuser = "A"\namount = "3 dB"\nafter = "1.5 s"\n'
    )

    found = read(["garbage:voa", str(script), Fault("nan", "awg").text(), Fault("dark", amount=10)])

    assert found == (
        Fault("garbage", "voa"),
        Fault("timeout", "voa", at=3, on="A", times=2),
        Fault("stale", "awg", rate=0.004, delay_s=0.25),
        Fault("fibre-cut", "A", amount=3.0, after_s=1.5),
        Fault("nan", "awg"),
        Fault("dark", amount=10),
    )


@pytest.mark.parametrize(
    "text",
    [
        "[[fault]]\ninstrument = 'voa'",
        "[[fault]]\nkind = 'nope'",
        "[[fault]]\nkind = 'timeout'\ninstrument = 'voa'\nwhen = 3",
        "[[fault]]\nkind = 'timeout'\ninstrument = 'voa'\nuser = 'A'",
        "[[fault]]\nkind = 'timeout'\ninstrument = 'voa'\nat = 0",
        "[[fault]]\nkind = 'timeout'\ninstrument = 'voa'\nat = 'three'",
        "[[fault]]\nkind = 'timeout'\ninstrument = 'voa'\nrate = 1.5",
        "[[fault]]\nkind = 'stale'\ninstrument = 'voa'\ndelay = 3",
        "[[fault]]\nkind = 'fibre-cut'\nuser = 'A'\namount = 3",
        "[[fault]]\nkind = 'intercept-resend'\namount = 1.5",
        "[[fault]]\nkind = 'dark'\nat = 3",
        "[fault]\nkind = 'dark'",
        "kind = 'dark'",
        "[[fault",
    ],
)
def test_a_script_that_cannot_be_is_refused_with_its_place(tmp_path, text):
    script = tmp_path / "faults.toml"
    script.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read([str(script)])
    assert caught.value.remedy


def test_a_script_that_is_not_there_an_unknown_instrument_and_a_needless_target_are_refused(tmp_path):
    with pytest.raises(ConfigError):
        read([str(tmp_path / "none.toml")])
    for name in ("timeout", "timeout:nobody", "voa-stuck:nobody", "mode-hop:voa"):
        with pytest.raises(ConfigError):
            Faults.parse([name], DRIVERS)


def test_a_fault_falls_on_the_replies_it_was_written_for():
    link = faulty(Fault("timeout", "awg", on="VOLT", at=2, times=2))

    assert replies(link, b"FREQ?\n", b"VOLT?\n", b"VOLT?\n", b"FREQ?\n", b"VOLT?\n", b"VOLT?\n") == [b"FREQ?\n", b"VOLT?\n", b"", b"FREQ?\n", b"", b"VOLT?\n"]


def test_a_request_may_be_known_by_the_bytes_it_holds():
    link = faulty(Fault("timeout", "awg", on="hex:3f30"))

    assert replies(link, b"a?0\n", b"a?1\n") == [b"", b"a?1\n"]


@pytest.mark.parametrize(
    ("kind", "given", "made"),
    [
        ("partial", b"12345\n", [b"123"]),
        ("trickle", b"ab\n", [b"a", b"b", b"\n"]),
        ("terminator", b"12.5\n", [b"12.5\r"]),
        ("glued", b"12.5\n", [b"12.5\n12.5\n"]),
        ("nan", b"+1.5E-3,M2\n", [b"NAN,M2\n"]),
        ("overflow", b"-12.5\n", [b"9.90E+37\n"]),
        ("text", b".5\n", [b"warm\n"]),
        ("empty", b"12.5\n", [b"\n"]),
        ("identity", b"Agilent,81160A,1,2\n", [b"Acme Instruments,M1,4711,1.0\n"]),
        ("identity", b"12.5\n", [b"12.5\n"]),
        ("error-queue", b"SYST:ERR?\n", [b'-222,"Data out of range"\n']),
        ("disconnect", b"12.5\n", [b""]),
        ("disconnect-in-block", b"12.5\n", [b"12"]),
    ],
)
def test_what_a_fault_makes_of_a_reply(kind, given, made):
    found = faulty(Fault(kind, "awg")).feed(given)

    assert [reply.data for reply in found] == made
    assert any(reply.close for reply in found) is kind.startswith("disconnect")


def test_a_stale_reply_comes_with_the_next_one_or_late():
    held, late = faulty(Fault("stale", "awg", times=1)), faulty(Fault("stale", "awg", times=1, delay_s=0.25))

    assert replies(held, b"1\n", b"2\n", b"3\n") == [b"", b"1\n2\n", b"3\n"]
    assert late.feed(b"1\n") == [Reply(b"1\n", 0.25)]


def test_a_block_sent_to_the_device_is_cut_in_its_middle():
    link = faulty(Fault("disconnect-in-block", "awg", on=":DATA", times=1))

    assert link.feed(b":DATA1:DAC #14abcd") == [Reply(b"", close=True)]
    assert replies(link, b"\n?\n")[0].endswith(b"?\n")


def test_a_power_cycle_restarts_the_device_and_loses_the_reply():
    echo = Echo()
    link = FaultyLink(echo, Lines(Faults((Fault("power-cycle", "awg", times=1),)), DRIVERS, Seeds(1)).line("awg", "resource", echo))

    assert replies(link, b"1\n", b"2\n") == [b"", b"2\n"]
    assert echo.restarts == 1


def test_a_fault_without_words_in_the_protocol_is_refused():
    lines = Lines(Faults(), DRIVERS, Seeds(1))
    for name, kind in (("laser", "nan"), ("voa", "busy"), ("snspd", "crc"), ("tagger", "partial"), ("tagger", "power-cycle"), ("awg", "unsolicited")):
        lines.line(name, "resource")
        with pytest.raises(ConfigError, match=kind):
            lines.inject(Fault(kind, name))
    with pytest.raises(ConfigError, match="counts"):
        lines.inject(Fault("timeout", "voa", port="counts"))


def test_the_same_seed_and_script_lose_the_same_replies_and_another_seed_others():
    requests = [b"%d\n" % k for k in range(400)]
    script = Fault("timeout", "awg", rate=0.1)

    first, again, other = (replies(faulty(script, seed=seed), *requests) for seed in (1, 1, 2))

    assert first == again != other
    assert 20 <= first.count(b"") <= 60


def test_a_second_fault_of_a_line_draws_numbers_of_its_own():
    requests = [b"%d\n" % k for k in range(400)]
    alone = replies(faulty(Fault("timeout", "awg", rate=0.1)), *requests)

    both = replies(faulty(Fault("timeout", "awg", rate=0.1), Fault("empty", "awg", rate=0.1)), *requests)

    assert [k for k, reply in enumerate(both) if not reply] == [k for k, reply in enumerate(alone) if not reply]


def test_a_feed_loses_lines_halves_and_its_connection():
    class Ticks:
        number = 0

        def due_ps(self) -> int:
            return 10 * self.number

        def line(self) -> bytes:
            self.number += 1
            return b"%d,100,200\n" % self.number

    script = (Fault("timeout", "snspd", "counts", at=2), Fault("disconnect-in-block", "snspd", "counts", at=3))
    feed = FaultyFeed(Ticks(), Lines(Faults(script), DRIVERS, Seeds(1)).line("snspd", "counts"))

    assert [feed.line() for _ in range(3)] == [b"1,100,200\n", b"", b"3,100"]
    assert feed.due_ps() == 30
    with pytest.raises(ConnectionAbortedError):
        feed.line()
