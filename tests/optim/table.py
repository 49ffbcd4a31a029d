"""All optimizers and schedules with the options that matter: the tables of the tests here.

A new optimizer is one or more rows here. LBFGS has rows of its own, since its step needs a closure.
"""

from chainrule import optim


def cases(*rows):
    """Rows by their text: `SGD momentum=0.9` → ("SGD", {"momentum": 0.9})."""
    return {
        " ".join([name, *[f"{option}={value}" for option, value in options.items()]]): (
            name,
            options,
        )
        for name, options in rows
    }


CASES = cases(
    ("SGD", {}),
    ("SGD", {"weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.5, "maximize": True, "weight_decay": 0.1}),
    ("SGD", {"maximize": True}),
    ("Adam", {}),
    ("Adam", {"weight_decay": 0.1, "betas": (0.5, 0.7), "eps": 1e-3}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.5, "amsgrad": True}),
    ("AdamW", {"maximize": True, "betas": (0.0, 0.9)}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True, "eps": 1e-2}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "maximize": True, "eps": 1e-2}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "eps": 1e-3, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"rho": 0.5, "eps": 1e-2, "weight_decay": 0.1, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"betas": (0.5, 0.7), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"momentum_decay": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "eps": 1e-3}),
    ("RAdam", {}),
    ("RAdam", {"betas": (0.5, 0.7), "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "eps": 1e-3}),
    ("ASGD", {}),
    ("ASGD", {"lambd": 0.1, "alpha": 0.5, "t0": 3, "weight_decay": 0.1, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.2), "maximize": True}),
    ("Adafactor", {}),
    ("Adafactor", {"eps": (1e-2, 0.5), "d": 1.5, "beta2_decay": -0.5, "weight_decay": 0.1}),
    ("Adafactor", {"maximize": True}),
    ("Muon", {}),
    ("Muon", {"nesterov": False, "adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.0}),
    ("Lion", {}),
    ("Lion", {"betas": (0.5, 0.7), "weight_decay": 0.1, "maximize": True}),
    ("LAMB", {}),
    ("LAMB", {"weight_decay": 0.1, "betas": (0.5, 0.7), "maximize": True}),
)
WITH_CLOSURE = cases(
    ("LBFGS", {"lr": 0.1, "max_iter": 3}),
    ("LBFGS", {"lr": 0.5, "max_iter": 4, "history_size": 2}),
    ("LBFGS", {"line_search_fn": "strong_wolfe", "max_iter": 4}),
    ("LBFGS", {"line_search_fn": "strong_wolfe", "lr": 0.5, "max_eval": 7, "history_size": 3}),
)
ONE_EACH = [*{name: case for case, (name, _) in CASES.items()}.values()]
"""One row of each optimizer, the last: with many options."""
MATRICES_ONLY = ("Muon",)
NOT_IN_PYTORCH = ("LAMB", "Lion")
ABSTRACT = (optim.Optimizer, optim.FormulaOptimizer)
ALL = sorted(
    name
    for name, value in vars(optim).items()
    if isinstance(value, type) and issubclass(value, optim.Optimizer) and value not in ABSTRACT
)
NAMES = [name for name in ALL if name != "LBFGS"]

SCHEDULES = {
    "step": lambda s, o: s.StepLR(o, 7, gamma=0.5),
    "multi-step": lambda s, o: s.MultiStepLR(o, [3, 10, 10, 30]),
    "no milestones": lambda s, o: s.MultiStepLR(o, []),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 12, eta_min=0.01),
    "linear": lambda s, o: s.LinearLR(o),
    "linear decay": lambda s, o: s.LinearLR(o, 1.0, 0.0, 33),
    "constant": lambda s, o: s.ConstantLR(o, 0.25, total_iters=6),
    "polynomial": lambda s, o: s.PolynomialLR(o, 30, power=1.7),
    "lambda": lambda s, o: s.LambdaLR(o, [lambda t: 0.95**t, lambda t: 1 / (1 + t // 3)]),
    "lambda with if": lambda s, o: s.LambdaLR(o, lambda t: t / 5 if t < 5 else 0.9 ** (t - 5)),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda t: 1 - 0.1 / (1 + t)),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 9, eta_min=0.01),
    "longer restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, T_mult=3),
    "one cycle": lambda s, o: s.OneCycleLR(o, [0.2, 1.0], total_steps=41),
    "one cycle linear": lambda s, o: s.OneCycleLR(
        o, 1.0, epochs=6, steps_per_epoch=7, anneal_strategy="linear", div_factor=3
    ),
    "one cycle of three": lambda s, o: s.OneCycleLR(
        o, 1.0, total_steps=45, three_phase=True, pct_start=0.25, base_momentum=[0.5, 0.6]
    ),
    "one cycle to the end": lambda s, o: s.OneCycleLR(o, 1.0, total_steps=40, pct_start=0.0),
    "cyclic": lambda s, o: s.CyclicLR(o, 0.1, [0.5, 1.0], step_size_up=3),
    "cyclic 2": lambda s, o: s.CyclicLR(o, 0.1, 1.0, 3, step_size_down=5, mode="triangular2"),
    "cyclic exp": lambda s, o: s.CyclicLR(o, [0.1, 0.2], 1.0, 4, mode="exp_range", gamma=0.9),
    "cyclic function": lambda s, o: s.CyclicLR(o, 0.1, 1.0, 4, scale_fn=lambda c: 1 / c**2),
    "swa": lambda s, o: s.SWALR(o, [0.01, 0.02], anneal_epochs=5),
    "swa linear": lambda s, o: s.SWALR(o, 0.05, anneal_epochs=7, anneal_strategy="linear"),
    "swa at once": lambda s, o: s.SWALR(o, 0.05, anneal_epochs=0),
    "warm-up, cosine": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=5), s.CosineAnnealingLR(o, 20)], [5]
    ),
    "three in a row": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1), s.ExponentialLR(o, 0.8), s.StepLR(o, 3)], [6, 15]
    ),
    "warm-up, restarts": lambda s, o: s.SequentialLR(
        o,
        [s.ConstantLR(o, 0.1), s.CosineAnnealingWarmRestarts(o, 4, T_mult=2), s.PolynomialLR(o)],
        [5, 30],
    ),
    "row of functions": lambda s, o: s.SequentialLR(
        o, [s.MultiplicativeLR(o, lambda t: 0.9), s.LambdaLR(o, lambda t: 0.9**t)], [12]
    ),
    "chain": lambda s, o: s.ChainedScheduler([s.ConstantLR(o), s.ExponentialLR(o, 0.9)]),
    "chain of a row": lambda s, o: s.ChainedScheduler(
        [s.SequentialLR(o, [s.LinearLR(o), s.StepLR(o, 4)], [4]), s.PolynomialLR(o, 50)], o
    ),
}
"""Schedules of a library, for an optimizer that has two groups and a momentum."""
OF_PARTS = [name for name in SCHEDULES if any(x in name for x in ("row", "warm-up", "chain"))]


def fitting(case, shapes):
    """The shapes of parameters that the optimizer of a case updates: with two dimensions if it
    updates only matrices."""
    name = case.split()[0]
    return [(1,) * (2 - len(s)) + tuple(s) for s in shapes] if name in MATRICES_ONLY else shapes


def make(case, parameters, library=optim, **options):
    """The optimizer of a case, of ours or of another library."""
    name, own = (CASES | WITH_CLOSURE)[case]
    return getattr(library, name)(parameters, **{**own, **options})
