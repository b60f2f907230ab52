"""Which device a method runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landsat_fill.errors import MethodError, UsageError
from landsat_fill.networks.torch_package import import_torch

if TYPE_CHECKING:
    from landsat_fill.methods import MethodInfo

AUTO = "auto"


def choose_device(asked: str, info: MethodInfo) -> str:
    """Return the device to run a method on: `cpu`, or `cuda:0` and the like.

    Args:
        asked: `auto`, or a kind of device with or without a number, `cuda:0`. What is asked for by name
            is never replaced by another.
        info: What the method can run on.

    Raises:
        UsageError: If the method can't run on that device.
        MethodError: If the device is asked for by name and isn't there, or can't be used.
        MissingPackageError: If the method needs torch, and it isn't installed.
    """
    if asked == AUTO:
        return "cuda:0" if "cuda" in info.devices and _cuda_problem("cuda:0") is None else "cpu"
    kind, colon, number = asked.partition(":")
    if kind not in info.devices or (colon and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(
            f"expected a device that {info.name} runs on ({', '.join(info.devices)}), but got {asked!r}",
            hint="leave --device out, or choose another method; `landsat-fill methods` lists their devices",
        )
    if kind != "cuda":
        return asked
    device = asked if colon else "cuda:0"
    problem = _cuda_problem(device)
    if problem is not None:
        raise MethodError(
            f"expected the device {asked} to work, but {problem}",
            hint="--device auto takes the CPU where there is no other; `nvidia-smi` lists what is there",
        )
    return device


def choose_devices(asked: str, info: MethodInfo, processes: int) -> tuple[str, ...]:
    """Return the devices that processes run on, each in turn: several graphics processors where there are.

    Args:
        asked: As of `choose_device`. With a number, `cuda:1`, that one only.
        info: What the method can run on.
        processes: How many there are.

    Raises:
        As `choose_device`. With `auto`, further devices that can't be used are passed over.
    """
    first = choose_device(asked, info)
    if not first.startswith("cuda") or ":" in asked or processes == 1:
        return (first,)
    there = min(import_torch().cuda.device_count(), processes)
    others = [f"cuda:{number}" for number in range(1, there)]
    if asked == AUTO:
        return (first, *(device for device in others if _cuda_problem(device) is None))
    return (first, *(choose_device(device, info) for device in others))


def _cuda_problem(device: str) -> str | None:
    """Return why a graphics processor can't be used, or None where it gave a little memory."""
    torch = import_torch()
    if not torch.backends.cuda.is_built():
        return "the installed torch was built for CPUs only"
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    count = torch.cuda.device_count()
    if int(device.partition(":")[2]) >= count:
        return f"torch sees {count} of them, counted from 0"
    try:
        torch.zeros(1, device=device)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return None
