"""`heliograph station`: write, check and show station files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import ConfigError, StorageError
from ..core.files import beside
from .output import JsonOption, command

app = typer.Typer(no_args_is_help=True, help="Station files: what stands on the bench, and how to reach it.")

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Station file (TOML).")]


@app.command("new")
def new(
    file: FileArgument,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the simulated world.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Write the station file of the simulated bench of three users, to be used as it is or edited for a real one."""
    with command(json_output) as out:
        from ..control.stations import seeded
        from ..instruments.station import default_text

        if file.exists():
            raise ConfigError("the file is there already and was left alone", where=str(file), remedy="Choose another name, or remove it.")
        try:
            with beside(file) as fresh:
                fresh.write_bytes(default_text() if seed is None else seeded(default_text(), seed))
        except OSError as error:
            raise StorageError(f"the station file cannot be written ({error.strerror})", where=str(file), remedy="Choose a folder of yours.") from error
        out.say(f"Wrote {file}. Next: heliograph station check {file}")
        out.result({"file": file}, simulated=True)


@app.command("check")
def check(file: FileArgument, json_output: JsonOption = False) -> None:
    """Check a station file: keys, units, names, and that the light trains of the loop do not collide at a user."""
    with command(json_output) as out:
        from ..core.physics import collision_margin_s
        from ..instruments.station import Station

        station = Station.load(file)
        slot_s = station.clock.slot_s
        margins = {name: collision_margin_s(user.distance_m, station.optics.loop.length_m, slot_s) * 1e9 for name, user in station.optics.users.items()}
        out.table(
            "Trains of the loop",
            ["user", "apart (ns)", "modulator gate (ns)"],
            [(name, margin, station.optics.modulators[station.optics.users[name].pm].gate_s * 1e9) for name, margin in margins.items()],
        )
        out.say(f"{file}: {len(station.instruments)} instruments, {len(station.pairs)} pairs, no fault found.")
        out.result({"file": file, "valid": True, "sha256": station.sha256, "margins_ns": margins}, simulated=station.simulated)


@app.command("show")
def show(file: FileArgument, json_output: JsonOption = False) -> None:
    """Show what a station file describes."""
    with command(json_output) as out:
        from ..instruments.station import Station

        station = Station.load(file)
        out.table(
            f"Instruments of {station.info.name}",
            ["name", "role", "driver", "address", "simulated"],
            [(name, entry.wire.role, entry.wire.driver, entry.wire.resource, entry.rules.simulated) for name, entry in station.instruments.items()],
        )
        out.table(
            "Users",
            ["user", "modulator", "attenuator", "distance (m)", "arm loss (dB)"],
            [(name, user.pm, user.voa, user.distance_m, user.loss_db) for name, user in station.optics.users.items()],
        )
        out.table(
            "Pairs",
            ["pair", "photons per pulse", "loss of each arm (dB)", "common Y slots"],
            [(name, pair.mu, pair.arm_loss_db, pair.yy_overlap) for name, pair in station.pairs.items()],
        )
        described = station.plain()
        described.pop("sim")
        out.result({"file": file, "sha256": station.sha256, **_dated(described)}, simulated=station.simulated)


def _dated(described: dict[str, object]) -> dict[str, object]:
    """Return the description with dates as text."""
    import json

    found: dict[str, object] = json.loads(json.dumps(described, default=str))
    return found
