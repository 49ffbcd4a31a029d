"""PyTorch's names for the package's own objects: `import chainrule.torch as torch`.

Chainrule's objects have PyTorch's names, paths and keywords here: `chainrule.torch.nn.Linear` *is*
`chainrule.nn.Linear`. The files of this package define only what exists for compatibility: devices,
dtypes that print as `torch.float32`, the legacy constructors, file formats. A name that does not
exist raises an error that says what to use instead.

>>> import chainrule.torch as torch
>>> x = torch.ones(2, 3, device=torch.device("cpu"), requires_grad=True)
>>> (x * 2).sum(axis=1, keepdims=True)
tensor([[6.],
        [6.]], grad_fn=<SumBackward0>)
>>> x.shape, x.device, torch.cuda.is_available()
(torch.Size([2, 3]), device(type='cpu'), False)
"""

from importlib import import_module as _import
from math import e as e
from math import inf as inf
from math import nan as nan
from math import pi as pi
from typing import Any as _Any

from chainrule.torch.adapter import dtypes as _dtypes
from chainrule.torch.adapter import facts as _facts
from chainrule.torch.adapter import mersenne as _mersenne
from chainrule.torch.adapter import modules as _modules
from chainrule.torch.adapter import names as _names
from chainrule.torch.adapter import optimizers as _optimizers
from chainrule.torch.adapter import schedulers as _schedulers
from chainrule.torch.adapter import tensors as _tensors
from chainrule.torch.adapter.creation import *  # noqa: F403
from chainrule.torch.adapter.dtypes import Size as Size
from chainrule.torch.adapter.dtypes import dtype as dtype
from chainrule.torch.adapter.dtypes import finfo as finfo
from chainrule.torch.adapter.dtypes import iinfo as iinfo
from chainrule.torch.adapter.facts import *  # noqa: F403
from chainrule.torch.adapter.older import *  # noqa: F403
from chainrule.torch.adapter.placement import device as device
from chainrule.torch.adapter.printing import set_printoptions as set_printoptions

_names.install()
_tensors.install()
_modules.install()
_optimizers.install()
_schedulers.install()
_mersenne.install()
globals().update(_dtypes.NAMES, **_facts.legacy_types())

_find, __dir__ = _names.facade(__name__)
_LATER = {"compile": "adapter.compiled", "load": "serialization", "save": "serialization"}
"""Names whose modules load at their first use, so that the import is fast."""


def __getattr__(name: str) -> _Any:
    if name not in _LATER:
        return _find(name)
    value = globals()[name] = getattr(_import(f"{__name__}.{_LATER[name]}"), name)
    return value


from chainrule.torch.amp import GradScaler as GradScaler  # noqa: E402
from chainrule.torch.amp import autocast as autocast  # noqa: E402
from chainrule.torch.amp import clear_autocast_cache as clear_autocast_cache  # noqa: E402
from chainrule.torch.amp import get_autocast_dtype as get_autocast_dtype  # noqa: E402
from chainrule.torch.amp import is_autocast_cache_enabled as is_autocast_cache_enabled  # noqa: E402
from chainrule.torch.amp import is_autocast_enabled as is_autocast_enabled  # noqa: E402
from chainrule.torch.amp import set_autocast_cache_enabled as set_autocast_cache_enabled  # noqa: E402
from chainrule.torch.amp import set_autocast_dtype as set_autocast_dtype  # noqa: E402
from chainrule.torch.amp import set_autocast_enabled as set_autocast_enabled  # noqa: E402
from chainrule.torch.autograd import Variable as Variable  # noqa: E402
from chainrule.torch.autograd import set_detect_anomaly as set_anomaly_enabled  # noqa: E402, F401
from chainrule.torch.cuda import OutOfMemoryError as OutOfMemoryError  # noqa: E402
from chainrule.torch.jit import ScriptModule as ScriptModule  # noqa: E402
from chainrule.torch.random import default_generator as default_generator  # noqa: E402
from chainrule.torch.random import get_rng_state as get_rng_state  # noqa: E402
from chainrule.torch.random import initial_seed as initial_seed  # noqa: E402
from chainrule.torch.random import seed as seed  # noqa: E402
from chainrule.torch.random import set_rng_state as set_rng_state  # noqa: E402
from chainrule.torch.version import __version__ as __version__  # noqa: E402

newaxis = None
contiguous_format = preserve_format = memory_format("torch.contiguous_format")  # noqa: F405
channels_last = channels_last_3d = contiguous_format
strided = layout("torch.strided")  # noqa: F405
