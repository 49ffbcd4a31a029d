"""All optimizers with the options that matter: the table that the tests here run through.

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


def fitting(case, shapes):
    """The shapes of parameters that the optimizer of a case updates: with two dimensions if it
    updates only matrices."""
    name = case.split()[0]
    return [(1,) * (2 - len(s)) + tuple(s) for s in shapes] if name in MATRICES_ONLY else shapes


def make(case, parameters, library=optim, **options):
    """The optimizer of a case, of ours or of another library."""
    name, own = (CASES | WITH_CLOSURE)[case]
    return getattr(library, name)(parameters, **{**own, **options})
