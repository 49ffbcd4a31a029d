"""Neural networks as scikit-learn estimators: `NeuralClassifier` and `NeuralRegressor` work in its
pipelines, searches, cross-validation, `clone` and `pickle`. Needs the extra `sklearn`.
"""

from chainrule.sklearn.estimators import NeuralClassifier as NeuralClassifier
from chainrule.sklearn.estimators import NeuralRegressor as NeuralRegressor

__all__ = ["NeuralClassifier", "NeuralRegressor"]
