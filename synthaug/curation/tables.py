"""What curation leaves in a bank: scores and weights of the samples, and the candidates that were rejected and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.pipeline import Judgement
from synthaug.sampling.bank_files import WEIGHT

if TYPE_CHECKING:
    import pyarrow as pa

SCORE, REASON = "score_", "reason"


def accepted_table(names: pa.Table, judgement: Judgement, rows: NDArray[np.integer]) -> pa.Table:
    """Return the names of accepted samples with their scores and weights.

    Args:
        names: Provenance of these samples, a row each; columns that an earlier curation left are replaced. Its weights
            count too, unless a filter that gave them judges again.
        judgement: Of all candidates.
        rows: Which candidates the samples are.
    """
    weights = judgement.weights[rows]
    again = any(SCORE + name in names.column_names for name in judgement.weighing)
    if WEIGHT in names.column_names and not again:
        weights = weights * names.column(WEIGHT).to_numpy().astype(np.float32)
    return _with_scores(names, judgement, rows).append_column(WEIGHT, [weights])


def rejected_table(names: pa.Table, judgement: Judgement, rows: NDArray[np.integer]) -> pa.Table:
    """Return the names of rejected candidates with their scores, as far as they were judged, and the reason.

    Args:
        names: Provenance of these candidates, a row each.
        judgement: Of all candidates.
        rows: Which candidates these are.
    """
    import pyarrow as pa

    table = _with_scores(names, judgement, rows)
    reasons = [judgement.names[number] for number in judgement.reasons[rows].tolist()]
    return table.append_column(REASON, pa.array(reasons, type=pa.string()))


def _with_scores(names: pa.Table, judgement: Judgement, rows: NDArray[np.integer]) -> pa.Table:
    import pyarrow as pa

    columns = [SCORE + name for name in judgement.names]
    table = names.drop_columns([name for name in names.column_names if name in (*columns, WEIGHT, REASON)])
    for column, name in zip(columns, judgement.names, strict=True):
        scores = judgement.scores[name][rows]
        table = table.append_column(column, pa.array(scores, type=pa.float64(), mask=np.isnan(scores)))
    return table


def joined(first: pa.Table, second: pa.Table) -> pa.Table:
    """Put the rows of two tables under each other; a column that one lacks is null there."""
    import pyarrow as pa

    return pa.concat_tables([_plain(first), _plain(second)], promote_options="permissive")


def _plain(table: pa.Table) -> pa.Table:
    """Write out columns that are stored as positions in a dictionary, since two dictionaries don't join."""
    import pyarrow as pa

    for number, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(number, field.name, table.column(number).cast(field.type.value_type))
    return table
