"""`torch.amp`: autocast changes nothing, and the scaler scales as PyTorch's."""

from __future__ import annotations

import warnings

import pytest


def test_autocast_changes_nothing(torch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modes = [
            torch.autocast("cpu"),
            torch.autocast(device_type="cpu", enabled=False),
            torch.amp.autocast("cuda", dtype=torch.float16),
            torch.cuda.amp.autocast(),
        ]
        for mode in modes:
            with mode:
                assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_a_scaler_for_the_gpu_scales_by_one(torch):
    scaler = torch.cuda.amp.GradScaler()
    assert not scaler.is_enabled() and scaler.scale(torch.ones(1)).item() == 1
    assert scaler.state_dict() == {}


@pytest.mark.parity
def test_the_scaler_goes_through_the_same_scales(torch, pytorch):
    """Scale, skip the step with an infinite gradient, shrink, grow again."""
    courses = []
    for t in (torch, pytorch):
        p = t.nn.Parameter(t.tensor([1.0, -2.0]))
        optimizer = t.optim.SGD([p], lr=0.125)
        scaler = t.amp.GradScaler("cpu", init_scale=16.0, growth_interval=2)
        course = []
        for factor in (1.0, float("inf"), 1.0, 1.0, 1.0):
            optimizer.zero_grad()
            scaler.scale((p * p).sum() * factor).backward()
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
            course.append((scaler.get_scale(), p.tolist()))
        other = t.amp.GradScaler("cpu")
        other.load_state_dict(scaler.state_dict())
        courses.append([*course, other.get_scale()])
    assert courses[0] == courses[1]
