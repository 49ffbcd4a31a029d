"""The estimators: parameters, training, predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule import models, nn, optim
from chainrule.errors import ArgumentError, listing, missing_dependency
from chainrule.ops.random import default_generator
from chainrule.primitive import Array
from chainrule.sklearn.files import InFiles
from chainrule.sklearn.weighted import Weighted
from chainrule.train.callbacks import EarlyStopping
from chainrule.train.infer import outputs_of
from chainrule.train.trainer import Trainer

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import (
        _check_sample_weight,
        check_is_fitted,
        column_or_1d,
        validate_data,
    )
except ImportError as error:
    raise missing_dependency("scikit-learn", "sklearn", "chainrule.sklearn") from error

__all__ = ["NeuralClassifier", "NeuralRegressor"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "identity": nn.Identity,
}
OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "sgd": optim.SGD,
    "rmsprop": optim.RMSprop,
}


class _Neural(InFiles, BaseEstimator):
    """What classifier and regressor share.

    Parameters
    ----------
    hidden: the widths of the hidden layers.
    activation: relu, tanh, logistic, gelu, silu or identity.
    dropout, batch_norm: after each hidden layer.
    class_weight: of a classifier, "balanced" or a dict from class to weight.
    optimizer: adam, adamw, sgd or rmsprop, with learning rate `lr` and `weight_decay`.
    schedule: constant, or onecycle, which rises to `lr` and falls again.
    batch_size: samples a step, at most all.
    epochs: passes over the data.
    early_stopping: stop after `patience` epochs in which the loss on `validation_fraction` of the
        data did not fall, and keep the best weights.
    warm_start: `fit` continues from the weights of the last `fit`.
    random_state: a number or a RandomState, for weights, order, dropout and the validation part.
    verbose: show a bar.
    callbacks: callbacks of the Trainer.
    compiled: whether the training step is one compiled program.
    module: in place of the layers above, a function of (n_in, n_out) that returns a Module.

    Attributes
    ----------
    module_: the trained model.   n_iter_: the epochs trained.   loss_curve_: the loss of each.
    validation_curve_: with early stopping, the validation loss of each.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (64,),
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        class_weight: Any = None,
        optimizer: str = "adam",
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        schedule: str = "constant",
        batch_size: int = 32,
        epochs: int = 50,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
        callbacks: Sequence[Any] = (),
        compiled: bool = True,
        module: Callable[[int, int], nn.Module] | None = None,
    ) -> None:
        self.hidden, self.activation, self.dropout = hidden, activation, dropout
        self.batch_norm, self.class_weight = batch_norm, class_weight
        self.optimizer, self.lr = optimizer, lr
        self.weight_decay, self.schedule = weight_decay, schedule
        self.batch_size, self.epochs = batch_size, epochs
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.patience, self.warm_start, self.random_state = patience, warm_start, random_state
        self.verbose, self.callbacks, self.compiled = verbose, callbacks, compiled
        self.module = module

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags

    # -- fitting ---------------------------------------------------------------------------------

    def _fit(self, x: Array, y: Array, weights: Array | None, epochs: int, anew: bool) -> Any:
        """Train on x (N, n_in) and y (N, columns) for some epochs."""
        if weights is not None:
            y = np.concatenate([y, weights[:, None].astype(y.dtype)], 1)
        with self._seeded():
            if anew or not hasattr(self, "module_"):
                self.module_ = self._build(x.shape[1])
                self.loss_curve_, self.validation_curve_, self.n_iter_ = [], [], 0
            trainer, valid = self._trainer(x, weights is not None, epochs), None
            if self.early_stopping:
                x, held_x, y, held_y = self._held_out(x, y)
                valid = (held_x, self._targets(held_y, weights is not None))
            size = min(self.batch_size, len(x))
            targets = self._targets(y, weights is not None)
            history = trainer.fit((x, targets), valid, epochs, size)
        self.loss_curve_ += history["loss"]
        self.validation_curve_ += history["valid_loss"] if self.early_stopping else []
        self.n_iter_ = len(self.loss_curve_)
        return self

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """Random numbers from `random_state`. The default generator is afterwards as before."""
        before = default_generator.state.detach().clone()
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        default_generator.manual_seed(self._seed)
        try:
            yield
        finally:
            default_generator.state.assign(before)

    def _build(self, n_in: int) -> nn.Module:
        if self.module is not None:
            return self.module(n_in, self._outputs)
        _known("activation", self.activation, ACTIVATIONS)
        return models.MLP(
            n_in,
            np.atleast_1d(np.asarray(self.hidden, int)).tolist(),
            self._outputs,
            activation=ACTIVATIONS[self.activation],
            batch_norm=self.batch_norm,
            dropout=self.dropout,
        )

    def _trainer(self, x: Array, weighted: bool, epochs: int) -> Trainer:
        _known("optimizer", self.optimizer, OPTIMIZERS)
        _known("schedule", self.schedule, ("constant", "onecycle"))
        options = {"lr": self.lr, "weight_decay": self.weight_decay}
        if self.optimizer == "sgd":
            options["momentum"] = 0.9
        optimizer = OPTIMIZERS[self.optimizer](self.module_.parameters(), **options)
        scheduler = None
        if self.schedule == "onecycle":
            steps = -(-len(x) // min(self.batch_size, len(x))) * epochs
            scheduler = optim.OneCycleLR(optimizer, self.lr, max(steps, 1), cycle_momentum=False)
        stop = [EarlyStopping(self.patience)] if self.early_stopping else []
        return Trainer(
            self.module_,
            self._loss(weighted),
            optimizer,
            metrics=[],
            callbacks=[*self.callbacks, *stop],
            scheduler=scheduler,
            seed=self._seed,
            progress=bool(self.verbose),
            compiled=self.compiled,
        )

    def _held_out(self, x: Array, y: Array) -> Any:
        return train_test_split(x, y, test_size=self.validation_fraction, random_state=self._seed)

    def _checked(self, X: Any, y: Any, reset: bool, **options: Any) -> Any:
        """X as float32 (N, n_in), and y."""
        X, y = validate_data(
            self, X, y, reset=reset, accept_sparse="csr", dtype=np.float32, **options
        )
        return (X.toarray() if hasattr(X, "toarray") else np.ascontiguousarray(X)), y

    def _scores(self, X: Any) -> Array:
        check_is_fitted(self, "module_")
        X = validate_data(self, X, reset=False, accept_sparse="csr", dtype=np.float32)
        X = X.toarray() if hasattr(X, "toarray") else np.ascontiguousarray(X)
        return outputs_of(self.module_, X)


def _arranged(x: Array, y: Array, weights: Array | None) -> tuple[Array, Array, Array | None]:
    """The samples in an order of their own, so that the order of the rows has no effect.

    Whole weights are counts: a weight of 2 is a row that stands twice, 0 one that does not.
    """
    if weights is not None and (weights == np.rint(weights)).all():
        counts = weights.astype(np.int64)
        if counts.min() >= 0 and 0 < counts.sum() <= 4 * len(x):
            x, y, weights = x.repeat(counts, 0), y.repeat(counts, 0), None
    order = np.argsort(_hashes(x) + 3 * _hashes(y), kind="stable")
    return x[order], y[order], None if weights is None else weights[order]


def _hashes(rows: Array) -> Array:
    """A 64-bit number for each row, from the bits of its elements."""
    bits = np.ascontiguousarray(rows).view(f"u{rows.dtype.itemsize}").astype(np.uint64)
    odd = np.random.Philox(0).random_raw(rows.shape[1]) | np.uint64(1)
    sums: Array = ((bits ^ (bits >> np.uint64(15))) * odd).sum(1, dtype=np.uint64)
    return sums ^ (sums >> np.uint64(29))


def _known(name: str, value: Any, known: Any) -> None:
    if value not in known:
        raise ArgumentError(f"unknown {name} {value!r}", expected=listing([*known]))


class NeuralRegressor(RegressorMixin, _Neural):
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

    def _fit_anew(self, X: Any, y: Any, weight: Any, epochs: int, anew: bool) -> NeuralRegressor:
        anew = anew or not hasattr(self, "module_")
        X, y = self._checked(X, y, anew, multi_output=True, y_numeric=True)
        weights = None if weight is None else _check_sample_weight(weight, X, dtype=np.float32)
        if anew:
            self._is_flat = y.ndim == 1
        columns = np.asarray(y, np.float64).reshape(len(y), -1)
        X, columns, weights = _arranged(X, columns, weights)
        if anew:
            self._outputs = columns.shape[1]
            self._mean, deviation = columns.mean(0), columns.std(0)
            self._std = np.where(deviation > 0, deviation, 1.0)
        scaled = ((columns - self._mean) / self._std).astype(np.float32)
        self._fit(X, scaled, weights, epochs, anew)
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


class NeuralClassifier(ClassifierMixin, _Neural):
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

    def _fit_labels(
        self, X: Any, y: Any, weight: Any, epochs: int, anew: bool, classes: Any
    ) -> NeuralClassifier:
        X, y = self._checked(X, y, anew, multi_output=True)
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
        self._fit(*_arranged(X, codes, weights), epochs, anew)
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
