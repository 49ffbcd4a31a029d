"""Products, einsum and linear algebra give what PyTorch gives: values and gradients."""

import numpy as np
import pytest

pytest.importorskip("torch")
from tests.ops.parity import compare, numbers, second_order

import chainrule as cr

pytestmark = pytest.mark.parity
INF = float("inf")


CALLS = {
    # name: (function of (library, tensors...), shapes of the inputs)
    "mm": (lambda m, x, y: m.mm(x, y), (3, 4), (4, 2)),
    "bmm": (lambda m, x, y: m.bmm(x, y), (2, 3, 4), (2, 4, 2)),
    "mv": (lambda m, x, y: m.mv(x, y), (3, 4), (4,)),
    "dot": (lambda m, x, y: m.dot(x, y), (4,), (4,)),
    "vdot": (lambda m, x, y: m.vdot(x, y), (4,), (4,)),
    "outer": (lambda m, x, y: m.outer(x, y), (3,), (4,)),
    "inner": (lambda m, x, y: m.inner(x, y), (2, 3, 4), (5, 4)),
    "inner of numbers": (lambda m, x, y: m.inner(x, y), (), (5, 4)),
    "addmm": (lambda m, c, x, y: m.addmm(c, x, y, beta=0.5, alpha=2), (2,), (3, 4), (4, 2)),
    "addmv": (lambda m, c, x, y: m.addmv(c, x, y), (3,), (3, 4), (4,)),
    "addr": (lambda m, c, x, y: m.addr(c, x, y, alpha=-1), (3, 4), (3,), (4,)),
    "baddbmm": (lambda m, c, x, y: m.baddbmm(c, x, y), (2, 3, 2), (2, 3, 4), (2, 4, 2)),
    "addbmm": (lambda m, c, x, y: m.addbmm(c, x, y), (3, 2), (2, 3, 4), (2, 4, 2)),
    "tensordot": (lambda m, x, y: m.tensordot(x, y), (2, 3, 4), (3, 4, 5)),
    "tensordot of pairs": (
        lambda m, x, y: m.tensordot(x, y, dims=([0, 2], [1, 0])),
        (2, 3, 4),
        (4, 2),
    ),
    "tensordot of none": (lambda m, x, y: m.tensordot(x, y, dims=0), (2,), (3,)),
    "kron": (lambda m, x, y: m.kron(x, y), (2, 3), (4, 2)),
    "kron of a vector": (lambda m, x, y: m.kron(x, y), (2, 3), (4,)),
    "multi_dot": (lambda m, x, y, z: m.linalg.multi_dot([x, y, z]), (4,), (4, 3), (3, 2)),
    "cross": (lambda m, x, y: m.linalg.cross(x, y), (2, 3), (2, 3)),
    "cross dim": (lambda m, x, y: m.cross(x, y, dim=0), (3, 2), (3, 2)),
    "cdist": (lambda m, x, y: m.cdist(x, y), (3, 4), (5, 4)),
    "einsum diagonal": (lambda m, x: m.einsum("ii->i", x), (3, 3)),
    "einsum trace": (lambda m, x: m.einsum("bii", x), (2, 3, 3)),
    "einsum twice": (lambda m, x, y: m.einsum("iij,jj->i", x, y), (3, 3, 2), (2, 2)),
    "einsum spaces": (lambda m, x, y: m.einsum("i j, k j -> k i", x, y), (2, 3), (4, 3)),
    "einsum list": (lambda m, x, y: m.einsum("ij,jk", [x, y]), (2, 3), (3, 4)),
    "einsum sublists": (lambda m, x, y: m.einsum(x, [0, 1], y, [1, 2], [2, 0]), (2, 3), (3, 4)),
    "einsum sublists dots": (
        lambda m, x, y: m.einsum(x, [..., 0, 1], y, [..., 1, 2]),
        (5, 2, 3),
        (5, 3, 4),
    ),
    "einsum broadcast": (lambda m, x, y: m.einsum("...i,...i->...", x, y), (5, 1, 3), (4, 3)),
    "einsum of ones": (lambda m, x, y: m.einsum("ij,ij->i", x, y), (2, 3), (1, 3)),
    "einsum outer": (lambda m, x, y: m.einsum("A,b->bA", x, y), (2,), (3,)),
    "einsum of numbers": (lambda m, x, y: m.einsum(",i->i", x, y), (), (3,)),
    "inv": (lambda m, x: m.linalg.inv(x + 3 * m.eye(3).double()), (2, 3, 3)),
    "det": (lambda m, x: m.linalg.det(x), (2, 3, 3)),
    "slogdet": (lambda m, x: m.linalg.slogdet(x), (2, 3, 3)),
    "solve": (lambda m, x, y: m.linalg.solve(x + 3 * m.eye(3).double(), y), (2, 3, 3), (2, 3, 2)),
    "solve a vector": (lambda m, x, y: m.linalg.solve(x, y), (3, 3), (3,)),
    "solve right": (lambda m, x, y: m.linalg.solve(x, y, left=False), (3, 3), (2, 3)),
    "lstsq": (lambda m, x, y: m.linalg.lstsq(x, y).solution, (5, 3), (5, 2)),
    "cholesky": (lambda m, x: m.linalg.cholesky(x @ x.mT + m.eye(3).double()), (2, 3, 4)),
    "cholesky upper": (lambda m, x: m.linalg.cholesky(x @ x.mT, upper=True), (3, 4)),
    "qr": (lambda m, x: m.linalg.qr(x), (2, 4, 3)),
    "svdvals": (lambda m, x: m.linalg.svdvals(x), (2, 4, 3)),
    "svd": (
        lambda m, x: [v.abs() for v in m.linalg.svd(x, full_matrices=False)],
        (2, 4, 3),
    ),
    "svd wide": (lambda m, x: [v.abs() for v in m.linalg.svd(x, False)], (2, 4)),
    "eigh": (lambda m, x: [v.abs() for v in m.linalg.eigh(x @ x.mT)], (3, 4)),
    "eigvalsh": (lambda m, x: m.linalg.eigvalsh(x @ x.mT), (2, 3, 4)),
    "pinv": (lambda m, x: m.linalg.pinv(x), (2, 4, 3)),
    "pinv wide": (lambda m, x: m.linalg.pinv(x), (3, 5)),
    "matrix_power": (lambda m, x: m.linalg.matrix_power(x, 5), (2, 3, 3)),
    "matrix_power below 0": (lambda m, x: m.linalg.matrix_power(x, -2), (3, 3)),
    "matrix_power 0": (lambda m, x: m.linalg.matrix_power(x, 0) + 0 * x, (3, 3)),
    "matrix_exp": (lambda m, x: m.linalg.matrix_exp(x), (2, 3, 3)),
    "matrix_exp of large": (lambda m, x: m.linalg.matrix_exp(10 * (x - x.mT)), (3, 3)),
    "householder_product": (lambda m, x, t: m.linalg.householder_product(x, t), (2, 4, 3), (2, 3)),
    "lu": (lambda m, x: m.linalg.lu(x), (2, 3, 3)),
    "lu of wide": (lambda m, x: m.linalg.lu(x.detach()), (2, 3, 4)),
    "lu of high": (lambda m, x: m.linalg.lu(x.detach()), (4, 3)),
    "lu_factor": (lambda m, x: m.linalg.lu_factor(x), (2, 3, 3)),
    "lu_factor_ex": (lambda m, x: m.linalg.lu_factor_ex(x.detach() * 0), (3, 3)),
    "lu_unpack": (lambda m, x: m.lu_unpack(*m.linalg.lu_factor(x)), (3, 3)),
    "lu_solve": (lambda m, x, y: m.linalg.lu_solve(*m.linalg.lu_factor(x), y), (3, 3), (3, 2)),
    "lu_solve right": (
        lambda m, x, y: m.linalg.lu_solve(*m.linalg.lu_factor(x), y, left=False),
        (2, 3, 3),
        (2, 2, 3),
    ),
    "lu_solve adjoint": (
        lambda m, x, y: m.linalg.lu_solve(*m.linalg.lu_factor(x), y, adjoint=True),
        (3, 3),
        (3, 2),
    ),
    "solve_triangular": (
        lambda m, x, y: m.linalg.solve_triangular(x, y, upper=True),
        (2, 3, 3),
        (2, 3, 2),
    ),
    "solve_triangular right": (
        lambda m, x, y: m.linalg.solve_triangular(
            x, y, upper=False, left=False, unitriangular=True
        ),
        (3, 3),
        (2, 3),
    ),
    "cholesky_solve": (
        lambda m, x, y: m.cholesky_solve(y, m.linalg.cholesky(x @ x.mT)),
        (3, 4),
        (3, 2),
    ),
    "cholesky_solve upper": (
        lambda m, x, y: m.cholesky_solve(y, m.linalg.cholesky(x @ x.mT, upper=True), upper=True),
        (3, 4),
        (3, 2),
    ),
    "cholesky_inverse": (lambda m, x: m.cholesky_inverse(m.linalg.cholesky(x @ x.mT)), (2, 3, 4)),
    "cholesky_ex": (lambda m, x: m.linalg.cholesky_ex(x @ x.mT), (2, 3, 4)),
    "cholesky_ex fails": (lambda m, x: m.linalg.cholesky_ex(x - 5).info, (2, 3, 3)),
    "inv_ex": (lambda m, x: m.linalg.inv_ex(x), (2, 3, 3)),
    "inv_ex fails": (lambda m, x: m.linalg.inv_ex(x - x[:1]).info, (3, 3)),
    "solve_ex": (lambda m, x, y: m.linalg.solve_ex(x, y), (2, 3, 3), (2, 3, 2)),
    "cond": (lambda m, x: m.linalg.cond(x), (2, 4, 3)),
    "cond -2": (lambda m, x: m.linalg.cond(x, -2), (2, 3, 3)),
    "cond fro": (lambda m, x: m.linalg.cond(x.detach(), "fro"), (2, 3, 3)),
    "cond 1": (lambda m, x: m.linalg.cond(x.detach(), 1), (3, 3)),
    "diagonal": (lambda m, x: m.linalg.diagonal(x, offset=1), (2, 3, 4)),
    "vecdot": (lambda m, x, y: m.linalg.vecdot(x, y, dim=0), (3, 4), (3, 4)),
    "vander": (lambda m, x: m.linalg.vander(x, N=4), (2, 3)),
    "matmul": (lambda m, x, y: m.linalg.matmul(x, y), (2, 3, 4), (4, 2)),
    "tensorinv": (lambda m, x: m.linalg.tensorinv(x, 1), (6, 2, 3)),
    "tensorsolve": (lambda m, x, y: m.linalg.tensorsolve(x, y), (2, 3, 6), (2, 3)),
    "tensorsolve dims": (
        lambda m, x, y: m.linalg.tensorsolve(x, y, dims=(0,)),
        (6, 2, 3),
        (2, 3),
    ),
    "matrix_rank": (lambda m, x: m.linalg.matrix_rank(x.detach()), (2, 4, 3)),
    "vector_norm": (lambda m, x: m.linalg.vector_norm(x, 3, dim=(0, 1)), (2, 4, 3)),
    "norm": (lambda m, x: m.linalg.norm(x), (2, 4, 3)),
    "norm of rows": (lambda m, x: m.linalg.norm(x, dim=1, keepdim=True), (4, 3)),
    "norm of order": (lambda m, x: m.linalg.norm(x, 1), (4, 3)),
}
for _order in ("fro", "nuc", 1, -1, 2, -2, INF, -INF):
    CALLS[f"matrix_norm {_order}"] = (
        lambda m, x, p=_order: m.linalg.matrix_norm(x, p, dim=(0, 2), keepdim=True),
        (4, 2, 3),
    )


@pytest.mark.parametrize("name", CALLS)
def test_call(name):
    function, *shapes = CALLS[name]
    arrays = [numbers(shape, seed) for seed, shape in enumerate(shapes)]
    compare(function, arrays, 1e-8)  # a matrix's condition multiplies roundings


def test_determinant_of_a_singular_matrix_has_its_gradient():
    x = cr.tensor([[1.0, 2.0], [2.0, 4.0]], requires_grad=True)
    cr.linalg.det(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[4.0, -2.0], [-2.0, 1.0]], rtol=1e-5)  # float32


SECOND = [
    "inv",
    "det",
    "slogdet",
    "solve",
    "cholesky",
    "qr",
    "svdvals",
    "eigvalsh",
    "pinv",
    "matrix_exp",
    "householder_product",
    "kron",
    "einsum twice",
    "lu",
    "solve_triangular",
    "matrix_norm nuc",
]


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)], ids=str)
def test_a_few_singular_values_are_those_of_the_svd(shape):
    x = cr.tensor(numbers(shape))
    u, s, v = cr.svd_lowrank(x, 4)
    np.testing.assert_allclose((u * s @ v.mT).numpy(), x.numpy(), atol=1e-12)  # all rank 4
    _, s, v = cr.pca_lowrank(x, 2)
    centered = x - x.mean(0, keepdim=True)
    values = cr.linalg.svdvals(centered).numpy()[:2]
    np.testing.assert_allclose(s.numpy(), values, rtol=0.1)  # directions are drawn
    assert v.shape == (shape[1], 2)


@pytest.mark.parametrize("name", SECOND)
def test_second_order(name):
    function, *shapes = CALLS[name]
    second_order(function, [numbers(shape, seed) for seed, shape in enumerate(shapes)])


def test_what_is_refused_says_why():
    with pytest.raises(RuntimeError, match="a matrix without an inverse"):
        cr.linalg.inv(cr.zeros(2, 2))
    with pytest.raises(RuntimeError, match="singular matrix"):
        cr.linalg.solve(cr.zeros(2, 2), cr.ones(2))
    with pytest.raises(RuntimeError, match="not positive definite"):
        cr.linalg.cholesky(-cr.eye(2))
    for call in (
        lambda: cr.linalg.inv_ex(cr.zeros(2, 2), check_errors=True),
        lambda: cr.linalg.solve_ex(cr.zeros(2, 2), cr.ones(2), check_errors=True),
        lambda: cr.linalg.cholesky_ex(-cr.eye(2), check_errors=True),
        lambda: cr.linalg.lu(cr.eye(2), pivot=False),
    ):
        with pytest.raises(RuntimeError, match=r"singular|positive definite|exchanged rows"):
            call()
    with pytest.raises(NotImplementedError, match="not square"):
        cr.linalg.lu(cr.ones(2, 3, requires_grad=True)).U.sum().backward()
    with pytest.raises(ValueError, match="as many"):
        cr.linalg.tensorsolve(cr.ones(2, 3), cr.ones(2))
    with pytest.raises(ValueError, match="square matrices"):
        cr.linalg.det(cr.ones(2, 3))
    with pytest.raises(ValueError, match="which broadcasts"):
        cr.mm(cr.ones(2, 2, 2), cr.ones(2, 2))
    with pytest.raises(ValueError, match="one letter per dimension"):
        cr.einsum("ij->k", cr.ones(2, 2))
