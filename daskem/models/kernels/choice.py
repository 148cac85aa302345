"""A kernel where it is to be computed."""

from daskem.models.kernels.backends import COMPILED, CUPY
from daskem.models.kernels.centred import CentredForm
from daskem.models.kernels.compiled import MANY, CompiledKernel
from daskem.models.kernels.gpu import GpuKernel
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.protocol import Kernel
from daskem.models.kernels.terms import Terms
from daskem.models.kernels.tiled import TiledKernel


def computed(kernel: Kernel, backend: str, terms: Terms) -> Kernel:
    """The same on a backend, of a family whose features are `terms`.

    A kernel of a family's own stays what it is.
    """
    if not isinstance(kernel, TiledKernel) or not isinstance(kernel.form, ProductForm):
        return kernel
    if backend == CUPY:
        return GpuKernel(kernel, kernel.form, terms)
    return _compiled(kernel, kernel.form, terms) if backend == COMPILED else kernel


def _compiled(kernel: TiledKernel, form: ProductForm, terms: Terms) -> Kernel:
    """The same in machine code, unless its work is large products."""
    guard = kernel.guard
    if guard is None:
        return CompiledKernel(kernel, form, terms, None)
    if not isinstance(guard.centred, CentredForm):
        return kernel
    d = guard.centred.candidates[0].means.shape[1]
    left = guard.usual(d) is guard.centred and d > MANY
    return kernel if left else CompiledKernel(kernel, form, terms, guard.centred)
