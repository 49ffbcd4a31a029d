"""Chainrule: a deep-learning framework that reads like a textbook and runs like an engine."""

from importlib import import_module as _import
from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any

from numpy import dtype as _dtype

if _TYPE_CHECKING:  # the records' type; mypy keeps the first definition of a name
    from chainrule.records import *  # noqa: F403
from chainrule.errors import ChainruleError as ChainruleError
from chainrule.settings import (
    get_default_dtype as get_default_dtype, set_default_dtype as set_default_dtype,
)
from chainrule.primitive import Spec as Spec, primitive as primitive
from chainrule.graph import Graph as Graph
from chainrule.tensor import Tensor as Tensor
from chainrule.gateway import apply as apply, require as require
from chainrule.grad_mode import (
    enable_grad as enable_grad, is_grad_enabled as is_grad_enabled, no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from chainrule.autograd import (
    detect_anomaly as detect_anomaly, grad as grad, gradients as gradients, hessian as hessian,
    jacobian as jacobian, jvp as jvp, value_and_grad as value_and_grad, vjp as vjp,
)
from chainrule.transforms.recompute import checkpoint as checkpoint
from chainrule.transforms.vmap import vmap as vmap
from chainrule.gradcheck import gradcheck as gradcheck, gradgradcheck as gradgradcheck
from chainrule.ops.compare import (  # type: ignore[assignment]
    astype as astype, bitwise_and as bitwise_and, bitwise_not as bitwise_not,
    bitwise_or as bitwise_or, bitwise_xor as bitwise_xor, clamp as clamp, eq as eq, ge as ge,
    gt as gt, isfinite as isfinite, isinf as isinf, isnan as isnan, le as le, lt as lt, ne as ne,
    where as where,
)
from chainrule.ops.elementwise import (  # type: ignore[assignment]
    abs as abs, add as add, arctan as arctan, ceil as ceil, clone as clone, cos as cos,
    cosh as cosh, exp as exp, expm1 as expm1, floor as floor,
    floor_divide as floor_divide, log as log, log1p as log1p, maximum as maximum,
    minimum as minimum, mul as mul, neg as neg, pow as pow, remainder as remainder, round as round,
    rsqrt as rsqrt, sign as sign, sin as sin, sinh as sinh, sqrt as sqrt, square as square,
    sub as sub, tan as tan, tanh as tanh, trunc as trunc,
)
from chainrule.ops.special import (  # type: ignore[assignment]
    erf as erf, normal_cdf as normal_cdf, relu as relu, sigmoid as sigmoid,
)
from chainrule.ops.transcendental import *  # type: ignore[assignment]  # noqa: F403
from chainrule.ops.gamma import *  # type: ignore[assignment]  # noqa: F403
from chainrule.ops.arithmetic import *  # type: ignore[assignment]  # noqa: F403
from chainrule.ops.logic import *  # type: ignore[assignment]  # noqa: F403
from chainrule.ops.reduce import (  # type: ignore[assignment]
    all as all, all_finite as all_finite, amax as amax, amin as amin, any as any, argmax as argmax,
    argmin as argmin, cumsum as cumsum, mean as mean, prod as prod,
    sum as sum, sum_to_size as sum_to_size, var as var,
)
from chainrule.ops.norms import *  # noqa: F403
from chainrule.ops.shape import (  # type: ignore[assignment]
    cat as cat, chunk as chunk, expand as expand, flatten as flatten, flip as flip,
    movedim as movedim, pad as pad, permute as permute, reshape as reshape, roll as roll,
    split as split, squeeze as squeeze, stack as stack, tile as tile, transpose as transpose,
    tril as tril, triu as triu, unsqueeze as unsqueeze,
)
from chainrule.ops.index import (  # type: ignore[assignment]
    gather as gather, index_put as index_put, nonzero as nonzero, scatter_add as scatter_add,
)
from chainrule.ops.order import (  # type: ignore[assignment]
    argsort as argsort, max as max, min as min, sort as sort, topk as topk,
)
from chainrule.ops.scan import *  # type: ignore[assignment]  # noqa: F403
from chainrule.ops.statistics import *  # noqa: F403
from chainrule.ops.contract import (  # type: ignore[assignment]
    einsum as einsum, matmul as matmul,
)
from chainrule.ops.fused import (  # type: ignore[assignment]
    log_softmax as log_softmax, logsumexp as logsumexp, softmax as softmax,
)
from chainrule.ops.random import (
    Generator as Generator, default_generator as default_generator, manual_seed as manual_seed,
)
from chainrule.ops.creation import (
    arange as arange, empty as empty, eye as eye, from_dlpack as from_dlpack, full as full,
    from_numpy as from_numpy, full_like as full_like, linspace as linspace, ones as ones,
    ones_like as ones_like, rand as rand, randint as randint, randn as randn,
    randperm as randperm, spec as spec, tensor as tensor, zeros as zeros, zeros_like as zeros_like,
)

__version__ = "0.1.0"

float16, float32, float64 = _dtype("float16"), _dtype("float32"), _dtype("float64")
int8, int16, int32, int64 = _dtype("int8"), _dtype("int16"), _dtype("int32"), _dtype("int64")
uint8, bool = _dtype("uint8"), _dtype("bool")

if _TYPE_CHECKING:
    from chainrule import data as data, nn as nn, optim as optim, train as train
    from chainrule.compiler import Compiled as Compiled, Trace as Trace
    from chainrule.compiler import compile as compile, trace as trace
    from chainrule.train import Trainer as Trainer, load as load, save as save

# The upper floors load at their first use, so that the import costs little more than NumPy's.
_LATER = {
    "Compiled": "compiler", "Trace": "compiler", "compile": "compiler", "trace": "compiler",
    "Trainer": "train", "load": "train", "save": "train",
}  # fmt: skip
_PARTS = ("compiler", "data", "nn", "optim", "train")


def __getattr__(name: str) -> _Any:
    if name in _PARTS:
        return _import(f"chainrule.{name}")
    if name not in _LATER:
        raise AttributeError(f"module 'chainrule' has no attribute {name!r}")
    value = getattr(_import(f"chainrule.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(name for name in {*globals(), *_LATER, *_PARTS} if name[0] != "_")
