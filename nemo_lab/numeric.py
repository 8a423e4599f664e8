"""Arrays of real numbers, from whatever objects of other people give for one.

What goes on from here to compiled code is finite and has the shape that it says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 1e100  # in magnitude: squares and products of what is much larger overflow
EXACT = 2**53  # whole numbers beyond are not all told apart by float64


def real_numbers(given: Any) -> NDArray[np.float64]:
    """Numbers of any array, sequence or table, exactly as float64; NaN and infinity are left in.

    Raises:
        ValueError: on anything else; says in words that follow "returned" what it is.

    >>> real_numbers([[1, 0.5]]).tolist()
    [[1.0, 0.5]]
    >>> real_numbers([1j])
    Traceback (most recent call last):
        ...
    ValueError: numbers of type complex128
    """
    if np.ma.isMaskedArray(given) and np.ma.getmaskarray(given).any():
        raise ValueError("an array with masked entries")
    try:
        array = np.asarray(given)
    except Exception as error:  # rows of several lengths, or what the object's own methods raise
        raise ValueError(f"a {type(given).__name__} that cannot be made an array: {error}") from error
    if array.dtype.kind == "O":
        array = _of_objects(array)
    if array.dtype.kind not in "biuf":
        what = "texts" if array.dtype.kind in "SU" else f"numbers of type {array.dtype}"
        raise ValueError(what)
    if array.dtype.kind in "iu" and array.size and not -EXACT <= array.min() <= array.max() <= EXACT:
        raise ValueError("whole numbers beyond 2**53, which float64 does not tell apart")
    with np.errstate(over="ignore"):
        return np.asarray(array, dtype=np.float64)


def wrong_number(array: NDArray[np.float64]) -> str:
    """What is wrong with a number that is not finite, or too large to compute with; empty for none."""
    wrong = array[~(np.abs(array) <= LARGEST)]
    if not wrong.size:
        return ""
    return f"larger than {LARGEST:g}" if np.isfinite(wrong[0]) else "not finite"


def _of_objects(array: NDArray[Any]) -> NDArray[np.float64]:
    """The same of an array of Python's or other libraries' single numbers."""
    found = np.empty(array.shape, dtype=np.float64)
    for place, one in np.ndenumerate(array):
        if isinstance(one, int) and abs(one) > EXACT:
            raise ValueError("whole numbers beyond 2**53, which float64 does not tell apart")
        try:
            if isinstance(one, str | bytes | complex | np.complexfloating):
                raise TypeError
            found[place] = float(one)
        except Exception as error:
            raise ValueError(f"a {type(one).__name__} among numbers") from error
    return found
