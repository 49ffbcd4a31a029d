"""What the estimators share: parameters, training, scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, check_X_y, validate_data

from chainrule import models, nn, optim
from chainrule.errors import ArgumentError, listing
from chainrule.ops.random import default_generator
from chainrule.primitive import Array
from chainrule.sklearn.files import InFiles
from chainrule.sklearn.kept import borrowed
from chainrule.sklearn.tables import FROM_DTYPE, MEDIAN, REFUSE, TableCode
from chainrule.sklearn.tasks import CallbackSupport, EpochTasks
from chainrule.train.callbacks import EarlyStopping
from chainrule.train.infer import outputs_of
from chainrule.train.trainer import Trainer
from chainrule.train.training import Callback

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
OUTSIDE = {
    *("hidden", "epochs", "batch_size", "random_state", "verbose", "callbacks", "warm_start"),
    *("early_stopping", "validation_fraction", "patience", "class_weight", "missing"),
    *("categorical_features", "module"),
}
"""Parameters on which the training step depends not at all, or by the specs of the weights."""


def known(name: str, value: Any, known: Any) -> None:
    if value not in known:
        raise ArgumentError(f"unknown {name} {value!r}", expected=listing([*known]))


class Neural(InFiles, CallbackSupport, BaseEstimator):
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
    categorical_features: the columns that are categories: "from_dtype" for those of a DataFrame
        with a categorical type or text, a list of names, indices or bools, or None.
    missing: "refuse" missing numbers, or put the "median" of training in their place.

    Categories become learned vectors. Missing ones are a category of their own. Categories that
    training did not see at least twice, or after the 100 most frequent, share one vector. With
    categories or missing="median", numbers are standardized, and columns of numbers that were
    missing in training get an indicator, as in `cr.data.table`. Bools are numbers.

    scikit-learn's own callbacks, for `set_callbacks`, see each epoch as a task.

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
        categorical_features: Any = FROM_DTYPE,
        missing: str = REFUSE,
    ) -> None:
        self.hidden, self.activation, self.dropout = hidden, activation, dropout
        self.batch_norm, self.class_weight = batch_norm, class_weight
        self.optimizer, self.lr = optimizer, lr
        self.weight_decay, self.schedule = weight_decay, schedule
        self.batch_size, self.epochs = batch_size, epochs
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.patience, self.warm_start, self.random_state = patience, warm_start, random_state
        self.verbose, self.callbacks, self.compiled = verbose, callbacks, compiled
        self.module, self.categorical_features = module, categorical_features
        self.missing = missing

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.missing == MEDIAN
        tags.target_tags.multi_output = True
        return tags

    # -- fitting ---------------------------------------------------------------------------------

    def _fit(
        self,
        x: Array,
        y: Array,
        weights: Array | None,
        *,
        epochs: int,
        anew: bool,
        data: dict[str, Any],
    ) -> Any:
        """Train on x (N, n_in) and y (N, columns) for some epochs. data: see `given`."""
        weighted = weights is not None
        if weights is not None:
            y = np.concatenate([y, weights[:, None].astype(y.dtype)], 1)
        with self._seeded():
            steps = -(-len(x) // min(self.batch_size, len(x))) * epochs
            xs, ys = [x], [y]
            if self.early_stopping:
                x, held_x, y, held_y = self._held_out(x, y)
                xs, ys = [x, held_x], [y, held_y]
            if is_new := anew or not hasattr(self, "module_"):
                if self._encodes():
                    self._table.fit(*xs)
                self.module_ = self._build()
                self.loss_curve_, self.validation_curve_, self.n_iter_ = [], [], 0
            inputs, targets = map(self._table.inputs, xs), [self._targets(y, weighted) for y in ys]
            pairs = [*zip(inputs, targets, strict=True)]
            valid = pairs[1] if self.early_stopping else None
            tasks = self._tasks(epochs, data)
            with self._training(is_new, weighted, steps, tasks) as trainer:
                history = trainer.fit(pairs[0], valid, epochs, min(self.batch_size, len(x)))
        self.loss_curve_ += history["loss"]
        self.validation_curve_ += history["valid_loss"] if self.early_stopping else []
        self.n_iter_ = len(self.loss_curve_)
        return self

    def _tasks(self, epochs: int, data: dict[str, Any]) -> list[Callback]:
        """What tells scikit-learn's callbacks about the training, where it has callbacks."""
        return [EpochTasks(self, epochs, data)] if hasattr(self, "set_callbacks") else []

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

    def _build(self) -> nn.Module:
        embedding = self._table.embedding()
        body = self._body(self._table.width(self.n_features_in_))
        return body if embedding is None else nn.Sequential(embedding, body)

    def _body(self, n_in: int) -> nn.Module:
        if self.module is not None:
            return self.module(n_in, self._outputs)
        known("activation", self.activation, ACTIVATIONS)
        return models.MLP(
            n_in,
            np.atleast_1d(np.asarray(self.hidden, int)).tolist(),
            self._outputs,
            activation=ACTIVATIONS[self.activation],
            batch_norm=self.batch_norm,
            dropout=self.dropout,
        )

    @contextmanager
    def _training(
        self, is_new: bool, weighted: bool, steps: int, tasks: Sequence[Callback]
    ) -> Iterator[Trainer]:
        """A trainer of the network, whose compiled steps other estimators of its kind use too,
        unless the user's code could see that, or has changed the network since it was made."""
        known("optimizer", self.optimizer, OPTIMIZERS)
        known("schedule", self.schedule, ("constant", "onecycle"))
        own = not is_new or self.module is not None or self.callbacks or self._table.categories
        if own or self.schedule != "constant" or not self.compiled:
            loss, optimizer = self._loss(weighted), self._optimizer(self.module_)
            yield self._trainer(self.module_, loss, optimizer, steps, tasks)
            return

        def make(module: nn.Module) -> tuple[nn.Module, optim.Optimizer]:
            return self._loss(weighted), self._optimizer(module)

        with borrowed(self._kind(weighted), self.module_, make) as kept:
            trainer = self._trainer(kept.module, kept.loss, kept.optimizer, steps, tasks)
            kept.lend(trainer)
            yield trainer

    def _kind(self, weighted: bool) -> tuple[Any, ...]:
        """What the training step depends on: parameters, the targets and the weights' specs."""
        parameters = {k: v for k, v in self.get_params(False).items() if k not in OUTSIDE}
        specs = [(name, str(x.spec)) for name, x in self.module_.state_dict().items()]
        targets = weighted, getattr(self, "_several", None)
        return type(self), targets, repr(parameters), repr(specs)

    def _optimizer(self, module: nn.Module) -> optim.Optimizer:
        options = {"lr": self.lr, "weight_decay": self.weight_decay}
        if self.optimizer == "sgd":
            options["momentum"] = 0.9
        return OPTIMIZERS[self.optimizer](module.parameters(), **options)

    def _trainer(
        self,
        module: nn.Module,
        loss: nn.Module,
        optimizer: optim.Optimizer,
        steps: int,
        tasks: Sequence[Callback],
    ) -> Trainer:
        scheduler = None
        if self.schedule == "onecycle":
            scheduler = optim.OneCycleLR(optimizer, self.lr, max(steps, 1), cycle_momentum=False)
        stop = [EarlyStopping(self.patience)] if self.early_stopping else []
        return Trainer(
            module,
            loss,
            optimizer,
            metrics=[],
            callbacks=[*self.callbacks, *stop, *tasks],
            scheduler=scheduler,
            seed=self._seed,
            progress=bool(self.verbose),
            compiled=self.compiled,
        )

    def _held_out(self, x: Array, y: Array) -> Any:
        return train_test_split(x, y, test_size=self.validation_fraction, random_state=self._seed)

    def _checked(self, X: Any, *y: Any, reset: bool, **options: Any) -> list[Any]:
        """[X as numbers (N, n_in), with codes for categories], and y, where it is given."""
        if reset:
            known("missing", self.missing, (REFUSE, MEDIAN))
            self._table = TableCode.learn(X, self.categorical_features)
        options["accept_sparse"] = "csr"
        options["ensure_all_finite"] = "allow-nan" if self.missing == MEDIAN else True
        options["dtype"] = np.float64 if self._encodes() else np.float32
        if self._table.categories:
            validate_data(self, X, reset=reset, skip_check_array=True)
            X = self._table.numbers(X, options["ensure_all_finite"])
            found = check_X_y(X, *y, **options) if y else X
        else:
            found = validate_data(self, X, *y, reset=reset, **options)
        X, *targets = found if y else [found]
        return [X.toarray() if hasattr(X, "toarray") else np.ascontiguousarray(X), *targets]

    def _encodes(self) -> bool:
        """Whether the network has other inputs than the numbers of the table."""
        return bool(self._table.categories) or self.missing == MEDIAN

    def _scores(self, X: Any) -> Array:
        check_is_fitted(self, "module_")
        (x,) = self._checked(X, reset=False)
        return outputs_of(self.module_, self._table.inputs(x))
