"""Laws that hold with either kernel: the compiled one where numba is installed."""

import pytest

from daskem.models.kernels.compiled import installed

needs_numba = pytest.mark.skipif(not installed(), reason="numba is not installed")
KERNELS = ["numpy", pytest.param("compiled", marks=needs_numba)]

every_kernel = pytest.mark.parametrize("kernel", KERNELS)
