"""What the bench really does, for tests that must not believe a report: emission, biases and attenuations as the world has them.

It stands at a Unix socket of its own that no driver knows and no station file can name: whoever connects receives one JSON line, and the connection ends. A
bench shows it only where `heliograph bench serve --truth PATH` asked for it.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .listeners import Hub
    from .world import World


def truth(world: World) -> dict[str, Any]:
    """Return the knobs that matter for safety: `emission`, `power_w`, `enabled`, `bias_a` of both detectors, `attenuation_db` by instrument, `clock_ps`.

    `dark_since`: since when emission and bias are off, as `time.monotonic` tells it to every process of this computer; None while they are not.
    """
    return {
        "emission": world.laser.emission,
        "power_w": world.emitted_w(),
        "enabled": world._biased,  # noqa: SLF001
        "bias_a": [wire.bias_a for wire in world._nanowires],  # noqa: SLF001
        "attenuation_db": dict(world._attenuation_db),  # noqa: SLF001
        "clock_ps": world.clock_ps,
        "dark_since": world.dark_since,
    }


def show(hub: Hub, world: World, path: Path) -> None:
    """Tell the truth to everybody who connects to a Unix socket, which must not exist yet."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    path.chmod(0o600)
    server.listen(16)

    def connected() -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(json.dumps(truth(world)).encode() + b"\n")

    hub.watch(server.fileno(), connected)
    hub._closers.append(server.close)  # noqa: SLF001


def ask(path: Path) -> dict[str, Any]:
    """Return what a bench really does; raises OSError if none tells it there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path))
        with connection.makefile() as lines:
            return dict(json.loads(lines.readline()))
