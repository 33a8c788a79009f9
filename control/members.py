"""What an attached client may reach of an instrument: the public members of its role, and nothing else.

Reading is for everybody; so is the way to the safe state. Whatever changes something, moves bench time, or keeps a device busy is for the controller.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache

from ..core.errors import ParameterError
from ..instruments import roles

READS = frozenset(
    {"identify", "snapshot", "is_safe", "output_is_on", "offset_v", "bias", "threshold_v", "latched", "moving", "stable"},
)
"""Methods that only read."""
ALWAYS = frozenset({"to_safe"})
"""Methods that nobody is refused."""
_NOT_REMOTE = frozenset({"close"})
_MORE = {"Attenuator": frozenset({"home"})}
"""Methods of adapters beyond their role: without homing, an attenuator that lost its power cannot be used, nor confirmed safe, from another process."""


@dataclass(frozen=True, slots=True)
class Members:
    """Names of a role's members.

    settable: attributes that may be set.  readable: attributes, those included.  methods: calls.  streams: calls that give pieces.
    """

    settable: frozenset[str]
    readable: frozenset[str]
    methods: frozenset[str]
    streams: frozenset[str]

    def check(self, name: str, member: str, kind: str) -> None:
        """Raise ParameterError if an instrument has no such member; kind is one of the fields."""
        if member not in getattr(self, kind):
            remedy = f"There are {', '.join(sorted(self.readable | self.methods | self.streams))}."
            raise ParameterError(f"{member!r} is not among the {kind} members of its role", where=name, remedy=remedy)

    def needs_control(self, member: str) -> bool:
        """Say whether a call is for the controller only."""
        return member not in READS | ALWAYS


@cache
def members(role: str) -> Members:
    """Return the members of a role, such as `Laser`. Raises ParameterError for a role that there is not."""
    found = getattr(roles, role, None)
    if not (inspect.isclass(found) and roles.Instrument in found.__mro__):
        raise ParameterError(f"there is no role {role!r}", where="link")
    settable, readable, methods, streams = set[str](), {"role"}, set[str](), set[str]()
    for kind in found.__mro__:
        settable |= {name for name in inspect.get_annotations(kind) if not name.startswith("_")}
        for name, member in vars(kind).items():
            if name.startswith("_") or name in _NOT_REMOTE:
                continue
            if isinstance(member, property):
                (settable if member.fset else readable).add(name)
            elif inspect.isfunction(member):
                (streams if "Generator" in str(member.__annotations__.get("return", "")) else methods).add(name)
    return Members(frozenset(settable), frozenset(settable | readable), frozenset(methods) | _MORE.get(role, frozenset()), frozenset(streams))
