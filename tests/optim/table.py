"""All optimizers with the options that matter: the table that the tests here run through."""

from chainrule import optim

CASES = {
    " ".join([name, *[f"{option}={value}" for option, value in options.items()]]): (name, options)
    for name, options in [
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
    ]
}
NAMES = sorted(
    name
    for name, value in vars(optim).items()
    if isinstance(value, type)
    and issubclass(value, optim.Optimizer)
    and value is not optim.Optimizer
)


def make(case, parameters, library=optim, **options):
    """The optimizer of a case, of ours or of another library."""
    name, own = CASES[case]
    return getattr(library, name)(parameters, **{**own, **options})
