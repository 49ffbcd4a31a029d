"""The parts of which random programs are made: text in which {t} and {u} stand for tensors of shape
(4, 6), {n} for a number, and {v} for a new value."""

# Tables: several parts on a line.
# fmt: off

HEADER = """
import collections, dataclasses, functools, itertools, random
import numpy as np
import chainrule as cr
from chainrule import nn, optim
from chainrule.nn import functional as F

G = 1.5
class CFG:
    k, flag = 0.5, True
class Slots:
    __slots__ = ("k",)
SLOTS = Slots(); SLOTS.k = 2.0
@dataclasses.dataclass
class Options:
    gain: float = 1.25
    steps: int = 2
OPTIONS = Options()
class Thing: pass
OBJ = Thing(); OBJ.k = 0.75
BOX, LIST, SET, DEQUE = {"f": 1.5}, [1.0, 2.0], {"a"}, collections.deque([0.5, 1.0])
ARR = np.array([1.0, 2.0], np.float32)
W = (cr.arange(36.0).reshape(6, 6) / 50 - 0.3).detach().clone().requires_grad_()
BUF, COUNT = cr.zeros(4, 6), cr.zeros(())
ROW, FLAT = BUF[1], BUF.reshape(-1)
GEN, STREAM, RNG = cr.Generator(seed=3), itertools.count(1), np.random.default_rng(0)
cr.manual_seed(11)
MODEL = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm1d(6))
MODEL[2].p = 0.0
LAYERS = nn.ModuleList([nn.Tanh(), nn.Linear(6, 6)])
class Net(nn.Module):
    scale = 1.5
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.register_buffer("b", cr.zeros(6))
    def forward(self, t):
        return self.fc(t) * self.scale
NET = Net()
def helper(t, gain=1.1, *, shift=0.25):
    return t * gain + shift
def other(t):
    return t - 0.5
helper.k = 3.0
CHOSEN = helper
PART = functools.partial(helper, gain=0.9)
def make(c):
    def inner(t):
        return t * c
    return inner
CLOSED = make(0.8)
class Part:
    offset = 0.25
    table = {"a": 1.0}
    def __init__(self): self._k = 1.5
    @property
    def k(self): return self._k
    @classmethod
    def of(cls, t): return t + cls.offset
    @staticmethod
    def plain(t): return t * G
    def __call__(self, t): return self.of(t) * self.k
    def __getitem__(self, key): return self.table[key]
class Deep(Part): pass
PARTS = {"one": Part(), "two": Deep()}
def counted():
    n = 1.0
    def read(): return n
    def write(v):
        nonlocal n
        n = v
    return read, write
READ, WRITE = counted()
@cr.compile
def nested(t):
    return (t * G).tanh()
POS, DIV, MAT = cr.tensor([1, 0, 3, 2]), cr.ones(4, dtype="int64"), cr.eye(3)
STORE = cr.linspace(-1, 1, 36).reshape(6, 6)
W2 = (cr.arange(36.0).reshape(6, 6).T / 70 - 0.2).detach().clone().requires_grad_()
OPT = optim.OPTIMIZER
OUT, KEPT = (cr.zeros(4, 6),), cr.zeros(6, 6)
"""
OPTIMIZERS = (
    "SGD([W, W2], 0.05)", "SGD([W, W2], 0.05, momentum=0.9, nesterov=True)", "Adam([W, W2], 0.01)",
    "AdamW([W, *NET.parameters()], 0.01, amsgrad=True)", "RMSprop([W, W2], 0.01, centered=True)",
    "Adagrad([{'params': [W]}, {'params': [W2], 'lr': 0.1}], 0.05)",
    "SGD([W, *MODEL.parameters()], 0.05, weight_decay=0.1)",
)
ARGUMENTS = (
    "(X, Y)", "(X, Y)", "(X, Y)", "(X, X)", "(X, X.detach())", "(BUF, Y)", "(X, BUF)",
    "(STORE[:4], STORE[2:])", "(STORE[1:5], STORE[1:5])", "(X.T.contiguous().T, Y)",
    "(X, Y[:1].expand(4, 6))",
    "(X.clone().requires_grad_(), Y)", "(W[:4].detach(), Y)", "(X.reshape(-1).reshape(4, 6), X)",
    "(BUF, BUF.detach())", "(X.double(), Y.double())",
)

NUMBERS = (
    "G", "CFG.k", "SLOTS.k", "OPTIONS.gain", "OBJ.k", "BOX['f']", "LIST[0]", "LIST[-1]",
    "len(LIST)", "float(len(SET))", "DEQUE[0]", "helper.k", "getattr(OBJ, 'late', 0.5)",
    "PARTS['one'].k", "PARTS['two'].offset", "PARTS['one']['a']", "READ()", "vars(OBJ)['k']",
    "NET.scale", "sum(LIST)", "float(ARR[0])", "(2.0 if 'b' in SET else 0.5)", "max(BOX.values())",
)
UNARY = (
    "{t}.relu()", "{t}.sigmoid()", "{t}.tanh()", "-{t}", "{t}.abs()", "{t}.clamp(-1.0, 1.0).exp()",
    "F.gelu({t})", "F.softplus({t})", "F.leaky_relu({t}, 0.1)", "{t} * {t}", "{t}.sin()",
    "helper({t})", "helper({t}, shift={n})", "CHOSEN({t})", "PART({t})", "CLOSED({t})",
    "MODEL({t})", "NET({t})", "{t} @ W", "{t}.softmax(1)", "{t}.flip(0)", "{t}.roll(1, 1)",
    "{t} * cr.tensor(ARR)[0]", "cr.where({t} > 0, {t}, {n})", "{t} + GEN.uniform(4, 6)",
    "{t} / (1 + {t}.abs())", "F.layer_norm({t}, (6,))", "{t}.tril()", "{t}.cumsum(1)",
    "F.dropout({t}, 0.0)", "F.dropout({t}, 0.4)", "{t} + cr.rand(4, 6)", "{t} * cr.randn(6)",
    "{t}[:, cr.randperm(6)]", "PARTS['one']({t})", "Deep.of({t})", "Part.plain({t})", "nested({t})",
    "cr.stack([r * {n} for r in {t}])", "cr.cat([{t}[2:], {t}[:2]])", "(lambda v: v * {n})({t})",
    "cr.checkpoint(helper, {t})", "{t} @ W2.T", "F.linear({t}, W, W2[0])", "{t}.sort(1)[0]",
    "cr.vmap(lambda r: r * {n} - r.sum())({t})", "F.normalize({t}, dim=1)", "{t}.detach()",
    "{t}.clone()", "{t}.detach().clone().requires_grad_()", "F.elu({t})", "{t}.round()",
    "{t}.masked_fill({t} > {n}, 0.5)", "{t}.log1p()",
)
BINARY = (
    "{t} + {u}", "{t} - {u}", "{t} * {u}", "cr.maximum({t}, {u})", "{t} + {n}", "{n} * {t}",
    "{t} / {n}", "{t} + {u}[0]", "{t} * {u}[:, :1]", "cr.where({t} > {u}, {t}, {u})", "{t} + BUF",
    "{t} * COUNT", "{t} + {u}.T.T",
)
REDUCED = (
    "{t}.sum()", "{t}.mean(1, keepdim=True)", "{t}.relu().sum(0)", "{t}.amax()", "{t}.var()",
    "{t}.relu().mean()", "{t}[0].sum()", "{t}.max(1, keepdim=True)[0]", "{t}.reshape(-1)[3]",
    "{t}[1, 2]", "{t}[-1]", "{t}[[0, 2]].sum(0)", "{t}[cr.tensor([1, 1, 3])].mean(0)",
    "{t}[1:3, ::2].sum()", "{t}[..., None].sum()", "{t}.T[2].sum()",
    "sum(row.sum() for row in {t})", "{t}.split(2)[1].mean()",
    "{t}[:, cr.tensor([0, 5])].sum(1, keepdim=True)", "{t}.norm()", "{t}.flatten()[:6]",
    "{t}.unsqueeze(0).squeeze(0)", "{t}.expand(2, 4, 6).sum(0)", "{t}[-2:, [0, 0, 3]].sum()",
    "{t}[[0, 1], [2, 3]].sum()", "{t}[cr.tensor([[0, 1], [3, 3]])].sum((0, 1))",
    "{t}[None, :, None, 1].sum()", "{t}[[True, False, True, True]].sum(0)", "{t}[..., -1].sum()",
    "{t}[1::2][0]", "{t}[{t}.argmax(0), cr.arange(6)]", "{t}.tanh().prod(0)",
    "{t}.sigmoid().logsumexp(1, keepdim=True)", "{t}.chunk(3, 1)[2].amin()", "{t}.relu().std(0)",
    "{t}.unbind()[1]", "{t}.gather(1, cr.tensor([[0], [5], [2], [2]]))", "{t}.diagonal().sum()",
    "F.cross_entropy({t}, cr.tensor([0, 1, 2, 5]))", "F.mse_loss({t}, {u} + 0 * {t})",
    "{t}.select(1, 2).mean()", "{t}.view(2, 12)[1, :6]", "{t}.float().sum()",
)
WRITES = (
    "{t}.add_({n})", "{t}.mul_({u})", "{t}[0] = {n}", "{t}[1, 2:4] = {u}[0, :2]", "{t} += {u}",
    "{t} *= {n}", "{t}[0].add_(1.0)", "{t}[0][1] = 5.0", "{t}.T[1].zero_()",
    "{t}.reshape(-1)[3:7].fill_({n})", "{t}.copy_({u})", "{t}[cr.tensor([0, 2])] = {n}",
    "{t}.detach().mul_(0.5)", "{t}.data.add_(0.25)", "{t}[..., ::2] -= 1.0",
    "{t}.chunk(2)[1].relu_()", "{t}.unbind(1)[0].add_({n})", "{t}.clamp_(-1.0, {n})",
    "{t}[[0, 3], [1, 2]] = {n}", "{t}.diagonal().fill_({n})", "{t}.relu_().mul_({n})",
    "{t}.view(2, 12)[1] *= {n}", "{t}[None, 1].zero_()", "{t}.masked_fill_({t} > {n}, 0.0)",
    "{t}.index_add_(0, cr.tensor([0, 2]), {u}[:2])", "{t}.data = {u} * {n}", "{t}.uniform_()",
    "[row.mul_({n}) for row in {t}]", "{t}.permute(1, 0)[2:4].sub_({n})", "{t}[-1].copy_({t}[0])",
    "{t}.T.reshape(-1)[0] = 9.0", "{t}.expand_as({t}).neg_()",
    "{t}[[True, False, True, False]] += 1",
)
EFFECTS = (
    "LIST.append(1.0)", "BOX['n'] = BOX.get('n', 0) + 1",
    "OBJ.count = getattr(OBJ, 'count', 0) + 1", "{t}.add_(random.random())",
    "{t}.mul_(next(STREAM))", "{t}.add_(float(np.random.normal()))",
    "{t}.add_(float(RNG.normal()))", "OBJ.kept = {t} * 2", "SET.add(len(SET))",
)
CHECKED = (
    "{t}[POS]", "{t}[:, POS]", "F.cross_entropy({t}, POS)", "F.one_hot(POS, 6)", "POS // DIV",
    "POS ** (DIV - 1)", "F.embedding(POS, {t})", "cr.linalg.cholesky(MAT)", "MAT.inverse()",
    "({t} * COUNT).long()", "(1e19 * DIV).long()", "{t}.index_select(0, POS)", "POS % DIV",
    "F.binary_cross_entropy({t}.sigmoid(), MAT[:1, :1].expand(4, 6))", "cr.bernoulli(MAT)",
    "cr.multinomial(MAT, 1)", "{t}.index_add(0, POS, {t})", "cr.repeat_interleave({t}, DIV, dim=0)",
    "F.nll_loss({t}, POS)", "{t}.gather(1, (POS - 1).unsqueeze(1))", "cr.linalg.solve(MAT, MAT)",
)
STATE = (
    "BUF.add_({t}.detach())", "BUF[2] = {t}.detach()[0]", "COUNT.add_(1)", "ROW.mul_({n})",
    "NET.b = NET.b * 0.5 + {t}.detach()[0]", "NET.b += 1", "FLAT[:6].copy_({t}.detach()[3])",
    "BUF.mul_(0.5)", "COUNT.assign({t}.detach().mean())", "STORE[1].add_({n})",
    "STORE.T[0].zero_()",
    "W.data.mul_(0.99)", "W.data[0].add_({t}.detach()[0])", "STORE[:4] = {t}.detach()",
    "STORE.copy_(W.detach())", "W2.data = W2.data * 0.9", "BUF.normal_()", "KEPT.add_(1.0)",
    "W.grad.mul_(0.5)", "W.grad = None", "W2.grad.zero_()", "STORE.data.uniform_(generator=GEN)",
)
CHANGES = (
    "G = {v}", "CFG.k = {v}", "CFG.flag = not CFG.flag", "SLOTS.k = {v}", "OPTIONS.gain = {v}",
    "OPTIONS.steps = 3", "OBJ.k = {v}", "OBJ.late = {v}", "BOX['f'] = {v}", "BOX['g'] = {v}",
    "LIST.append({v})", "LIST[0] = {v}", "SET.add('b')", "SET.discard('a')",
    "DEQUE.appendleft({v})", "ARR[0] = {v}", "helper.k = {v}", "helper.__defaults__ = ({v},)",
    "CHOSEN = other", "helper.__kwdefaults__ = {{'shift': {v}}}", "CLOSED = make({v})",
    "MODEL.eval()", "MODEL.train()", "MODEL.append(nn.Tanh())", "LAYERS.append(nn.Sigmoid())",
    "Net.scale = {v}", "NET.scale = {v}", "PART = functools.partial(helper, gain={v})",
    "NET.forward = lambda t: t * {v}", "BUF.zero_()", "ROW.add_({v})", "W.data.mul_(0.9)",
    "MODEL[2].p = 0.3", "MODEL[0] = nn.Identity()", "Deep.offset = {v}", "PARTS['one']._k = {v}",
    "PARTS['one'] = Deep()", "Part.table['a'] = {v}", "WRITE({v})", "OUT[0].add_({v})",
    "OUT[0].detach().zero_()", "OUT[-1].mul_({v})", "OUT[0].sum().backward()", "KEPT = W.grad",
    "KEPT.mul_({v})", "KEPT = OUT[0]", "(OUT[0] * OUT[-1]).mean().backward()", "W.grad = None",
    "OPT.param_groups[0]['lr'] = {v} / 20", "OPT.zero_grad()", "OPT.zero_grad(set_to_none=False)",
    "STORE.mul_({v})", "STORE = STORE.clone()", "BUF = BUF.clone()", "W2.requires_grad_(False)",
    "W2.requires_grad_()", "W2 = W2.detach().T", "W2.data = W.data", "OPT.state.clear()",
    "GEN.manual_seed(5)", "NET.b = cr.ones(6)",
    "NET.register_forward_hook(lambda m, a, o: o * {v})",
    "W.register_hook(lambda g: g * {v})", "nested = helper", "KEPT = STORE[2:4]",
    "POS[1] = 6", "POS[0] = -7", "DIV[2] = 0", "DIV.neg_()", "MAT[0] = -{v}", "MAT.zero_()",
    "OUT[-1].sum().backward()", "OUT[0].requires_grad_(False)", "G = int(2 * {v})",
    "NET.fc.weight.requires_grad_(False)", "COUNT.fill_({v})", "pass",
)
TESTS = (
    "CFG.flag", "G > 1", "'b' in SET", "hasattr(OBJ, 'late')", "len(LIST) > 2", "MODEL.training",
    "OPTIONS.steps == 2", "isinstance(PARTS['one'], Deep)", "W.grad is None", "x is y",
    "W2.requires_grad", "x.shape == y.shape", "OBJ.__dict__.get('late')", "callable(nested)",
)
LOOPS = (
    ("for layer in LAYERS:", "layer({0})"),
    ("for _ in range(OPTIONS.steps):", "{0}.tanh()"),
    ("for c in LIST:", "{0} * c"),
    ("for name, part in PARTS.items():", "part({0}) * len(name)"),
    ("for i, row in enumerate(y):", "{0} + row * i"),
    ("for p in NET.parameters():", "{0} + p.sum()"),
    ("for key in sorted(BOX):", "{0} * BOX[key]"),
)
TRAINING = (
    ["OPT.zero_grad()", "loss = ({0} @ W).tanh().sum()", "loss.backward()", "OPT.step()"],
    ["loss = ({0} @ W).tanh().sum() + {1}.mean()", "loss.backward()", "OPT.step()",
     "OPT.zero_grad(set_to_none=False)"],
    ["OPT.zero_grad()", "(({0} @ W2) ** 2).mean().backward()",
     "optim.clip_grad_norm_([W, W2], 0.5)", "OPT.step()"],
    ["loss = ({0} @ W + {1} @ W2).sigmoid().sum()", "loss.backward()", "with cr.no_grad():",
     "    W.sub_(0.01 * W.grad)", "W.grad = None"],
    ["({0} @ W).sum().backward()", "optim.clip_grad_value_([W], 0.1)"],
    ["g, = cr.gradients(({0} @ W).sin().sum(), [W])", "with cr.no_grad(): W.add_(g, alpha=-0.01)"],
    ["with cr.no_grad():", "    BUF.copy_(({0} @ W)[:4])"],
)
RESULTS = (
    "{0}.detach().clone(), {1}.detach().clone()", "{0}, {1}", "{0}, {0}", "{0}[0], {1}.detach()",
    "{0}.T, BUF", "[{0}, {1}[1:]]", "{0}.detach(), STORE[1]", "{0}.sum(), W", "{0}.data, x",
    "{0} * 0.5, {0}.relu().sqrt() @ W.T",
)
