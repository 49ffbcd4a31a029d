"""Chainrule: a deep-learning framework that reads like a textbook and runs like an engine."""

from importlib import import_module as _import
from sys import modules as _modules
from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any

from numpy import dtype as _dtype

from chainrule.errors import ChainruleError as ChainruleError, unknown_name as _unknown_name
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
    detect_anomaly as detect_anomaly, grad as grad, gradients as gradients, jacobian as jacobian,
    value_and_grad as value_and_grad, vjp as vjp,
)
from chainrule.gradcheck import gradcheck as gradcheck, gradgradcheck as gradgradcheck
from chainrule.ops.compare import *
from chainrule.ops.elementwise import *
from chainrule.ops.special import *
from chainrule.ops.transcendental import *
from chainrule.ops.gamma import *
from chainrule.ops.incomplete_gamma import *
from chainrule.ops.bessel import *
from chainrule.ops.arithmetic import *
from chainrule.ops.logic import *
from chainrule.ops.reduce import *
from chainrule.ops.norms import *
from chainrule.ops.shape import *
from chainrule.ops.index import *
from chainrule.ops.select import *
from chainrule.ops.rearrange import *
from chainrule.ops.diagonals import *
from chainrule.ops.sets import *
from chainrule.ops.order import *
from chainrule.ops.scan import *
from chainrule.ops.statistics import *
from chainrule.ops.contract import *
from chainrule.ops.products import *
from chainrule.ops.fused import *
from chainrule.ops.random import *
from chainrule.ops.draws import *
import chainrule.ops.fills as _fills  # noqa: F401 - methods alone
from chainrule.ops.creation import *
from chainrule.ops.systems import *
from chainrule.ops.signals import *
from chainrule.op_methods import install as _install

_install(globals())
__version__ = "0.1.0"

float16, float32, float64 = _dtype("float16"), _dtype("float32"), _dtype("float64")
int8, int16, int32, int64 = _dtype("int8"), _dtype("int16"), _dtype("int32"), _dtype("int64")
uint8, bool = _dtype("uint8"), _dtype("bool")

if _TYPE_CHECKING:
    from chainrule import data as data, distributed as distributed, distributions as distributions
    from chainrule import linalg as linalg, models as models, nn as nn, optim as optim
    from chainrule import train as train
    from chainrule.formats import c as c, keras as keras, onnx as onnx
    from chainrule.formats.jax import to_jax as to_jax
    from chainrule.compiler import Compiled as Compiled, Trace as Trace
    from chainrule.compiler import compile as compile, trace as trace
    from chainrule.train import (
        Trainer as Trainer, load as load, load_run as load_run, save as save, sweep as sweep,
    )
    from chainrule.transforms import checkpoint as checkpoint, hessian as hessian
    from chainrule.transforms import jacfwd as jacfwd, jacrev as jacrev, jvp as jvp, vmap as vmap

# The upper floors load at their first use, so that the import costs little more than NumPy's.
_LATER = {
    "Compiled": "compiler", "Trace": "compiler", "compile": "compiler", "trace": "compiler",
    "Trainer": "train", "load": "train", "load_run": "train", "save": "train",
    "sweep": "train", "to_jax": "formats.jax",
    "checkpoint": "transforms", "hessian": "transforms", "jacfwd": "transforms",
    "jacrev": "transforms", "jvp": "transforms", "vmap": "transforms",
}
_PARTS = (
    "compiler", "data", "distributed", "distributions", "linalg", "models", "nn", "optim", "train",
    "transforms",
)
_FORMATS = ("c", "keras", "onnx")


if not _TYPE_CHECKING:  # a type checker knows which names there are

    def __getattr__(name: str) -> _Any:
        if name in _PARTS:
            return _import(f"chainrule.{name}")
        if name in _FORMATS:
            return _import(f"chainrule.formats.{name}")
        if name not in _LATER:
            raise _unknown_name(_modules[__name__], "chainrule", name)
        value = getattr(_import(f"chainrule.{_LATER[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(name for name in {*globals(), *_LATER, *_PARTS, *_FORMATS} if name[0] != "_")
