"""Estimators: `chainrule.sklearn` against scikit-learn's networks and its HistGradientBoosting.

    python benchmarks/estimators.py [--rounds 5] [--batch 200] [--only SET ...]

Both networks do the same work: one hidden layer of 100, Adam with a rate of 0.001, no penalty, the
same epochs and batch size, and no early stopping. Numbers are standardized, categories are one-hot
codes, and so are the inputs of HistGradientBoosting, which runs with its default options. The
estimators take turns; the time is that of the fastest fit. `first` is the first fit of an estimator
of Chainrule in this process, which compiles the training step; further fits of the same network on
as many features find it.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from chainrule.sklearn import NeuralClassifier, NeuralRegressor
from timing import PAUSE

Table = tuple[np.ndarray, np.ndarray]


def adult_like(rows: int = 20000) -> Table:
    """Six numbers and eight categories as 102 one-hot columns; a label with noise, 24 % ones."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(rows, 6))
    sizes = (9, 16, 7, 15, 6, 5, 2, 42)
    codes = [rng.choice(n, rows, p=rng.dirichlet(np.ones(n))) for n in sizes]
    worth = sum(rng.normal(size=n)[code] for n, code in zip(sizes, codes, strict=True))
    worth = worth + numbers @ rng.normal(size=6) + numbers[:, 0] * numbers[:, 1]
    noisy = worth + rng.logistic(size=rows)
    columns = [np.eye(n)[code] for n, code in zip(sizes, codes, strict=True)]
    return np.concatenate([numbers, *columns], 1), (noisy > np.quantile(noisy, 0.76)).astype(int)


def california_like(rows: int = 20640) -> Table:
    """Eight numbers, two of them a place; a price that depends on distances and on products."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-1, 1, (rows, 2)), rng.normal(size=(rows, 6))], 1)
    cities = rng.uniform(-1, 1, (4, 2))
    near = np.exp(-4 * ((x[:, None, :2] - cities) ** 2).sum(2)).sum(1)
    price = 2 * near + np.tanh(x[:, 2]) + 0.5 * x[:, 2] * near + 0.3 * np.abs(x[:, 3] - x[:, 4])
    return x, price + 0.3 * rng.normal(size=rows)


def synthetic(rows: int = 10000) -> Table:
    """scikit-learn's generator: five classes in twenty columns, half of them informative."""
    return datasets.make_classification(
        rows, 20, n_informative=10, n_classes=5, n_clusters_per_class=2, random_state=0
    )


SETS: dict[str, tuple[Callable[[], Table], int]] = {
    "breast cancer": (lambda: datasets.load_breast_cancer(return_X_y=True), 200),
    "digits": (lambda: datasets.load_digits(return_X_y=True), 200),
    "synthetic": (synthetic, 20),
    "Adult-like": (adult_like, 20),
    "California-like": (california_like, 20),
}
"""Each set, and the epochs of both networks."""


def candidates(regression: bool, epochs: int, batch: int) -> dict[str, Any]:
    """The estimators that are compared."""
    kinds: tuple[Any, ...] = (NeuralClassifier, MLPClassifier, HistGradientBoostingClassifier)
    if regression:
        kinds = (NeuralRegressor, MLPRegressor, HistGradientBoostingRegressor)
    ours, theirs, trees = kinds
    same = {"alpha": 0.0, "tol": 0.0, "n_iter_no_change": epochs + 1, "max_iter": epochs}
    return {
        "ours": ours(hidden=(100,), epochs=epochs, batch_size=batch, random_state=0),
        "theirs": theirs(hidden_layer_sizes=(100,), batch_size=batch, random_state=0, **same),
        "trees": trees(random_state=0),
    }


def compare(name: str, rounds: int, batch: int) -> dict[str, list[float]]:
    """Seconds of each fit of each estimator, and its accuracy or R² on the test part."""
    load, epochs = SETS[name]
    x, y = load()
    train_x, test_x, train_y, test_y = train_test_split(x, y, random_state=0)
    scaler = StandardScaler().fit(train_x)
    train_x, test_x = scaler.transform(train_x), scaler.transform(test_x)
    estimators = candidates(y.dtype.kind == "f", epochs, min(batch, len(train_x)))
    times: dict[str, list[float]] = {kind: [] for kind in estimators}
    for _ in range(rounds):
        for kind, estimator in estimators.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            estimator.fit(train_x, train_y)
            times[kind].append(time.perf_counter() - start)
    scores = {f"{k} score": [m.score(test_x, test_y)] for k, m in estimators.items()}
    return {**times, **scores}


def main(rounds: int, batch: int, names: list[str]) -> None:
    warnings.simplefilter("ignore")  # of epochs that were not enough
    print(
        "| set | Chainrule | scikit-learn | ratio | first | accuracy or R² | of scikit-learn "
        "| HistGradientBoosting |\n|---|---|---|---|---|---|---|---|"
    )
    for name in names or SETS:
        found = compare(name, rounds, batch)
        ours, theirs, trees = (min(found[kind]) for kind in ("ours", "theirs", "trees"))
        score, peer, tree = (found[f"{kind} score"][0] for kind in ("ours", "theirs", "trees"))
        print(
            f"| {name} | {ours:.3f} s | {theirs:.3f} s | {theirs / ours:.1f}× | "
            f"{found['ours'][0]:.3f} s | {score:.3f} | {peer:.3f} | {tree:.3f} in {trees:.2f} s |",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--only", nargs="*", default=[], choices=[*SETS])
    options = parser.parse_args()
    main(options.rounds, options.batch, options.only)
