"""All REST methods; importing this package registers them."""

from b24metrics.sim.calls import METHODS, METHODS_V3
from b24metrics.sim.methods import (
    activities,
    billing,
    chats,
    crm,
    directories,
    people,
    push,
    system,
    telephony,
    v3,
    work,
)

__all__ = [
    "METHODS",
    "METHODS_V3",
    "activities",
    "billing",
    "chats",
    "crm",
    "directories",
    "people",
    "push",
    "system",
    "telephony",
    "v3",
    "work",
]
