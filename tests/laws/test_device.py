"""Everything that runs on the CPU runs on another device, with the same numbers: models, objectives, fitted models, checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pretend_device import DEVICE, pretended, values
from test_catalogue import HYPER, PAIRS, SPACES

from jensen.checks.subject import some_rows
from jensen.model import Can, Model
from jensen.models import model_class



def answers(model: Model, x: torch.Tensor, device: torch.device) -> dict[str, Any]:
    found = {}
    x = x.to(device)
    for where in {"cpu", device.type}:
        def noise(): return torch.Generator(torch.device(where)).manual_seed(3)
        if Can.SAMPLE in model.can:
            found["sample", where != "cpu"] = model.sample(5, None, noise())
        if Can.SAMPLE_WITH_LOG_PROB in model.can:
            found["sample_with"] = model.sample_with_log_prob(5, None, noise())
        if Can.LOG_PROB_LOWER in model.can:
            found["lower"] = model.log_prob_lower(x, None, 3, noise())
        if Can.LOG_WEIGHTS in model.can:
            found["weights"] = model.log_weights(x, None, 3, noise())
    for default in (0,):
        torch.manual_seed(5)
        for n in ("log_prob","embed"):
            if Can[n.upper()] in model.can: found[n]=getattr(model,n)(x)
        if Can.SAMPLE in model.can: found["sample"]=model.sample(5)
        if Can.SOLVE in model.can: 
            import copy
            other = copy.deepcopy(model); other.solve(x); found["solve"]=list(other.state_dict().values())
    return found
