"""Two codes in which arithmetic is vector addition, and how far the results may be off.

    linear code    [..., 1]   x * 2**-k                    a + b  is  E(a) + E(b)
    log code       [..., 4]   (log2|x|, n, p, q)           a * b  is  E(a) + E(b)

In the log code the sign is a count ``n`` (its parity decides), and zero factors are counted, ``p`` above the
line and ``q`` below it, so that signs and zeros are sums as well. Decoding reads: p > 0 alone is 0, q > 0 alone
is an infinity with its sign, both together are NaN. Nothing is clamped: what a dtype cannot hold raises.

Works on numpy arrays and on torch tensors alike (the library of the argument is used throughout, gradients
pass), any leading shape. ``dtype`` is ``"float32"`` or ``"float64"``: the precision in which codes are kept.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

Array = Any
"""A numpy array or a torch tensor, any leading shape."""
DType = Literal["float32", "float64"]
LogOperation = Literal["multiply", "divide"]
LinearOperation = Literal["add", "subtract"]

LINEAR_SCALE = 10
"""k of the linear code: numbers around 2**10 have codes around 1."""

_MANTISSA = {"float32": 24, "float64": 53}


class DomainError(ArithmeticError):
    """A number that a code cannot hold, or a result that a dtype cannot."""


def encode_linear(x: Array, dtype: DType = "float32") -> Array:
    """Code of ``x``, shape ``[..., 1]``. Exact but for the rounding of ``x`` to ``dtype``.

    Raises:
        DomainError: ``x`` is not finite, or its code would overflow or lose bits to underflow.
    """
    library, x = _finite(x)
    code = _cast(library, x * 2.0**-LINEAR_SCALE, dtype)
    if bool(((x != 0) & (abs(code) < library.finfo(code.dtype).tiny)).any()):
        raise DomainError(f"a number is too close to 0 for a linear code in {dtype}")
    return code[..., None]


def decode_linear(code: Array) -> Array:
    """The numbers of ``code``; exact, because the scale is a power of two.

    Raises:
        DomainError: a number is too large for the code's dtype.
    """
    library = _library(code)
    with np.errstate(over="ignore"):
        value = code[..., 0] * 2.0**LINEAR_SCALE
    if not bool(library.isfinite(value).all()):
        raise DomainError(f"a decoded number is too large for {code.dtype}")
    return value


def add(left: Array, right: Array) -> Array:
    """Linear code of a sum."""
    return left + right


def subtract(left: Array, right: Array) -> Array:
    """Linear code of a difference."""
    return left - right


def encode_log(x: Array, dtype: DType = "float32") -> Array:
    """Code of ``x``, shape ``[..., 4]``. The logarithm is taken in float64 and then rounded to ``dtype``.

    Raises:
        DomainError: ``x`` is not finite.
    """
    library, x = _finite(x)
    zero = x == 0
    magnitude = library.log2(library.where(zero, library.ones_like(x), abs(x)))
    kind = getattr(library, dtype)
    if library is np:
        code = np.zeros((*x.shape, 4), dtype)
        code[..., 0], code[..., 1], code[..., 2] = magnitude, x < 0, zero
        return code
    counts = [(x < 0).to(kind), zero.to(kind), library.zeros_like(x, dtype=kind)]
    return library.stack([magnitude.to(kind), *counts], -1)


def decode_log(code: Array) -> Array:
    """The numbers of ``code``, in its dtype. 0 / 0 decodes to NaN and x / 0 to an infinity, as counted.

    Raises:
        DomainError: a magnitude lies outside the dtype's normal numbers.
    """
    library = _library(code)
    limits = library.finfo(code.dtype)
    zeros, poles = code[..., 2] > 0, code[..., 3] > 0
    magnitude = library.where(zeros | poles, library.zeros_like(code[..., 0]), code[..., 0])
    if bool(((magnitude >= math.log2(limits.max)) | (magnitude < math.log2(limits.tiny))).any()):
        raise DomainError(f"a decoded magnitude lies outside the normal numbers of {code.dtype}")
    wide = magnitude.astype("float64") if library is np else magnitude.double()
    sign = 1.0 - 2.0 * (library.round(code[..., 1]) % 2)
    value = library.exp2(wide)
    value = library.where(zeros, library.zeros_like(value), value)
    value = library.where(poles, library.where(zeros, math.nan, math.inf), value)
    return _cast(library, sign * value, str(code.dtype).removeprefix("torch."))


def multiply(left: Array, right: Array) -> Array:
    """Log code of a product."""
    return left + right


def divide(left: Array, right: Array) -> Array:
    """Log code of a quotient: the product with the reciprocal's code."""
    return left + reciprocal(right)


def reciprocal(code: Array) -> Array:
    """Log code of 1 / x: the magnitude turns round, zeros above and below the line change places."""
    library = _library(code)
    return library.stack([-code[..., 0], code[..., 1], code[..., 3], code[..., 2]], -1)


def error_bound(operation: LinearOperation | LogOperation, a: Array, b: Array, *, dtype: DType) -> Array:
    """Largest ``|decoded - exact|`` of one operation on codes, as float64; ``a`` and ``b`` are float64 numbers.

    With unit roundoff ``u`` (2**-24 or 2**-53) and ``r`` the rounding of an input to dtype (u, or 0 in float64):

    * add, subtract. Codes carry ``|a| r`` and ``|b| r``; their sum is rounded once, and its exact value is at
      most ``(|a| + |b|)(1 + r)``. Scaling by a power of two is exact. Together
      ``(|a| + |b|) (r + u (1 + r))``. It is 0 for integers with ``|a| + |b| <= 1/u``: nothing is rounded.
    * multiply, divide. Let A = |log2|a||, B = |log2|b||. log2 and exp2 run in float64 with a relative error of at
      most ``l`` = 2 ulp = 2**-51 (glibc and SVML promise less than 1). A stored logarithm is off by at most ``A e``,
      ``e = l + r(1 + l)``, and the sum, at most ``(A + B)(1 + e)``, is rounded once by ``u``. So the exponent is off
      by ``E = (A + B)(e + u (1 + e))``, and the result relatively by at most
      ``(2**E)(1 + d) - 1`` with ``d = l + r(1 + l)`` for exp2 and the final rounding. To first order:
      ``u (2 (|ln a| + |ln b|) + 1)`` in float32; in float64 the library's 2 ulp count: ``u (5 (..) + 4)``.

    Raises:
        DomainError: an operand of multiply or divide is 0 (the counters are exact there: no bound is needed).
    """
    a, b = np.abs(np.asarray(a, "float64")), np.abs(np.asarray(b, "float64"))
    unit = 2.0 ** -_MANTISSA[dtype]
    rounding = unit if dtype == "float32" else 0.0
    if operation in ("add", "subtract"):
        bound = (a + b) * (rounding + unit * (1 + rounding))
        exact = (a == np.floor(a)) & (b == np.floor(b)) & (a + b <= 1 / unit)
        return np.where(exact, 0.0, bound)
    if (a == 0).any() or (b == 0).any():
        raise DomainError("error_bound: a product or quotient with 0 is counted, not computed")
    library = 2.0**-51
    stored = library + rounding * (1 + library)
    exponent = (np.abs(np.log2(a)) + np.abs(np.log2(b))) * (stored + unit * (1 + stored))
    relative = np.expm1(math.log(2) * exponent) * (1 + stored) + stored
    # 1 + 2**-50 covers the rounding of this formula itself and of the product below.
    return (a * b if operation == "multiply" else a / b) * relative * (1 + 2.0**-50)


def _library(x: Array) -> Any:
    if type(x).__module__.startswith("torch"):
        import torch

        return torch
    return np


def _finite(x: Array) -> tuple[Any, Array]:
    library = _library(x)
    x = np.asarray(x, "float64") if library is np else x.double()
    if not bool(library.isfinite(x).all()):
        raise DomainError("only finite numbers have a code")
    return library, x


def _cast(library: Any, x: Array, dtype: str) -> Array:
    if library is not np:
        out = x.to(getattr(library, dtype))
        lost = bool((~library.isfinite(out) & library.isfinite(x)).any())
    else:
        with np.errstate(over="ignore"):
            out = x.astype(dtype)
        lost = dtype != "float64" and bool((~np.isfinite(out) & np.isfinite(x)).any())
    if lost:
        raise DomainError(f"a number is too large for {dtype}")
    return out
