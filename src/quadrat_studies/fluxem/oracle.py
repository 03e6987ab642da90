"""An upper bound that has learned nothing: the problem is handed over already parsed, the codes compute it.

Its scores are named ``oracle/...`` and belong in no ranking: it is given the operands and the program, which
is all that the arms have to find out. It shows where the codes themselves stop being exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quadrat_studies.fluxem import algebra
from quadrat_studies.fluxem.problems import from_row


def oracle_answers(rows: Sequence[Mapping[str, Any]], dtype: algebra.DType = "float64") -> list[str]:
    """Answers of the algebra on the gold parse, each step decoded and rounded to the nearest integer."""
    problems = [from_row(row) for row in rows]
    return [str(compute(problem.operands, problem.operations, dtype)) for problem in problems]


def compute(operands: Sequence[int], operations: Sequence[str], dtype: algebra.DType = "float64") -> int:
    """The codes' value of a chain, from the left, each step decoded and rounded to the nearest integer.

    Raises:
        ArithmeticError, ValueError: a step has no finite value.
    """
    value = float(operands[0])
    for operation, operand in zip(operations, operands[1:], strict=True):
        value = float(np.round(_step(operation, value, float(operand), dtype)))
    return int(value)


def _step(operation: str, left: float, right: float, dtype: algebra.DType) -> float:
    if operation in "+-":
        encode, decode = algebra.encode_linear, algebra.decode_linear
        combine = algebra.add if operation == "+" else algebra.subtract
    else:
        encode, decode = algebra.encode_log, algebra.decode_log
        combine = algebra.multiply if operation == "*" else algebra.divide
    return float(decode(combine(encode(left, dtype), encode(right, dtype))))
