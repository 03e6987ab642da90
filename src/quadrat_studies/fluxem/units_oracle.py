"""An upper bound that has learned nothing: the question is handed over already parsed, the codes answer it.

Its scores are named ``oracle/...`` and belong in no ranking: it is given the numbers, the units and the table of
units. Where it is wrong, floating point is: an exact result that lies half-way between two answers, or a temperature
near the zero of its scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from quadrat_studies.fluxem import algebra
from quadrat_studies.fluxem.units import Quantity, Unit, can_add
from quadrat_studies.fluxem.units_code import EXPONENTS, encode
from quadrat_studies.fluxem.units_parser import parse_unit
from quadrat_studies.fluxem.units_questions import from_row, number_text, significant_digits


def oracle_answers(rows: Sequence[Mapping[str, Any]], dtype: algebra.DType = "float64") -> list[str]:
    """Answers of the codes on the gold parse."""
    answers: list[str] = []
    for row in rows:
        question = from_row(row)
        left, right = map(parse_unit, question.units)
        if question.task == "can_add":
            quantities = [
                Quantity.of(number, unit) for number, unit in zip(question.numbers, (left, right), strict=True)
            ]
            codes = encode(quantities, dtype)
            agree = bool((codes[0, EXPONENTS] == codes[1, EXPONENTS]).all())
            answers.append("true" if agree and can_add(left, right) else "false")
            continue
        number = question.numbers[0]
        value = _converted(Quantity.of(number, left), right, dtype)
        answers.append(f"{number_text(Fraction(value), significant_digits(number))} {question.units[1]}")
    return answers


def _converted(quantity: Quantity, target: Unit, dtype: algebra.DType) -> float:
    code = encode([quantity], dtype)[0, :4]
    if target.zero:  # an offset scale: one crossing to the linear code, where its zero is subtracted
        shift = algebra.encode_linear(np.array(float(target.zero)), dtype)
        kelvin = algebra.decode_linear(algebra.subtract(algebra.encode_linear(algebra.decode_log(code), dtype), shift))
        code = algebra.encode_log(kelvin, dtype)
    unit = algebra.encode_log(np.array(float(target.factor)), dtype)
    return float(algebra.decode_log(algebra.divide(code, unit)))
