"""BLAS and LAPACK inside compiled loops: SciPy's own, called by address on pieces of flat arrays.

numba's `np.dot` wants two-dimensional views and takes most of a second to compile wherever it stands. A call by
address takes a tenth of that, writes in place, and reaches the triangular routines, which numba does not have.

The routines read matrices by columns. A row-major panel of ``height × width`` numbers is its transpose to them, with
leading dimension ``width``, and a lower triangle L is an upper one, U = L'.
"""

from inspect import Parameter, Signature
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic

NAMES = ("blas.dgemm", "blas.dtrsm", "blas.dsymm", "blas.dgemv", "blas.dtrsv", "lapack.dpotrf", "lapack.dpotri")
# Handed to each kernel: compiled code is kept on disk, and addresses differ from process to process
ROUTINES = np.array([get_cython_function_address(*f"scipy.linalg.cython_{n}".rsplit(".", 1)) for n in NAMES], np.int64)

_CHAR, _INT, _LONG, _REAL = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.DoubleType()


def _routine(name: str, layout: str) -> Any:
    """A routine as a function for compiled code; it returns the routine's `info`, 0 where it has none.

    The first argument is `ROUTINES`; then comes what `layout` says, a letter an argument of the routine: i an integer,
    d a number, a an array and the offset where the matrix begins. Capitals are flags, and 0 the place of `info`;
    neither is an argument here.
    """
    slot = NAMES.index(name)

    def typed(_: Any, routines: Any, *given: Any) -> tuple[Any, Any]:
        wanted: list[Any] = []
        for kind in layout:
            if kind == "a":
                wanted += [given[len(wanted)], types.int64]
            elif kind in "id":
                wanted.append(types.int64 if kind == "i" else types.float64)
        return types.int64(routines, *wanted), generate

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def start_of(k: int) -> Any:
            return context.make_array(signature.args[k])(context, builder, values[k]).data

        addresses, k, info = [], 1, None
        for kind in layout:
            if kind == "a":
                addresses.append(builder.gep(start_of(k), [values[k + 1]]))
                k += 2
                continue
            if kind in "id":
                value = builder.trunc(values[k], _INT) if kind == "i" else values[k]
                k += 1
            else:
                value = ir.Constant(_INT, 0) if kind == "0" else ir.Constant(_CHAR, ord(kind))
            addresses.append(cgutils.alloca_once_value(builder, value))  # type: ignore[no-untyped-call]
            info = addresses[-1] if kind == "0" else info
        shape = ir.FunctionType(ir.VoidType(), [address.type for address in addresses])
        address = builder.load(builder.gep(start_of(0), [ir.Constant(_LONG, slot)]))
        builder.call(builder.inttoptr(address, shape.as_pointer()), addresses)
        return ir.Constant(_LONG, 0) if info is None else builder.sext(builder.load(info), _LONG)

    names = ["typing", "routines", *(f"{kind}{k}" for k, kind in enumerate(layout.replace("a", "ai")) if kind in "aid")]
    typed.__signature__ = Signature([Parameter(n, Parameter.POSITIONAL_OR_KEYWORD) for n in names])  # type: ignore
    return intrinsic(typed)


# C ← alpha op(A) op(B) + beta C: m, n and the length of the sums, alpha, A, B, beta, C
gemm_nn = _routine("blas.dgemm", "NNiiidaiaidai")
gemm_nt = _routine("blas.dgemm", "NTiiidaiaidai")
gemm_tn = _routine("blas.dgemm", "TNiiidaiaidai")
# C ← alpha B A + beta C with a symmetric A, its upper triangle: m, n, alpha, A, B, beta, C
symm_right = _routine("blas.dsymm", "RUiidaiaidai")
# B, (m, n), over by the solution of U'X = B, UX = B, XU = B, XU' = B: m, n, alpha, U, B
solve_ut_x = _routine("blas.dtrsm", "LUTNiidaiai")
solve_u_x = _routine("blas.dtrsm", "LUNNiidaiai")
solve_x_u = _routine("blas.dtrsm", "RUNNiidaiai")
solve_x_ut = _routine("blas.dtrsm", "RUTNiidaiai")
# y ← alpha A x + beta y and the same with A': m, n of A, alpha, A, x, beta, y
gemv_n = _routine("blas.dgemv", "Niidaiaidai")
gemv_t = _routine("blas.dgemv", "Tiidaiaidai")
# x over by the solution of U'y = x, Uy = x: n, U, x
solve_ut = _routine("blas.dtrsv", "UTNiaiai")
solve_u = _routine("blas.dtrsv", "UNNiaiai")
# A = U'U, U over A, and (U'U)⁻¹ over U: n, A
potrf = _routine("lapack.dpotrf", "Uiai0")
potri = _routine("lapack.dpotri", "Uiai0")
