"""Estimators in files: safe ones that `load` reads, and their networks as ONNX and as C."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, TypeVar

import numpy as np

from chainrule import nn
from chainrule.errors import ArgumentError
from chainrule.ops.creation import spec
from chainrule.sklearn.tables import TableCode
from chainrule.train.io.files import load, save

E = TypeVar("E", bound="InFiles")
PathLike = str | os.PathLike[str]
_CODE = ("module", "callbacks")
"""Parameters that are code, which no file holds."""


class InFiles:
    """What estimators write and read. They define `get_params`, `_build` and `_answering`."""

    get_params: Any
    _build: Any
    module_: nn.Module
    _table: TableCode
    n_features_in_: int

    def save(self, path: PathLike) -> None:
        """Write the trained estimator as a safetensors file with JSON, which holds no code.

        Callbacks and `module` are not saved, nor a `random_state` that is no number.
        """
        self._require_fitted("save")
        parameters = {k: v for k, v in self.get_params(deep=False).items() if k not in _CODE}
        if not isinstance(parameters["random_state"], int):
            parameters["random_state"] = None
        other = {*self.get_params(deep=False), "module_", "_table", "_skl_callbacks"}
        learned = {k: v for k, v in vars(self).items() if k not in other}
        content = {
            "estimator": type(self).__name__,
            "parameters": {k: _listed(v) for k, v in parameters.items()},
            "learned": {k: _plain(v) for k, v in learned.items()},
            "table": self._table.to_config(),
            "weights": self.module_.state_dict(),
        }
        save(content, path)

    @classmethod
    def load(cls: type[E], path: PathLike, **parameters: Any) -> E:
        """The estimator that `save` wrote. Parameters, such as `module`, can be given anew.

        Raises FormatError for a damaged file, ArgumentError for one of another estimator.
        """
        content = load(path)
        found = content.get("estimator") if isinstance(content, dict) else None
        if found != cls.__name__:
            raise ArgumentError(f"{path} holds no {cls.__name__}", given=found)
        estimator = cls(**{**content["parameters"], **parameters})
        for name, value in content["learned"].items():
            setattr(estimator, name, _unplain(value))
        estimator._table = TableCode.from_config(content["table"])
        estimator.module_ = estimator._build()
        estimator.module_.load_state_dict(content["weights"])
        estimator.module_.eval()
        return estimator

    def to_onnx(self, path: PathLike, **options: Any) -> None:
        """Write the network as an ONNX file: a classifier's gives probabilities, a regressor's
        numbers in the units of y. The options are those of `chainrule.onnx.export`.

        Raises ArgumentError for an estimator that embeds categories or fills missing numbers.
        """
        self._export("onnx", path, options)

    def to_c(self, path: PathLike, **options: Any) -> Any:
        """Write the network, as in `to_onnx`, as one C file, and return the report on it. The
        options are those of `chainrule.c.export`."""
        return self._export("c", path, options)

    def _export(self, name: str, path: PathLike, options: dict[str, Any]) -> Any:
        self._require_fitted(f"to_{name}")
        if self._table.encode is not None:
            raise ArgumentError(
                f"to_{name} writes networks whose inputs are plain numbers",
                given="an estimator that embeds categories or fills missing numbers",
                instead="Encode the table in a step of a Pipeline before the estimator, such as a "
                "OneHotEncoder and a SimpleImputer, and export the estimator alone.",
            )
        network = nn.Sequential(self.module_, self._answering()).eval()
        inputs = spec(1, self.n_features_in_, dtype=np.float32)
        written = import_module(f"chainrule.formats.{name}")  # each needs libraries of its own
        return written.export(network, inputs, os.fspath(path), **options)

    def _answering(self) -> nn.Module:
        """The layer that makes of scores what the estimator answers."""
        raise NotImplementedError

    def _require_fitted(self, purpose: str) -> None:
        if not hasattr(self, "module_"):
            raise ArgumentError(f"{purpose} is of a trained estimator", instead="Call fit first.")


def _listed(value: Any) -> Any:
    """A parameter as JSON: an array, or an index of pandas, as a list."""
    return value.tolist() if hasattr(value, "tolist") else _plain(value)


def _plain(value: Any) -> Any:
    """A value as JSON and arrays of numbers."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return {"texts": value.tolist(), "dtype": value.dtype.str}
    return value.item() if isinstance(value, np.generic) else value


def _unplain(value: Any) -> Any:
    """A value of which `_plain` made JSON."""
    if isinstance(value, dict) and value.keys() == {"texts", "dtype"}:
        return np.array(value["texts"], value["dtype"])
    return value.numpy() if hasattr(value, "numpy") else value
