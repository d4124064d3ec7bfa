"""``python -m synthaug.cli``: the same command line, for launchers that take modules."""

from __future__ import annotations

from synthaug.cli.app import main

if __name__ == "__main__":
    main()
