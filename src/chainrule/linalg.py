"""Linear algebra by PyTorch's names: inverses, systems, decompositions and norms of matrices.

>>> import chainrule as cr
>>> from chainrule import linalg
>>> linalg.det(cr.tensor([[1.0, 2.0], [3.0, 5.0]])).round()
tensor(-1.)
"""

from chainrule.errors import LinAlgError as LinAlgError
from chainrule.ops.contract import (
    matmul as matmul,
)
from chainrule.ops.matrices import (
    cholesky as cholesky,
)
from chainrule.ops.matrices import (
    cross as cross,
)
from chainrule.ops.matrices import (
    det as det,
)
from chainrule.ops.matrices import (
    eigh as eigh,
)
from chainrule.ops.matrices import (
    eigvalsh as eigvalsh,
)
from chainrule.ops.matrices import (
    householder_product as householder_product,
)
from chainrule.ops.matrices import (
    inv as inv,
)
from chainrule.ops.matrices import (
    lstsq as lstsq,
)
from chainrule.ops.matrices import (
    matrix_exp as matrix_exp,
)
from chainrule.ops.matrices import (
    matrix_norm as matrix_norm,
)
from chainrule.ops.matrices import (
    matrix_power as matrix_power,
)
from chainrule.ops.matrices import (
    matrix_rank as matrix_rank,
)
from chainrule.ops.matrices import (
    multi_dot as multi_dot,
)
from chainrule.ops.matrices import (
    norm as norm,
)
from chainrule.ops.matrices import (
    pinv as pinv,
)
from chainrule.ops.matrices import (
    qr as qr,
)
from chainrule.ops.matrices import (
    slogdet as slogdet,
)
from chainrule.ops.matrices import (
    solve as solve,
)
from chainrule.ops.matrices import (
    svd as svd,
)
from chainrule.ops.matrices import (
    svdvals as svdvals,
)
from chainrule.ops.matrices import (
    vector_norm as vector_norm,
)
from chainrule.ops.systems import (
    cholesky_ex as cholesky_ex,
)
from chainrule.ops.systems import (
    cond as cond,
)
from chainrule.ops.systems import (
    diagonal as diagonal,
)
from chainrule.ops.systems import (
    inv_ex as inv_ex,
)
from chainrule.ops.systems import (
    lu as lu,
)
from chainrule.ops.systems import (
    lu_factor as lu_factor,
)
from chainrule.ops.systems import (
    lu_factor_ex as lu_factor_ex,
)
from chainrule.ops.systems import (
    lu_solve as lu_solve,
)
from chainrule.ops.systems import (
    solve_ex as solve_ex,
)
from chainrule.ops.systems import (
    solve_triangular as solve_triangular,
)
from chainrule.ops.systems import (
    tensorinv as tensorinv,
)
from chainrule.ops.systems import (
    tensorsolve as tensorsolve,
)
from chainrule.ops.systems import (
    vander as vander,
)
from chainrule.ops.systems import (
    vecdot as vecdot,
)
