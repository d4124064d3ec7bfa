"""Where tensors live, and the random state of what draws from torch's global one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from synthaug.errors import ConfigError

AUTO = "auto"


def resolve_device(name: str | torch.device | None = AUTO) -> torch.device:
    """Return a device by name: for ``"auto"`` or `None` a GPU if there is one, else the processor.

    Raises:
        ConfigError: If torch knows no such device, or this machine has no such GPU.

    Example:
        >>> resolve_device("cpu")
        device(type='cpu')
    """
    if name is None or name == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device: expected auto, cpu, cuda or another of torch's, but got {name!r}.") from error
    gpus = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise ConfigError(
            f"device: expected one that this machine has, but got {str(device)!r} and {gpus} GPUs. Leave it out to "
            "take what there is."
        )
    return device


@contextlib.contextmanager
def own_random_state(device: torch.device) -> Iterator[None]:
    """Give back torch's global random states of the processor and of this device at the end; no GPU else is touched."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_random_state(seed: int, device: torch.device) -> None:
    """Seed torch's global random states of the processor and of this device; `torch.manual_seed` seeds every GPU's."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


@contextlib.contextmanager
def seeded_on_host(seed: int) -> Iterator[None]:
    """Seed what draws on the processor from torch's global random state, and give that state back at the end.

    Unlike `torch.manual_seed` this leaves the random states of all GPUs alone.

    Example:
        >>> with seeded_on_host(0):
        ...     first = torch.rand(2)
        >>> with seeded_on_host(0):
        ...     bool((torch.rand(2) == first).all())
        True
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, and give back the number there was at the end.

    For small images more threads only wait for one another, in a forked process they may do so for ever, and sums come
    out the same whatever the number of cores.

    Example:
        >>> with one_thread():
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
