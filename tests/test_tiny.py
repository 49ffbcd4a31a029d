"""Under five seconds: does the house stand?"""

import numpy as np

import chainrule as cr
from chainrule import nn, optim


def test_a_derivative():
    x = cr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_a_second_derivative():
    assert cr.hessian(lambda x: (x**3).sum())(cr.tensor([1.0, 2.0])).tolist() == [[6, 0], [0, 12]]


def test_a_program_becomes_a_graph_with_the_same_bits():
    def program(x):
        return (x * 2 + 1).relu().sum()

    x = cr.randn(3, 4)
    assert cr.trace(program)(x.spec)(x).numpy() == program(x).numpy()


def test_a_network_learns_xor():
    x = cr.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    labels = cr.tensor([0, 1, 1, 0])
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    loss_of = nn.CrossEntropyLoss()
    for _ in range(100):
        optimizer.zero_grad()
        loss = loss_of(model(x), labels)
        loss.backward()
        optimizer.step()
    assert (model(x).argmax(1) == labels).all()
    assert loss.item() < 0.1


def test_the_same_seed_gives_the_same_bits():
    def draw():
        cr.manual_seed(3)
        return cr.randn(5).numpy().tobytes()

    assert draw() == draw()


def test_errors_teach():
    message = ""
    try:
        cr.ones(2, 3) @ cr.ones(4, 5)
    except ValueError as error:
        message = str(error)
    assert "(2, 3)" in message and "(4, 5)" in message and "expected" in message


def test_numbers_go_in_and_out():
    array = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(cr.tensor(array).numpy(), array)
