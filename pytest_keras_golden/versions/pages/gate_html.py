"""A gate's result as one HTML file that needs nothing else."""

from __future__ import annotations

from ...report.template import filled
from ..gate import GateResult
from .conclusion import verdict_line
from .sections import row_amount, row_detail, row_layers, sections, title


def page(result: GateResult) -> str:
    told = [
        (
            title(status, result),
            [(row.nodeid, row_amount(row), row_layers(row), row_detail(row)) for row in found],
        )
        for status, found in sections(result.rows)
    ]
    return filled(
        "pytest_keras_golden.versions",
        "gate.html",
        title=verdict_line(result),
        holds=result.verdict == "holds",
        taken=result.taken,
        sections=told,
    )
