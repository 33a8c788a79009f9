from __future__ import annotations

import pytest

from heliograph.core.errors import ConfigError
from heliograph.instruments import catalogue
from heliograph.instruments.role_adapter import RoleAdapter
from heliograph.instruments.station import Station, default_text
from heliograph.mocks import simulators

ENTRY = "[heliograph.instruments]\nShutter9 = acme_drivers:DRIVER\n"
DRIVER = 'from heliograph.instruments.catalogue import Entry\nDRIVER = Entry("Attenuator", "{}", "Adapter", "Acme", "Shutter 9", "TCP, SCPI")\n'


@pytest.mark.parametrize("driver", catalogue.DRIVERS)
def test_every_driver_names_an_adapter_that_is_there_and_says_what_it_is(driver):
    entry = catalogue.entry(driver)

    assert issubclass(catalogue.adapter_class(driver), RoleAdapter)
    assert all((entry.role, entry.vendor, entry.model, entry.transport))


def test_every_simulator_is_one_of_a_driver():
    assert set(simulators.SIMULATORS) <= set(catalogue.DRIVERS)


def test_a_driver_of_another_package_is_known_by_name_and_in_station_files(foreign, tmp_path):
    foreign(
        "acme",
        {"acme_drivers": DRIVER.format("acme_adapter"), "acme_adapter": "from heliograph.instruments.role_adapter import RoleAdapter as Adapter\n"},
        ENTRY,
    )

    assert "Shutter9" in catalogue.names()
    assert catalogue.entry("Shutter9").model == "Shutter 9"
    assert catalogue.adapter_class("Shutter9") is RoleAdapter
    text = default_text().replace(b'driver = "OzDD100", resource = "ASRL/dev/ttyUSB1', b'driver = "Shutter9", resource = "ASRL/dev/ttyUSB1')
    assert Station.parse(text, tmp_path / "lab.toml").instruments["voa_in"].wire.driver == "Shutter9"
    with pytest.raises(ConfigError, match="Shutter9 is an Attenuator, not a Laser"):
        Station.parse(default_text().replace(b"KoherasBasik", b"Shutter9"), tmp_path / "lab.toml")


def test_an_unknown_driver_is_refused_with_those_there_are(foreign):
    foreign("acme", {}, ENTRY)

    with pytest.raises(ConfigError, match=r"OzDD100.*Shutter9"):
        catalogue.entry("NoSuch")


@pytest.mark.parametrize(
    ("points", "text", "driver", "said"),
    [
        (ENTRY, "DRIVER = 'Shutter'", "Shutter9", "acme 0.1 is 'Shutter'.*Entry is needed"),
        (ENTRY.replace("Shutter9", "WebSQ"), "DRIVER = 1", "WebSQ", "WebSQ of acme 0.1 has the name of a driver that comes with Heliograph"),
        (ENTRY, DRIVER.format("acme_nowhere"), "Shutter9", "acme_nowhere:Adapter, which cannot be imported"),
    ],
)
def test_a_broken_driver_of_another_package_is_one_clear_error(foreign, points, text, driver, said):
    foreign("acme", {"acme_drivers": text}, points)

    with pytest.raises(ConfigError, match=said):
        catalogue.adapter_class(driver)
