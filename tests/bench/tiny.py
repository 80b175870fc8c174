"""Cases small enough to race in a test; each contender's process imports this module."""

import numpy as np

from pymim.bench import Case, Scaling, Work


def _inputs():
    return np.arange(1000.0)


def _equal(ours, theirs):
    np.testing.assert_allclose(ours, theirs)


def _case(size, wrong=0.0):
    contenders = {
        "pymim": lambda x: x.sum,
        "torch": lambda x: lambda: sum(x[:size]) + sum(x[size:]) + wrong,
        "peer": lambda x: (lambda: x.tolist(), sum),
        "missing": _missing,
    }
    bars = {"torch": 2.0, "missing": 5.0}
    return Case(
        "sum",
        f"N {size}",
        _inputs,
        contenders,
        _equal,
        bars,
        None if wrong else Work(8000.0, "bytes", 8000.0),
        between=False,
        rounds=3,
    )


def _missing(x):
    import a_library_that_nobody_has

    return a_library_that_nobody_has.sum


def cases():
    return [_case(1000), _case(1000, wrong=1.0)]


def scaling():
    return [Scaling("sum", "N", [100, 1000], _case)]
