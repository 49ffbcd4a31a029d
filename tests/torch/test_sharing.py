"""Which tensors share numbers: small programs for PyTorch, run with it and with the wing."""

import copy

import pytest

import chainrule.torch as wing

pytestmark = pytest.mark.parity
PROGRAMS = r"""
x = a(6).reshape(2, 3); y = x.T.contiguous(); y[0] = 50
x = a(6).reshape(2, 3); y = x.contiguous(); y[0] = 50
x = a(6).reshape(2, 3); y = x[:, 1:].contiguous(); y[0] = 50
x = a(6).reshape(2, 3); y = x.repeat(1, 1); y[0] = 9
x = a(6).reshape(2, 3); y = torch.tile(x, (1,)); y[0] = 9
x = a(6).reshape(2, 3); y = torch.einsum('ij->ji', x); y += 1
x = a(4).reshape(2, 2); y = torch.einsum('ii->i', x); y += 1
x = a(6).reshape(2, 3); y = +x; y += 1
x = a(6).reshape(2, 3); y = copy.copy(x); y += 1
x = a(6).reshape(2, 3); y = copy.deepcopy(x); y += 1
x = a(6).reshape(2, 3); y = x[0]; x.data = torch.zeros(2, 3)
x = a(6).reshape(2, 3); y = x.detach(); x.data = torch.zeros(2, 3)
x = a(4); y = torch.zeros(4); x.data = y; y += 3
x = a(4); y = torch.zeros(4); x.data = y[1:]; y += 3
x = a(4); x.data = x.data.double()
x = a(4); y = x.detach().detach(); y.zero_()
x = a(4); y = x.view(2, 2).detach(); y[1] = 7
x = a(4); y = x.data[1:].data; y += 1
w = torch.nn.Parameter(a(4)); x = w.view(2, 2).detach(); x.zero_(); y = w.data
w = torch.nn.Parameter(a(4)); x = w.detach().view(2, 2); w.data.fill_(3.0); y = w.data
y = a(6).reshape(2, 3); x = torch.nn.Parameter(y[0]); x.data += 1
y = a(6).reshape(2, 3); x = torch.nn.Parameter(y.T); y[0] = 7
x = a(6); y = x.detach(); del x; x = y.detach(); x += 1
x = a(6).reshape(3, 2)\nfor row in reversed(x): row += 1
x = a(6).long(); x <<= 2; y = x >> 1
w = leaf(); (w * 10).sum().backward(); x = w.grad; norm([w], 1.0)
w = leaf(); (w * 10).sum().backward(); x = w.grad; value([w], 1.0)
w = leaf(); (w * 10).sum().backward(); x = w.grad; sgd([w]).zero_grad(False)
w = leaf(); (w * 10).sum().backward(); x = w.grad[:1]; (w * 3).sum().backward()
""".strip().splitlines()


def run(program, torch):
    names = {
        "torch": torch,
        "copy": copy,
        "a": lambda n: torch.arange(float(n)),
        "leaf": lambda: torch.ones(2, requires_grad=True),
        "norm": torch.nn.utils.clip_grad_norm_,
        "value": torch.nn.utils.clip_grad_value_,
        "sgd": lambda weights: torch.optim.SGD(weights, lr=0.1),
    }
    exec(program.replace("\\n", "\n"), names)
    found = [names[name] for name in "xy" if name in names]
    return [(str(t.dtype), t.detach().tolist()) for t in found]


@pytest.mark.parametrize("program", PROGRAMS)
def test_writes_reach_the_same_tensors_as_in_pytorch(program):
    torch = pytest.importorskip("torch")
    assert run(program, wing) == run(program, torch)


def test_a_copy_that_is_a_view_in_pytorch_is_not_written():
    x = wing.arange(6.0)
    with pytest.raises(RuntimeError, match="copy here and a view in PyTorch"):
        x.unfold(0, 2, 1).zero_()
    with pytest.raises(RuntimeError, match="copy here and a view in PyTorch"):
        x.unfold(0, 2, 2)[0] = 1
