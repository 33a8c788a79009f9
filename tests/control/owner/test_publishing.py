"""What an owner publishes: the latest state, and every event."""

import threading

import pytest

from heliograph.control.owner.publishing import Topics
from heliograph.control.queueing.jobs import RunState
from heliograph.control.topics import MOST_EVENTS, Mailbox, QueueRow


def bodies(messages, topic):
    return [message.body for message in messages if message.topic == topic]


def test_a_subscriber_gets_the_present_state_and_then_only_the_latest():
    topics = Topics()
    topics.publish("safety", 1)
    box = topics.subscribe(["safety", "queue"])
    assert bodies(box.take(), "safety") == [1]

    topics.publish("safety", 2)
    topics.publish("safety", 3)
    topics.publish("row", {"not": "asked for"})

    assert [(message.topic, message.body) for message in box.take()] == [("safety", 3)]
    assert box.take() == []
    assert topics.latest("safety") == 3


def test_every_event_arrives_in_order_and_those_beyond_the_room_are_counted():
    topics = Topics()
    box = topics.subscribe(["event"])
    for number in range(MOST_EVENTS + 5):
        topics.event("info", "bench", str(number))

    texts = [event.text for event in bodies(box.take(), "event")]

    assert texts[:3] == ["0", "1", "2"]
    assert len(texts) == MOST_EVENTS + 1
    assert texts[-1].startswith("5 events more")


def test_who_left_is_told_nothing():
    topics = Topics()
    box = topics.subscribe(["event", "safety"])
    topics.unsubscribe(box)
    topics.event("info", "bench", "nobody hears")
    topics.publish("safety", 1)
    assert box.take() == []


@pytest.mark.parametrize(
    ("state", "on", "over", "measures"),
    [
        ("queued", False, False, False),
        ("starting", True, False, False),
        ("running", True, False, True),
        ("suspended", True, False, True),
        ("paused", True, False, True),
        ("stopping", True, False, False),
        ("done", False, True, False),
        ("aborted", False, True, False),
        ("failed", False, True, False),
    ],
)
def test_a_row_says_whether_it_is_on_over_or_at_its_work_as_the_runner_does(state, on, over, measures):
    row = QueueRow(1, "bench", "CountRates", {}, state)

    assert (row.on, row.over, row.measures) == (on, over, measures)
    assert (RunState(state).over, RunState(state).measures) == (over, measures)


@pytest.mark.parametrize("refresh", [True, False])
def test_an_older_state_never_takes_the_place_of_a_newer_one(monkeypatch, refresh):
    """Whoever publishes while a state is on its way into a mailbox comes after it."""
    topics = Topics()
    topics.publish("safety", "ARMED")
    box = topics.subscribe(["safety"])
    late, put = [], Mailbox.put

    def slowly(self, topic, body):
        if not late:
            late.append(threading.Thread(target=topics.publish, args=("safety", "SAFE")))
            late[0].start()
            late[0].join(0.2)
        put(self, topic, body)

    monkeypatch.setattr(Mailbox, "put", slowly)
    if refresh:
        topics.refresh(box)
    else:
        topics.publish("safety", "ARMED")
    late[0].join()

    assert bodies(box.take(), "safety") == ["SAFE"]
    assert topics.latest("safety") == "SAFE"
