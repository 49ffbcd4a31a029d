"""Training: the Trainer, metrics, callbacks, checkpoints, history.

Modules, in the order in which they may import each other: the folder `io`, metrics, meter, history,
notices, drawing, modes, arrays, infer, signals, step, locate, losses, training, state, diagnose,
callbacks, rates, checkpoint, progress, trainer; then, for the command line, the folder
`runs`; then the folder `sweeps`.
"""

from chainrule.train.callbacks import (
    EarlyStopping,
    JSONLHistory,
    LayerStatistics,
    TensorBoard,
)
from chainrule.train.checkpoint import ModelCheckpoint
from chainrule.train.history import History
from chainrule.train.io.files import load, save
from chainrule.train.metrics import (
    F1,
    R2,
    Accuracy,
    ConfusionMatrix,
    FunctionMetric,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    Precision,
    Recall,
    TopK,
)
from chainrule.train.progress import Progress
from chainrule.train.rates import LearningRateFinder
from chainrule.train.runs.run import Run, load_run
from chainrule.train.sweeps.results import Ensemble, Sweep
from chainrule.train.sweeps.search import sweep
from chainrule.train.sweeps.settings import LogUniform
from chainrule.train.trainer import Trainer
from chainrule.train.training import Callback, Training

__all__ = [
    "F1",
    "R2",
    "Accuracy",
    "Callback",
    "ConfusionMatrix",
    "EarlyStopping",
    "Ensemble",
    "FunctionMetric",
    "History",
    "JSONLHistory",
    "LayerStatistics",
    "LearningRateFinder",
    "LogUniform",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "ModelCheckpoint",
    "Precision",
    "Progress",
    "Recall",
    "Run",
    "Sweep",
    "TensorBoard",
    "TopK",
    "Trainer",
    "Training",
    "load",
    "load_run",
    "save",
    "sweep",
]
