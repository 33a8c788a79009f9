import itertools

import pytest

from heliograph.core.statement import Provenance, SecurityStatement, combined

REAL = Provenance(False)
DEMO = Provenance(True, ("the pattern repeats (demo pattern)",))


def _statement(claim, epsilon, leak, provenance=REAL, assumptions=("trusted users",)):
    return SecurityStatement((claim,), assumptions, epsilon, leak, provenance)


@pytest.mark.parametrize("conditions", list(itertools.product([True, False], repeat=4)))
def test_key_is_real_only_if_all_four_conditions_hold(conditions):
    hardware, qrng, random, authenticated = conditions

    provenance = Provenance.of(hardware=hardware, pattern_mode="qrng" if qrng else "demo", true_randomness=random, authenticated=authenticated)

    assert provenance.simulated is not all(conditions)
    assert len(provenance.reasons) == conditions.count(False)
    assert provenance.label == ("real" if all(conditions) else "simulated")


def test_what_is_made_from_a_simulated_part_is_simulated():
    assert REAL.joined(DEMO) == DEMO.joined(REAL) == DEMO
    assert DEMO.joined(DEMO).reasons == DEMO.reasons
    assert not REAL.joined(REAL).simulated


def test_statements_compose_by_adding_epsilon_and_leak():
    whole = combined([_statement("key", 1e-10, 100), _statement("sum", 2e-10, 23, DEMO, ("trusted users", "no dropout"))])

    assert whole.epsilon == pytest.approx(3e-10)
    assert whole.leaked_bits == 123
    assert whole.claims == ("key", "sum")
    assert whole.assumptions == ("trusted users", "no dropout")
    assert whole.provenance == DEMO


def test_a_claim_about_the_whole_replaces_those_of_the_parts():
    assert combined([_statement("a", 0, 0), _statement("b", 0, 0)], ("whole",)).claims == ("whole",)


def test_the_printed_statement_carries_the_four_fields_and_the_label():
    said = _statement("key", 3e-10, 7, DEMO).as_dict()

    assert said["claims"] == ["key"]
    assert said["assumptions"] == ["trusted users"]
    assert said["epsilon"] == 3e-10
    assert said["leaked_bits"] == 7
    assert said["simulated"] is True
