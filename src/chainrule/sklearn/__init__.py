"""Neural networks as scikit-learn estimators: `NeuralClassifier` and `NeuralRegressor` work in its
pipelines, searches, cross-validation, `clone` and `pickle`. Needs the extra `sklearn`.
"""

from chainrule.errors import missing_dependency

try:
    from chainrule.sklearn.estimators import NeuralClassifier as NeuralClassifier
    from chainrule.sklearn.estimators import NeuralRegressor as NeuralRegressor
except ImportError as error:
    raise missing_dependency("scikit-learn", "sklearn", "chainrule.sklearn") from error

__all__ = ["NeuralClassifier", "NeuralRegressor"]
