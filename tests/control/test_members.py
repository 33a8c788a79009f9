"""What another process may reach of an instrument."""

from __future__ import annotations

import pytest

from heliograph.control.members import members
from heliograph.core.errors import ParameterError


def test_an_attenuator_that_lost_its_power_can_be_homed_by_the_controller():
    found = members("Attenuator")

    found.check("voa_in", "home", "methods")
    assert found.needs_control("home")


def test_what_has_no_motor_is_not_homed():
    with pytest.raises(ParameterError, match="'home' is not among"):
        members("Laser").check("laser", "home", "methods")


def test_the_way_to_the_safe_state_is_open_to_everybody_and_closing_to_nobody():
    found = members("Laser")

    assert not found.needs_control("to_safe")
    assert "close" not in found.methods


def test_there_is_no_role_of_any_other_name():
    with pytest.raises(ParameterError, match="no role 'Scalar'"):
        members("Scalar")
