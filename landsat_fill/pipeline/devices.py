"""Which device a method runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landsat_fill.errors import UsageError

if TYPE_CHECKING:
    from landsat_fill.methods import MethodInfo

AUTO = "auto"


def choose_device(asked: str, info: MethodInfo) -> str:
    """Return the device to run a method on.

    Args:
        asked: `auto`, or a kind of device with or without a number, `cuda:0`. What is asked for by name
            is never replaced by another.
        info: What the method can run on, best last.

    Raises:
        UsageError: If the method can't run on that device.
    """
    if asked == AUTO and info.devices == ("cpu",):
        return "cpu"
    if asked.partition(":")[0] in info.devices:
        return asked
    raise UsageError(
        f"expected a device that {info.name} runs on ({', '.join(info.devices)}), but got {asked!r}",
        hint="leave --device out, or choose another method; `landsat-fill methods` lists their devices",
    )
