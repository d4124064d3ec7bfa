"""The trainer's state on disk, as safetensors and JSON, and its exact return.

Random state and data order are functions of seed and step, so weights, moving average, optimisers and the step are
all there is to save.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from synthaug.errors import FormatError
from synthaug.storage import Contents, new_directory, put_back, read_json, write_json

STATE = "state.json"


def save_state(
    folder: Path,
    modules: dict[str, nn.Module],
    optimizers: dict[str, torch.optim.Optimizer],
    state: dict[str, Any],
) -> None:
    """Write the trainer's state; the state that was there is replaced once the new one is whole."""
    with new_directory(folder, overwrite=True, contents=Contents("state", ("*",))) as partial:  # all is the run's own
        for name, module in modules.items():
            tensors = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
            # Copies, because safetensors refuses tensors that share memory.
            save_file({key: value.clone() for key, value in tensors.items()}, partial / f"{name}.safetensors")
        for name, optimizer in optimizers.items():
            save_file(_optimizer_tensors(optimizer), partial / f"optimizer.{name}.safetensors")
        write_json(partial / STATE, state)


def has_state(folder: Path) -> bool:
    """Say whether a state was saved; one that a kill caught while it was being replaced is put back."""
    put_back(folder)
    return (folder / STATE).exists()


def load_state(
    folder: Path, modules: dict[str, nn.Module], optimizers: dict[str, torch.optim.Optimizer]
) -> dict[str, Any]:
    """Bring modules and optimisers back to a saved state and return what `save_state` was given as ``state``.

    Raises:
        FormatError: If a file is missing or damaged, or does not fit the networks.
    """
    state: dict[str, Any] = read_json(folder / STATE)
    for name, module in modules.items():
        try:
            module.load_state_dict(_read(folder / f"{name}.safetensors"))
        except RuntimeError as error:
            raise FormatError(f"the state in {folder / name}.safetensors does not fit the networks: {error}") from error
    for name, optimizer in optimizers.items():
        _restore_optimizer(optimizer, _read(folder / f"optimizer.{name}.safetensors"))
    return state


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise FormatError(f"expected the file {path.name} in {path.parent}, but it is missing.") from error
    except SafetensorError as error:
        raise FormatError(f"{path} is damaged: {error}") from error


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{position}.{key}": torch.as_tensor(value).detach().cpu().clone().contiguous()
        for position, entries in optimizer.state_dict()["state"].items()
        for key, value in entries.items()
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        position, _, key = name.partition(".")
        state.setdefault(int(position), {})[key] = tensor
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, entries in state.items():
        parameter = parameters[number]
        for key, tensor in entries.items():
            if tensor.shape == parameter.shape:
                # Fused optimisers walk through memory, so the state has to be laid out as its parameter is.
                entries[key] = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
