"""The contents of the API reference: its pages, their sections, and what each section shows."""

from __future__ import annotations

from typing import NamedTuple

FACES = {
    "chainrule": "functions",
    "chainrule.nn": "nn",
    "chainrule.nn.functional": "functional",
    "chainrule.nn.init": "init",
    "chainrule.nn.utils": "utils",
    "chainrule.nn.utils.parametrizations": "utils",
    "chainrule.nn.utils.parametrize": "utils",
    "chainrule.nn.utils.prune": "utils",
    "chainrule.nn.utils.rnn": "utils",
    "chainrule.optim": "optim",
    "chainrule.data": "data",
    "chainrule.distributions": "distributions",
    "chainrule.models": "models",
    "chainrule.train": "train",
    "chainrule.distributed": "distributed",
    "chainrule.formats.c": "export",
    "chainrule.formats.keras": "export",
    "chainrule.formats.onnx": "export",
    "chainrule.sklearn": "sklearn",
    "chainrule.errors": "errors",
}
"""The modules whose public names are all shown. Names that no section asks for come at the end of
this page, in a section for each file with the title of its docstring."""


class Section(NamedTuple):
    """A heading with objects of one module: some by name, or all that were defined in `modules`."""

    title: str
    face: str = "chainrule"
    names: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    intro: str = ""


class Page(NamedTuple):
    name: str
    title: str
    intro: str
    sections: tuple[Section, ...]


def some(title: str, names: str, face: str = "chainrule", intro: str = "") -> Section:
    return Section(title, face, names=tuple(names.split()), intro=intro)


def all_of(title: str, modules: str, face: str = "chainrule", intro: str = "") -> Section:
    return Section(title, face, modules=tuple(modules.split()), intro=intro)


NN, F, DATA, TRAIN = "chainrule.nn", "chainrule.nn.functional", "chainrule.data", "chainrule.train"

PAGES = (
    Page(
        "tensor",
        "Tensor",
        "The tensor, and the ways to make one. The element types are "
        "`cr.float16`, `float32`, `float64`, `int8`, `int16`, `int32`, `int64`, `uint8`, `bool`.",
        (
            some("The tensor", "Tensor"),
            all_of("Making tensors", "ops.creation"),
            some("From and to NumPy", "from_numpy"),
        ),
    ),
    Page(
        "functions",
        "Functions",
        "Elementwise functions, comparisons and reductions. Each op is "
        "one record: formula, rule for the shape, NumPy reference, derivative. Unfold an entry to "
        "read the record.",
        (
            all_of(
                "Elementwise",
                "ops.elementwise ops.arithmetic ops.transcendental ops.special ops.gamma "
                "ops.incomplete_gamma",
            ),
            all_of("Logic", "ops.logic"),
            all_of("Comparisons, choices, casts", "ops.compare"),
            all_of("Reductions", "ops.reduce ops.norms"),
            all_of("Statistics", "ops.statistics"),
            all_of("Running results", "ops.scan"),
            all_of("Order", "ops.order"),
            all_of("Sets and counts", "ops.sets"),
        ),
    ),
    Page(
        "shapes",
        "Shapes, indices, products",
        "Functions that rearrange, select, multiply and draw numbers.",
        (
            all_of("Shapes", "ops.shape ops.rearrange"),
            all_of("Diagonals and grids", "ops.diagonals"),
            all_of("Indices and masks", "ops.index ops.select"),
            all_of("Products", "ops.contract ops.products"),
            all_of("Softmax", "ops.fused"),
            all_of("Random numbers", "ops.random ops.draws"),
        ),
    ),
    Page(
        "linalg",
        "Linear algebra",
        "`cr.linalg`: inverses, systems of equations, decompositions and norms of matrices.",
        (
            some(
                "Linear algebra",
                "cholesky cross det eigh eigvalsh inv lstsq matrix_norm "
                "matrix_power matrix_rank multi_dot norm pinv qr slogdet solve svd "
                "svdvals vector_norm",
                "chainrule.linalg",
            ),
        ),
    ),
    Page(
        "autograd",
        "Derivatives",
        "Derivatives of functions of tensors, of any order, and the "
        "checks that compare them with finite differences.",
        (
            some(
                "Derivatives",
                "grad value_and_grad gradients vjp jvp jacobian jacrev jacfwd hessian",
            ),
            some(
                "Recording", "no_grad enable_grad set_grad_enabled is_grad_enabled detect_anomaly"
            ),
            some("Many examples", "vmap"),
            some("Memory", "checkpoint"),
            some("Checks", "gradcheck gradgradcheck"),
        ),
    ),
    Page(
        "nn",
        "Layers and losses",
        "`from chainrule import nn`",
        (
            some(
                "Modules",
                "Module FunctionLayer Parameter Buffer summary Summary functional_call "
                "stack_module_state",
                NN,
            ),
            some("Containers", "Sequential ModuleList ModuleDict ParameterList ParameterDict", NN),
            all_of("Linear layers", "nn.linear nn.embedding", NN),
            all_of("Convolution and pooling", "nn.conv nn.pool", NN),
            all_of("Activations", "nn.activations", NN),
            all_of("Normalization and dropout", "nn.norm nn.dropout", NN),
            all_of(
                "Recurrent layers and attention",
                "nn.recurrent nn.recurrent_cells nn.attention nn.transformer_layers nn.transformer",
                NN,
            ),
            all_of("Shapes", "nn.reshaping", NN),
            all_of("Distances and losses", "nn.distances nn.losses", NN),
        ),
    ),
    Page(
        "functional",
        "Layers as functions",
        "`from chainrule.nn import functional as F`. Beside "
        "these it has `sigmoid` and `tanh`, the same as in `cr`.",
        (
            all_of("Activations", "nn.functional.activation nn.functional.softmax", F),
            all_of("Linear layers, attention", "nn.functional.layers nn.functional.attention", F),
            all_of(
                "Convolution, pooling, padding",
                "nn.functional.convolution nn.functional.pooling nn.functional.padding",
                F,
            ),
            all_of("Normalization", "nn.functional.normalization", F),
            all_of(
                "Distances and losses",
                "nn.functional.losses nn.functional.class_losses nn.functional.pair_losses "
                "nn.functional.ctc",
                F,
            ),
        ),
    ),
    Page(
        "init",
        "Initialization",
        "`from chainrule.nn import init`: starting values, written into a parameter.",
        (all_of("Starting values", "nn.init", "chainrule.nn.init"),),
    ),
    Page(
        "utils",
        "Utilities of models",
        "`from chainrule.nn import utils`",
        (all_of("Sequences of several lengths", "nn.utils.rnn", "chainrule.nn.utils.rnn"),),
    ),
    Page(
        "optim",
        "Optimizers",
        "`from chainrule import optim`",
        (
            all_of(
                "Optimizers",
                "optim.optimizer optim.group optim.formula optim.sgd optim.adam "
                "optim.adam_variants optim.adaptive optim.averaging optim.signs optim.factored "
                "optim.muon optim.lbfgs",
                "chainrule.optim",
            ),
            all_of(
                "Schedules of the learning rate",
                "optim.scheduler optim.schedules optim.cycles optim.combined optim.plateau",
                "chainrule.optim",
            ),
            all_of("Clipping", "optim.clip", "chainrule.optim"),
        ),
    ),
    Page(
        "data",
        "Data",
        "`from chainrule import data`: datasets, the loader, readers, transforms.",
        (
            all_of("Data that ships with the package", "data.shipped", DATA),
            all_of("Data that is downloaded once", "data.mnist", DATA),
            all_of("Synthetic data", "data.synthetic", DATA),
            all_of("Datasets and the loader", "data.dataset data.splits data.loader", DATA),
            all_of("Tables", "data.table data.schema data.encoding", DATA),
            all_of(
                "Readers",
                "data.catalog data.sources data.tables data.labels data.images "
                "data.idx data.numpy_files",
                DATA,
            ),
            all_of("Transforms", "data.transforms data.augment", DATA),
            all_of("Texts", "data.tokenizers", DATA),
        ),
    ),
    Page(
        "distributions",
        "Distributions",
        "`from chainrule import distributions`: samples, densities, entropies and divergences, by "
        "PyTorch's names.",
        tuple(
            all_of(title, f"distributions.{modules}", "chainrule.distributions")
            for title, modules in (
                ("What all have", "distribution"),
                ("Divergences", "kl"),
                ("Locations and scales", "location_scale"),
                ("Positive numbers and probabilities", "positive"),
                ("Whole numbers", "discrete"),
                ("Classes", "categorical"),
                ("Vectors and mixtures", "multivariate"),
                ("Made by transforms", "transformed distributions.transformed_families"),
                ("Relaxed choices", "relaxed"),
                ("Transforms", "transform distributions.transforms"),
            )
        ),
    ),
    Page(
        "models",
        "Models",
        "`from chainrule import models`: well-known models, each in one file to read on its own.",
        (
            all_of(
                "Pictures and tables",
                "models.mlp models.lenet models.vgg models.resnet models.vit models.unet",
                "chainrule.models",
            ),
            all_of("Codes", "models.autoencoder models.vae", "chainrule.models"),
            all_of("Texts", "models.char_rnn models.gpt", "chainrule.models"),
        ),
    ),
    Page(
        "train",
        "Training",
        "The Trainer, metrics, callbacks and saved state.",
        (
            some("The Trainer", "Trainer save load load_run"),
            some("Runs of the command line", "Run", TRAIN),
            all_of("The state that callbacks receive", "train.training", TRAIN),
            some("The history", "History", TRAIN),
            all_of(
                "Metrics",
                "train.metrics.base train.metrics.classes train.metrics.values "
                "train.metrics.function",
                TRAIN,
            ),
            all_of(
                "Callbacks", "train.callbacks train.rates train.checkpoint train.progress", TRAIN
            ),
        ),
    ),
    Page(
        "distributed",
        "Several ranks",
        "Processes that share a training, over MPI. See the guide on "
        "[several ranks](../guides/ranks.md).",
        (
            all_of(
                "Ranks and gradients",
                "distributed.ranks distributed.gradients ops.collectives",
                "chainrule.distributed",
            ),
        ),
    ),
    Page(
        "compile",
        "Compiling and tracing",
        "Functions as graphs and as executables, with their reports.",
        (
            some("Compiling", "compile Compiled"),
            some("One executable", "Executable", "chainrule.compiler.executable"),
            some("Tracing", "trace Trace Graph spec"),
        ),
    ),
    Page(
        "core",
        "Define an op",
        "The record of an op, and the gateway that every computation passes.",
        (
            some("Ops", "primitive Spec apply require"),
            some("The record", "Primitive", "chainrule.primitive"),
        ),
    ),
    Page(
        "sklearn",
        "scikit-learn",
        "Networks as estimators: `from chainrule.sklearn import NeuralClassifier`.",
        (all_of("Estimators", "sklearn", "chainrule.sklearn"),),
    ),
    Page(
        "export",
        "Export",
        "Models and training steps in the formats of other programs.",
        (all_of("C", "formats.c.export", "chainrule.formats.c"),),
    ),
    Page(
        "errors",
        "Errors",
        "Every error says what was given, what was expected, and what to "
        "write instead. Each is a subclass of the built-in exception that you would expect.",
        (
            some("The base", "ChainruleError"),
            some(
                "Errors",
                "ShapeError DTypeError ArgumentError OutOfRangeError GradientError "
                "NotDifferentiableError NonFiniteError CaptureError LevelError GraphError "
                "LinAlgError RankError "
                "FormatError DownloadError CheckpointError MissingDependencyError "
                "UnknownNameError NestingError",
                "chainrule.errors",
            ),
            some(
                "Building messages",
                "LayerTrail listing shortened missing_dependency unknown_name",
                "chainrule.errors",
            ),
        ),
    ),
    Page(
        "settings",
        "Settings",
        "All settings. They are scoped to the context, and so to the "
        "thread. Environment variables: `CHAINRULE_ENGINE=off` runs everything on NumPy, "
        "`CHAINRULE_NUM_THREADS` sets the number of threads of the engine, `CHAINRULE_DATA` is the "
        "first place where data sets are looked for.",
        (
            some("The default dtype", "get_default_dtype set_default_dtype"),
            some("The record", "Settings use change", "chainrule.settings"),
        ),
    ),
)
