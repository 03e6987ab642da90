"""The codes are homomorphisms, signs and zeros included, and never off by more than the bound says."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from quadrat_studies.fluxem import algebra

DTYPES = ["float32", "float64"]
# Exponents such that a product, a quotient and every code stay inside the normal numbers of the dtype.
REACH = {"float32": 60, "float64": 500}
LINEAR = {"add": algebra.add, "subtract": algebra.subtract}
LOG = {"multiply": algebra.multiply, "divide": algebra.divide}
EXACT = {
    "add": Fraction.__add__,
    "subtract": Fraction.__sub__,
    "multiply": Fraction.__mul__,
    "divide": Fraction.__truediv__,
}


def through(operation: str, a, b, dtype):
    encode, decode = algebra.encode_log, algebra.decode_log
    if operation in LINEAR:
        encode, decode = algebra.encode_linear, algebra.decode_linear
    return decode({**LINEAR, **LOG}[operation](encode(a, dtype), encode(b, dtype)))


@st.composite
def numbers(draw, reach: int) -> float:
    """Non-zero numbers whose size is spread evenly over the exponents."""
    mantissa = draw(st.floats(1.0, 2.0, exclude_max=True))
    return draw(st.sampled_from([1.0, -1.0])) * math.ldexp(mantissa, draw(st.integers(-reach, reach)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "divide"])
def test_the_bound_holds(operation, dtype):
    @given(numbers(REACH[dtype]), numbers(REACH[dtype]))
    def check(a, b):
        exact = EXACT[operation](Fraction(a), Fraction(b))
        found = Fraction(float(through(operation, a, b, dtype)))
        assert abs(found - exact) <= Fraction(float(algebra.error_bound(operation, a, b, dtype=dtype)))

    check()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operation", ["add", "multiply", "divide"])
def test_the_bound_is_not_vacuous(operation, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 1e6, (2, 4000))
    worst = 0.0
    found, bounds = through(operation, a, b, dtype), algebra.error_bound(operation, a, b, dtype=dtype)
    for x, y, value, bound in zip(a, b, found, bounds, strict=True):
        exact = EXACT[operation](Fraction(x), Fraction(y))
        worst = max(worst, float(abs(Fraction(float(value)) - exact) / Fraction(float(bound))))
    assert 0.1 < worst <= 1.0


@pytest.mark.parametrize("dtype", DTYPES)
def test_small_integers_add_exactly_and_the_bound_says_so(dtype):
    limit = 2 ** {"float32": 23, "float64": 52}[dtype]

    @given(st.integers(-limit, limit), st.integers(-limit, limit))
    def check(a, b):
        assert algebra.error_bound("subtract", a, b, dtype=dtype) == 0
        assert through("subtract", a, b, dtype) == a - b

    check()


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=6), st.lists(st.integers(-50, 50), max_size=6))
def test_any_product_of_factors_is_one_vector_sum(above, below):
    code = algebra.encode_log(above, "float64").sum(0)
    for factor in below:
        code = code + algebra.reciprocal(algebra.encode_log(factor, "float64"))
    found = float(algebra.decode_log(code))
    if 0 in above and 0 in below:
        assert math.isnan(found)
    elif 0 in below:
        negative = sum(factor < 0 for factor in above + below) % 2
        assert found == (-math.inf if negative else math.inf)
    else:
        exact = Fraction(math.prod(above), math.prod(below))
        assert found == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "product", "quotient"),
    [(-3, -4, 12, 0.75), (-3, 4, -12, -0.75), (0, -5, 0, 0), (7, 0, 0, math.inf), (-7, 0, 0, -math.inf)],
)
def test_signs_and_zeros_need_no_branch(a, b, product, quotient):
    assert through("multiply", a, b, "float64") == pytest.approx(product, rel=1e-15)
    assert through("divide", a, b, "float64") == pytest.approx(quotient, rel=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_codes_are_batch_first_and_only_as_wide_as_they_inform(dtype, shape):
    x = np.arange(1.0, 1.0 + np.prod(shape, dtype=int)).reshape(shape)
    assert algebra.encode_linear(x, dtype).shape == (*shape, 1)
    assert algebra.encode_log(x, dtype).shape == (*shape, 4)
    for code in (algebra.encode_linear(x, dtype), algebra.encode_log(x, dtype)):
        assert code.dtype == dtype
    assert algebra.decode_log(algebra.encode_log(x, dtype)).dtype == dtype
    np.testing.assert_allclose(algebra.decode_log(algebra.encode_log(x, dtype)), x, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_and_numpy_agree(dtype):
    x = np.array([[-3.5, 0.0, 1e-12], [7.0, 99.0, -1e12]])
    tensor = torch.from_numpy(x)
    for encode, decode in (
        (algebra.encode_linear, algebra.decode_linear),
        (algebra.encode_log, algebra.decode_log),
    ):
        code = encode(tensor, dtype)
        assert code.dtype == getattr(torch, dtype)
        np.testing.assert_allclose(code.numpy(), encode(x, dtype), rtol=1e-6)
        np.testing.assert_allclose(decode(code).numpy(), x, rtol=1e-5)


def test_gradients_pass_through_a_product_of_codes():
    a, b = torch.tensor([3.0, -2.0], requires_grad=True), torch.tensor([5.0, 7.0])
    code = algebra.multiply(algebra.encode_log(a, "float64"), algebra.encode_log(b, "float64"))
    algebra.decode_log(code).sum().backward()
    torch.testing.assert_close(a.grad, b)


@pytest.mark.parametrize("library", [np.asarray, torch.tensor])
def test_what_cannot_be_held_raises(library):
    for bad in (math.nan, math.inf):
        with pytest.raises(algebra.DomainError, match="finite"):
            algebra.encode_log(library([bad]), "float64")
    with pytest.raises(algebra.DomainError, match="too large"):
        algebra.encode_linear(library([1e300], dtype=np.float64 if library is np.asarray else torch.float64))
    with pytest.raises(algebra.DomainError, match="close to 0"):
        algebra.encode_linear(library([1e-300], dtype=np.float64 if library is np.asarray else torch.float64))
    big = algebra.encode_log(library([1e30]), "float32")
    with pytest.raises(algebra.DomainError, match="normal numbers"):
        algebra.decode_log(algebra.multiply(big, big))
    with pytest.raises(algebra.DomainError, match="normal numbers"):
        algebra.decode_log(algebra.reciprocal(algebra.multiply(big, big)))
    with pytest.raises(algebra.DomainError, match="decoded"):
        algebra.decode_linear(algebra.add(library([2e305]), library([2e305])).reshape(1, 1))
    with pytest.raises(algebra.DomainError, match="counted"):
        algebra.error_bound("divide", 1.0, 0.0, dtype="float32")
