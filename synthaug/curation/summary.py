"""What curation did, as a table: by class how many were kept, and how many each filter rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.errors import FormatError
from synthaug.sampling import SampleBank

if TYPE_CHECKING:
    from rich.table import Table

_CLASSES = 50


def summary_table(bank: SampleBank) -> Table:
    """Return a table of a curated bank, for `rich` to print.

    Raises:
        FormatError: If the bank was not curated.
    """
    from rich.table import Table

    curation = bank.provenance.get("curation")
    if curation is None:
        raise FormatError(f"expected a curated bank, but got {bank!r}; make one with synthaug.curate.")
    names = [entry["name"] for entry in curation["filters"]]
    table = Table(title=f"{curation['candidates']:,} candidates, {len(bank):,} kept")
    table.add_column("class")
    for name in ("kept", *names):
        table.add_column(name, justify="right")
    for label in [*curation["accepted"]][:_CLASSES]:
        rejected = [str(curation["rejected"][label].get(name, 0)) for name in names]
        table.add_row(label, str(curation["accepted"][label]), *rejected)
    return table
