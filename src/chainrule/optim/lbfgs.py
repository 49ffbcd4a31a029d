"""L-BFGS: Newton's method with a Hessian that is estimated from the last gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from chainrule.errors import ArgumentError
from chainrule.ops.creation import zeros_like
from chainrule.ops.shape import cat
from chainrule.optim.line_search import Point, StrongWolfe
from chainrule.optim.optimizer import Optimizer, Params, State
from chainrule.settings import use
from chainrule.tensor import Tensor

Closure = Callable[[], Any]
_CURVATURE = 1e-10
"""The least y·s of a pair that is kept, so that the estimate stays positive definite."""


class LBFGS(Optimizer):
    """w ← w + t·d,  d = −H·g, where H ≈ the inverse Hessian, from the last steps and gradients.

    H is applied by the two loops of Nocedal, 1980 (Liu & Nocedal, 1989), with the last
    `history_size` pairs s = t·d and y = the change of g. t is lr, in the first iteration
    lr·min(1, 1/Σ|g|). With `line_search_fn="strong_wolfe"`, t is found by a line search from there.

    `step(closure)` takes up to `max_iter` iterations. The closure clears the gradients, computes
    the loss, calls `backward`, and returns the loss. A step ends early after `max_eval` calls (by
    default 1.25·max_iter), if max |g| ≤ `tolerance_grad`, or if the loss or all weights change by
    less than `tolerance_change`. The weights are one group. A step depends on values, so that it
    cannot be captured. Raises ArgumentError for a second group, and for other line searches.

    >>> import chainrule as cr
    >>> w = cr.tensor([-1.2, 1.0], requires_grad=True)
    >>> optimizer = LBFGS([w], line_search_fn="strong_wolfe", max_iter=50)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure)
    tensor(24.2, from=add)
    >>> w
    tensor([1., 1.], requires_grad=True)
    """

    fixed: ClassVar = frozenset({"line_search_fn"})
    switches: ClassVar = {}

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise ArgumentError(
                f"line_search_fn = {line_search_fn!r}", expected="'strong_wolfe' or None"
            )
        counts = dict(max_iter=max_iter, max_eval=max_eval or max_iter * 5 // 4)
        tolerances = dict(tolerance_grad=tolerance_grad, tolerance_change=tolerance_change)
        more = dict(history_size=history_size, line_search_fn=line_search_fn)
        super().__init__(params, {"lr": lr, **counts, **tolerances, **more})

    def add_param_group(self, param_group: Any) -> None:
        """The one group. Raises ArgumentError for another one."""
        if self.param_groups:
            raise ArgumentError("LBFGS has one group of parameters", instead="Pass them together.")
        super().add_param_group(param_group)

    def step(self, closure: Closure | None = None) -> Any:
        """Take up to `max_iter` iterations. Returns the first loss."""
        if closure is None:
            raise ArgumentError("LBFGS computes the loss several times", expected="step(closure)")
        with use(gradients=False):
            return _Run(self.param_groups[0], self.state, closure).run()


class _Run:
    """One call of `step`."""

    def __init__(self, group: Any, states: dict[Tensor, State], closure: Closure) -> None:
        self.options, self.params, self.closure = group.options(), group.params, closure
        self.state = states[group.params[0]]
        self.calls = 0

    def run(self) -> Any:
        """Iterate, and return the first loss."""
        loss, g = self.evaluate()
        value, state, options = float(loss), self.state, self.options
        change, iterations = options["tolerance_change"], options["max_iter"]
        for number in range(1, iterations + 1):
            if _largest(g) <= options["tolerance_grad"]:
                break
            d = self.direction(g)
            slope, t, before = _dot(g, d), self.first_length(g), value
            state.update(d=d, t=t, prev_flat_grad=g, prev_loss=value)
            if slope > -change:
                break
            if options["line_search_fn"]:
                start, most = Point(0.0, value, g, slope), options["max_eval"] - self.calls
                search = StrongWolfe(self.along(d), start, change / _largest(d), most)
                state["t"], value, g, _ = search.run(t)
                self.move(self.weights(), state["t"], d)
            else:
                self.move(self.weights(), t, d)
                if number < iterations:
                    loss_here, g = self.evaluate()
                    value = float(loss_here)
            is_short = _largest(d) * abs(state["t"]) <= change or abs(value - before) < change
            if self.calls >= options["max_eval"] or is_short:
                break
        return loss

    def evaluate(self) -> tuple[Any, Tensor]:
        """The loss, and the gradients of all parameters in a row."""
        with use(gradients=True):
            loss = self.closure()
        self.calls += 1
        self.state["func_evals"] = self.state.get("func_evals", 0) + 1
        parts = [zeros_like(p) if p.grad is None else p.grad for p in self.params]
        return loss, cat([part.detach().reshape(-1) for part in parts])

    def direction(self, g: Tensor) -> Tensor:
        """−H·g, after the last step is added to the pairs."""
        state = self.state
        state["n_iter"] = state.get("n_iter", 0) + 1
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -g
        ys, ss, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = g - state["prev_flat_grad"], state["d"] * float(state["t"])
        if (curvature := _dot(y, s)) > _CURVATURE:
            for kept, new in zip((ys, ss, inverses), (y, s, 1.0 / curvature), strict=True):
                kept.append(new)
                del kept[: -self.options["history_size"]]
            state["H_diag"] = curvature / _dot(y, y)
        q, pairs, shares = -g, [*zip(ys, ss, map(float, inverses), strict=True)], []
        for y, s, inverse in reversed(pairs):
            shares.append(inverse * _dot(s, q))
            q = q - shares[-1] * y
        q = q * float(state["H_diag"])
        for y, s, inverse in pairs:
            q = q + (shares.pop() - inverse * _dot(y, q)) * s
        return q

    def first_length(self, g: Tensor) -> float:
        """The first guess of t."""
        lr: float = self.options["lr"]
        return lr * min(1.0, 1.0 / g.abs().sum().item()) if self.state["n_iter"] == 1 else lr

    def weights(self) -> list[Tensor]:
        """The present weights."""
        return [p.detach().clone() for p in self.params]

    def move(self, origin: list[Tensor], t: float, d: Tensor) -> None:
        """Set the weights to origin + t·d."""
        start = 0
        for p, x in zip(self.params, origin, strict=True):
            p.assign(x + t * d[start : start + p.numel()].reshape(p.shape))
            start += p.numel()

    def along(self, d: Tensor) -> Callable[[float], Point]:
        """The loss on the line from the present weights along d, as a function of t."""
        origin = self.weights()

        def at(t: float) -> Point:
            self.move(origin, t, d)
            loss, g = self.evaluate()
            for p, x in zip(self.params, origin, strict=True):
                p.assign(x)
            return Point(t, float(loss), g, _dot(g, d))

        return at


def _dot(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum().item())


def _largest(x: Tensor) -> float:
    return float(x.abs().max().item())
