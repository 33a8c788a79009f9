"""The ID900 driver, command by command."""

import pytest
from pymeasure.adapters.protocol import ProtocolAdapter
from pymeasure.test import expected_protocol

from heliograph.core.errors import BadReply, Rejected
from heliograph.instruments.idq import ID900

OK = "Value set to 1"


@pytest.mark.parametrize(
    ("attribute", "question", "answer", "value"),
    [
        ("enabled", "INPU1:ENAB?", "ON", True),
        ("enabled", "INPU1:ENAB?", "OFF", False),
        ("threshold_v", "INPU1:THRE?", "-0.4V", -0.4),
        ("edge", "INPU1:EDGE?", "FALLING", "FALLING"),
        ("delay_ps", "DELA1:VALU?", "1000TB", 1000),
        ("counter", "INPU1:COUN?", "12345", 12345),
        ("lost", "RAW1:ERRORS?", "0", 0),
    ],
)
def test_every_property_of_an_input_is_read(attribute: str, question: str, answer: str, value: object) -> None:
    with expected_protocol(ID900, [(question, answer)]) as tagger:
        assert getattr(tagger.inputs[1], attribute) == value


@pytest.mark.parametrize(
    ("attribute", "value", "command"),
    [
        ("enabled", True, "INPU2:ENAB ON"),
        ("enabled", False, "INPU2:ENAB OFF"),
        ("threshold_v", -0.4, "INPU2:THRE -0.4V"),
        ("edge", "RISING", "INPU2:EDGE RISING"),
        ("delay_ps", 1000, "DELA2:VALU 1000"),
    ],
)
def test_every_property_of_an_input_is_written_and_its_answer_taken(attribute: str, value: object, command: str) -> None:
    with expected_protocol(ID900, [(command, OK)]) as tagger:
        setattr(tagger.inputs[2], attribute, value)


def test_an_input_is_set_up_as_the_manual_shows() -> None:
    pairs = [
        ("INPU1:ENAB ON;THRE -0.4V;COUP DC;EDGE FALLING;SELE UNSHAPED", OK),
        ("DELA1:VALU 1500;LINK INPU1", OK),
        ("TSCO1:FIR:LINK DELA1;OPIN ONLYFIR;OPOU ONLYFIR;WIND:ENAB OFF", OK),
    ]
    with expected_protocol(ID900, pairs) as tagger:
        tagger.inputs[1].set_up(-0.4, "FALLING", 1500)


def test_a_recording_is_armed_played_and_halted() -> None:
    commands = ["REC:TRIG:ARM:MODE MANUal", "REC:ENABle ON", "REC:STOP", "REC:NUM 25", "REC:PWID 200000000000;PPER 200000040000", "REC:PLAY", "REC:STOP"]
    with expected_protocol(ID900, [*((command, OK) for command in commands), ("REC:STAGe?", "playing")]) as tagger:
        tagger.arm(25, 200_000_000_000, 200_000_040_000)
        tagger.play()
        tagger.halt()
        assert tagger.stage == "PLAYING"


def test_a_stream_is_linked_cleared_and_sent() -> None:
    commands = ["RAW3:REF:LINK NONE", "RAW3:STOP:LINK TSCO3", "RAW3:ERRORS:CLEAR", "RAW3:SEND ON", "RAW3:SEND OFF"]
    with expected_protocol(ID900, [(command, OK) for command in commands]) as tagger:
        line = tagger.inputs[3]
        line.link_stream()
        line.clear_lost()
        line.send(True)
        line.send(False)


def test_the_data_link_is_asked_for_streams() -> None:
    service = ProtocolAdapter(
        [
            ("start-stream --address 10.0.0.7 --channel 1 --stream-port 4242", '{"id": "9"}'),
            ("status --id 9", '{"id": "9", "acquisitions_count": 25, "timestamps_count": 1000}'),
            ("stop --id 9", '{"id": "9"}'),
            ("status --id 9", '{"error": "no such stream"}'),
            ("status --id 9", "garbage"),
        ]
    )
    with expected_protocol(ID900, [], datalink=service) as tagger:
        assert tagger.start_stream("10.0.0.7", 1, 4242) == "9"
        assert tagger.stream_counts("9") == (25, 1000)
        tagger.stop_stream("9")
        with pytest.raises(Rejected, match="no such stream"):
            tagger.stream_counts("9")
        with pytest.raises(BadReply):
            tagger.stream_counts("9")


def test_identity_reference_and_command_set() -> None:
    pairs = [("*IDN?", "ID Quantique,ID900,T1,1.12"), ("DEVI:SYNC?", "ext"), ("TSCO1:FIR:LINK?", "NONE"), ("TSCO1:FIR:LINK?", "Error: undefined header")]
    with expected_protocol(ID900, pairs) as tagger:
        assert tagger.identity()[1] == "ID900"
        assert tagger.reference == "EXT"
        assert tagger.knows_combiners()
        assert not tagger.knows_combiners()


def test_a_refused_command_is_rejected() -> None:
    with expected_protocol(ID900, [("REC:PLAY", "Error: not enabled")]) as tagger, pytest.raises(Rejected, match="not enabled"):
        tagger.play()


@pytest.mark.parametrize("attribute", ["threshold_v", "delay_ps", "counter", "lost"])
def test_garbage_is_a_bad_reply(attribute: str) -> None:
    questions = {"threshold_v": "INPU1:THRE?", "delay_ps": "DELA1:VALU?", "counter": "INPU1:COUN?", "lost": "RAW1:ERRORS?"}
    with expected_protocol(ID900, [(questions[attribute], "@#!")]) as tagger, pytest.raises(BadReply):
        getattr(tagger.inputs[1], attribute)
