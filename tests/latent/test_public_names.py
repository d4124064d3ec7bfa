from __future__ import annotations

import subprocess
import sys

import pytest

import synthaug.latent


def test_every_use_is_a_name_of_the_package():
    found = {name: getattr(synthaug.latent, name) for name in synthaug.latent.__all__}
    assert {"vary", "edit", "impute", "denoise", "upscale", "compress", "search", "interpolate"} <= set(found)
    assert all(value.__name__ == name and value.__doc__ for name, value in found.items())
    assert set(found) <= set(dir(synthaug.latent))
    with pytest.raises(AttributeError, match=r"'synthaug\.latent' has no attribute 'invent'"):
        synthaug.latent.invent  # noqa: B018


def test_the_package_loads_nothing_until_it_is_used():
    code = "import sys, synthaug.latent; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == (
        "False False\n"
    )
