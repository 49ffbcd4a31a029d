"""Tables: ten of scikit-learn's and statsmodels' against an MLP of scikit-learn, and CSV files.

    python benchmarks/tabular.py scores [--seeds 5]
    python benchmarks/tabular.py files

`scores`: `chainrule train` with its default options against a prepared pipeline of scikit-learn.
There, missing numbers become the median, with an indicator, numbers and the targets of a regression
are standardized, categories are one-hot codes; the MLP has two layers of 64 and stops early. Each
seed is another split, the same for both.

`files`: the CSV files inside statsmodels and vega_datasets, with the last column as label. Prints
how many train for two epochs without an option, and the messages of the others.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.data.columns import read_columns
from chainrule.data.dataset import CLASSIFICATION, ArrayDataset
from chainrule.data.splits import train_test_split
from chainrule.train.runs.config import DataConfig
from chainrule.train.runs.configure import configure
from chainrule.train.runs.run import Run


def _scikit_learns(name: str) -> Callable[[], Any]:
    def load() -> Any:
        from sklearn import datasets

        return getattr(datasets, f"load_{name}")(as_frame=True).frame

    return load


def _statsmodels(name: str) -> Callable[[], Any]:
    def load() -> Any:
        from statsmodels import datasets

        return getattr(datasets, name).load_pandas().data

    return load


TABLES: dict[str, tuple[Callable[[], Any], str]] = {
    "iris": (_scikit_learns("iris"), "target"),
    "wine": (_scikit_learns("wine"), "target"),
    "breast_cancer": (_scikit_learns("breast_cancer"), "target"),
    "digits": (_scikit_learns("digits"), "target"),
    "diabetes": (_scikit_learns("diabetes"), "target"),
    "anes96": (_statsmodels("anes96"), "vote"),
    "fair": (_statsmodels("fair"), "affairs"),
    "modechoice": (_statsmodels("modechoice"), "choice"),
    "engel": (_statsmodels("engel"), "foodexp"),
    "heart": (_statsmodels("heart"), "survival"),
}
"""Each table as a DataFrame, and its label."""


def ours(path: str, label: str, seed: int, folder: str) -> tuple[Run, float]:
    """A run with default options, and its accuracy or R² on the test part."""
    config = configure(DataConfig(path, label=label, seed=seed), seed=seed)
    run = Run.create(folder, config)
    test = (run.train(progress=False)[1] or {})["test"]
    return run, test.get("accuracy", test.get("r2"))


def theirs(table: Any, label: str, run: Run, seed: int) -> float:
    """The score of scikit-learn's pipeline, on the split of the run."""
    from sklearn.compose import (
        ColumnTransformer,
        TransformedTargetRegressor,
        make_column_selector,
    )
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    x, y = table.drop(columns=label), table[label].to_numpy()
    train, test = split(y, run, seed)
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    kinds = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    columns = ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            ("kinds", kinds, make_column_selector(dtype_exclude="number")),
        ]
    )
    options: dict[str, Any] = {
        "hidden_layer_sizes": (64, 64),
        "early_stopping": True,
        "n_iter_no_change": 20,
        "max_iter": 400,
        "batch_size": 32,
        "random_state": seed,
    }
    if run.config.inputs.task == CLASSIFICATION:
        model = MLPClassifier(**options)
    else:
        model = TransformedTargetRegressor(MLPRegressor(**options), transformer=StandardScaler())
    pipeline = make_pipeline(columns, model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of epochs that were not enough
        pipeline.fit(x.iloc[train], y[train])
    return float(pipeline.score(x.iloc[test], y[test]))


def split(y: np.ndarray, run: Run, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the training and of the test part of a run."""
    classes = run.config.inputs.task == CLASSIFICATION
    targets = np.unique(y, return_inverse=True)[1] if classes else y.astype(np.float32)[:, None]
    rows = ArrayDataset(np.arange(len(y))[:, None], targets, task=run.config.inputs.task)
    parts = train_test_split(rows, test_size=run.config.data.test_size, seed=seed)
    found = [part.arrays[0][:, 0] for part in parts]
    np.testing.assert_array_equal(targets[found[1]], run.data[1].arrays[-1])
    return found[0], found[1]


def scores(seeds: int) -> None:
    """Print a row for each table: means, and the mean difference with its standard error."""
    print("| table (label) | rows | score | Chainrule | scikit-learn | difference |")
    print("|---|---|---|---|---|---|")
    for name, (load, label) in TABLES.items():
        table, found = load(), []
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "table.csv")
            table.to_csv(path, index=False)
            for seed in range(seeds):
                run, own = ours(path, label, seed, str(Path(folder) / str(seed)))
                found.append((own, theirs(table, label, run, seed)))
        pairs = np.array(found)
        difference = pairs[:, 0] - pairs[:, 1]
        cells = [
            f"{name} ({label})",
            f"{len(table):,}",
            "accuracy" if run.config.inputs.task == CLASSIFICATION else "R²",
            *(f"{mean:.3f}" for mean in pairs.mean(axis=0)),
            f"{difference.mean():+.3f} ± {difference.std(ddof=1) / np.sqrt(seeds):.3f}",
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


def files() -> None:
    """Train on each CSV file for two epochs; print the messages of those that do not train."""
    found = [
        path
        for package in ("statsmodels", "vega_datasets")
        for home in importlib.util.find_spec(package).submodule_search_locations  # type: ignore
        for path in sorted(Path(home).rglob("*.csv"))
        if "tests" not in path.parts
    ]
    trained = 0
    warnings.simplefilter("ignore")  # of lines that were left out
    for path in found:
        try:
            label = read_columns(path).names[-1]
            config = configure(DataConfig(str(path), label=label), epochs=2)
            with tempfile.TemporaryDirectory() as folder:
                Run.create(Path(folder) / "run", config).train(progress=False)
            trained += 1
        except cr.ChainruleError as error:
            print(f"{path.name}: {str(error).replace(str(path), path.name)}")
    print(f"{trained} of {len(found)} files train")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["scores", "files"])
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    if given.what == "files":
        files()
    else:
        scores(given.seeds)
