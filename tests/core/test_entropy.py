import numpy as np
import pytest

from heliograph.core.entropy import OsRandom, RandomSource, SimRandom


def test_equal_seeds_and_streams_give_equal_bytes():
    assert SimRandom(7, 1).take(64) == SimRandom(7, 1).take(64)


def test_another_seed_or_stream_gives_other_bytes():
    drawn = {SimRandom(seed, stream).take(32) for seed in range(4) for stream in range(4)}

    assert len(drawn) == 16


@pytest.mark.parametrize("key", [(), (1,), (3, 1)])
def test_public_numbers_of_the_same_seed_are_not_those_of_the_source(key):
    """Split and start of a training come from such generators, and everyone sees the start."""
    public = np.random.Generator(np.random.PCG64(np.random.SeedSequence(7, spawn_key=key)))

    assert public.bytes(64) != SimRandom(7, key[-1] if key else 0).take(64)


def test_a_stream_runs_on_and_does_not_repeat():
    source = SimRandom(7)

    assert source.take(32) != source.take(32)


def test_the_two_kinds_of_source_say_what_they_are():
    assert isinstance(OsRandom(), RandomSource)
    assert isinstance(SimRandom(1), RandomSource)
    assert OsRandom().origin == "os"
    assert SimRandom(1).origin == "simulated"


def test_the_operating_system_gives_as_many_bytes_as_asked_and_never_the_same():
    assert len(OsRandom().take(33)) == 33
    assert OsRandom().take(32) != OsRandom().take(32)
