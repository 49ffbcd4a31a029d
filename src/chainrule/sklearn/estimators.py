"""The estimators: a regressor and a classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, column_or_1d

from chainrule import nn
from chainrule.errors import ArgumentError, listing
from chainrule.primitive import Array
from chainrule.sklearn.neural import Neural
from chainrule.sklearn.tasks import given, with_callbacks
from chainrule.sklearn.weighted import Weighted, arranged

__all__ = ["NeuralClassifier", "NeuralRegressor"]


class NeuralRegressor(RegressorMixin, Neural):
    """A neural network for numbers, trained on the mean squared error.

    y is (N,) or (N, outputs). Targets are standardized for training; predictions are in their
    units. Parameters and attributes as described above.

    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 200)[:, None]
    >>> model = NeuralRegressor(epochs=100, lr=0.01, random_state=0).fit(x, x[:, 0] ** 2)
    >>> bool(model.score(x, x[:, 0] ** 2) > 0.9)
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralRegressor:
        """Train; `sample_weight` (N,) are the weights of the samples in the loss."""
        return self._fit_anew(X, y, sample_weight, self.epochs, not self.warm_start)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralRegressor:
        """Train one more epoch."""
        return self._fit_anew(X, y, sample_weight, 1, False)

    @with_callbacks
    def _fit_anew(self, X: Any, y: Any, weight: Any, epochs: int, anew: bool) -> NeuralRegressor:
        anew = anew or not hasattr(self, "module_")
        data = given(X, y, weight)
        X, y = self._checked(X, y, reset=anew, multi_output=True, y_numeric=True)
        weights = None if weight is None else _check_sample_weight(weight, X, dtype=np.float32)
        if anew:
            self._is_flat = y.ndim == 1
        columns = np.asarray(y, np.float64).reshape(len(y), -1)
        X, columns, weights = arranged(X, columns, weights)
        if anew:
            self._outputs = columns.shape[1]
            self._mean, deviation = columns.mean(0), columns.std(0)
            self._std = np.where(deviation > 0, deviation, 1.0)
        scaled = ((columns - self._mean) / self._std).astype(np.float32)
        self._fit(X, scaled, weights, epochs=epochs, anew=anew, data=data)
        return self

    def _loss(self, weighted: bool) -> Any:
        return Weighted(nn.MSELoss(reduction="none"), False) if weighted else nn.MSELoss()

    def _targets(self, y: Array, weighted: bool) -> Array:
        return y

    def _answering(self) -> nn.Module:
        scale = nn.Linear(self._outputs, self._outputs)
        weights = {"weight": np.diag(self._std), "bias": self._mean}
        scale.load_state_dict({k: v.astype(np.float32) for k, v in weights.items()})
        return scale

    def predict(self, X: Any) -> Array:
        """The numbers for each sample, (N,) or (N, outputs)."""
        y = self._scores(X) * self._std + self._mean
        return y[:, 0] if self._is_flat else y


class NeuralClassifier(ClassifierMixin, Neural):
    """A neural network for classes: of one label, or with y (N, labels) of 0 and 1 of several.

    Trained on the cross-entropy, of several labels on the binary one. Parameters and attributes as
    described above, and `classes_`, the labels of the classes.

    >>> from sklearn.datasets import load_iris
    >>> x, y = load_iris(return_X_y=True)
    >>> model = NeuralClassifier(lr=0.01, random_state=0).fit(x, y)
    >>> bool(model.score(x, y) > 0.9), model.predict_proba(x[:2]).shape
    (True, (2, 3))
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralClassifier:
        """Train; `sample_weight` (N,) are the weights of the samples in the loss."""
        anew = not (self.warm_start and hasattr(self, "module_"))
        return self._fit_labels(X, y, sample_weight, self.epochs, anew, None)

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> NeuralClassifier:
        """Train one more epoch. The first call names all `classes`."""
        anew = not hasattr(self, "module_")
        if anew and classes is None:
            raise ArgumentError(
                "the first call of partial_fit names the classes",
                instead="partial_fit(X, y, classes=np.unique(y_all)).",
            )
        return self._fit_labels(X, y, sample_weight, 1, anew, classes)

    @with_callbacks
    def _fit_labels(
        self, X: Any, y: Any, weight: Any, epochs: int, anew: bool, classes: Any
    ) -> NeuralClassifier:
        data = given(X, y, weight)
        X, y = self._checked(X, y, reset=anew, multi_output=True)
        check_classification_targets(y)
        if anew:
            self._several = type_of_target(y).startswith("multilabel")
            y = y if self._several else column_or_1d(y, warn=True)
            named = np.unique(y) if classes is None else np.asarray(classes)
            self.classes_ = np.arange(y.shape[1]) if self._several else np.sort(named)
            self._outputs = len(self.classes_)
        codes = self._codes(y)
        weights = None
        if weight is not None or self.class_weight is not None:
            weights = _check_sample_weight(weight, X, dtype=np.float32)
        if self.class_weight is not None:
            weights = weights * compute_sample_weight(self.class_weight, y)
        self._fit(*arranged(X, codes, weights), epochs=epochs, anew=anew, data=data)
        return self

    def _codes(self, y: Array) -> Array:
        """The number of each label as a column, or the 0 and 1 of several labels."""
        if self._several:
            return np.asarray(y.toarray() if hasattr(y, "toarray") else y, np.float32)
        y = column_or_1d(y, warn=True)
        if strangers := np.setdiff1d(y, self.classes_).tolist():
            raise ArgumentError(
                f"unknown labels {listing(strangers)}", expected=listing(self.classes_.tolist())
            )
        return np.searchsorted(self.classes_, y)[:, None].astype(np.float64)

    def _loss(self, weighted: bool) -> Any:
        if not weighted:
            return nn.BCEWithLogitsLoss() if self._several else nn.CrossEntropyLoss()
        if self._several:
            return Weighted(nn.BCEWithLogitsLoss(reduction="none"), False)
        return Weighted(nn.CrossEntropyLoss(reduction="none"), True)

    def _targets(self, y: Array, weighted: bool) -> Array:
        if weighted:
            return y.astype(np.float32)
        return y if self._several else y[:, 0].astype(np.int64)

    def _held_out(self, x: Array, y: Array) -> Any:
        """With the same share of each class, where each has at least two samples."""
        counts = np.unique(y[:, 0], return_counts=True)[1]
        enough = counts.min() > 1 and self.validation_fraction * len(y) >= len(counts)
        return train_test_split(
            x,
            y,
            test_size=self.validation_fraction,
            random_state=self._seed,
            stratify=y[:, 0] if enough and not self._several else None,
        )

    def _answering(self) -> nn.Module:
        return nn.Sigmoid() if self._several else nn.Softmax(1)

    def predict(self, X: Any) -> Array:
        """The label of each sample, (N,); of several labels 0 and 1, (N, labels)."""
        scores = self._scores(X)
        return (scores > 0).astype(int) if self._several else self.classes_[scores.argmax(1)]

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, or of each of several labels, (N, classes)."""
        scores = self._scores(X).astype(np.float64)
        if self._several:
            return 1 / (1 + np.exp(-scores))
        shares = np.exp(scores - scores.max(1, keepdims=True))
        return shares / shares.sum(1, keepdims=True)
