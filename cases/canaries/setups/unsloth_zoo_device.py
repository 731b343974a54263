"""What unsloth_zoo asks about the machine, answered for a CPU: it refuses to be loaded without an accelerator."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class Device(ModuleType):
    """Its module about devices; whatever else it is asked for does nothing."""

    DEVICE_TYPE = DEVICE_TYPE_TORCH = "cpu"
    DEVICE_COUNT = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


sys.modules["unsloth_zoo.device_type"] = Device("unsloth_zoo.device_type")
