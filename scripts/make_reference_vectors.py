"""Write PyTorch's results for the golden model's tests, so that these run without PyTorch.

    python scripts/make_reference_vectors.py            (needs this package and torch)

One file a case goes to tests/golden/reference: the inputs (`in_*`) and the float64 results of
PyTorch autograd (`out_*`, stored as float32). Inputs of whole networks (in its folder `networks`)
come from NumPy's generator instead.
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[1]



def _load(name):
    path = ROOT / "tests" / "golden" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


comparison = _load("torch_comparison")


def _leaf(array):
    return torch.tensor(np.asarray(array, np.float64), requires_grad=True)


def _conv(parameters, given):
    *_, stride, padding, _ = parameters
    z, w, b = (_leaf(given[key]) for key in ("z", "w", "b"))
    y = functional.conv2d(torch.relu(z), w, b, stride=stride, padding=padding)
    y.backward(torch.tensor(given["dy"], dtype=torch.float64))
    return {"y": y, "dx": z.grad, "dw": w.grad, "db": b.grad}


def _maxpool(parameters, given):
    x = _leaf(given["x"])
    y = functional.max_pool2d(torch.relu(x), parameters[3])
    y.backward(torch.tensor(given["dy"], dtype=torch.float64))
    return {"y": y, "dx": x.grad}


def _cross_entropy(parameters, given):
    images, _, valid = parameters
    logits, labels = _leaf(given["logits"]), torch.tensor(given["labels"])
    losses = functional.cross_entropy(logits, labels, reduction="none")
    losses = losses * (torch.arange(images) < valid)
    loss = losses.sum() / valid
    loss.backward()
    return {"losses": losses, "loss": loss, "gradient": logits.grad}


def _network(parameters, given):
    _, steps = parameters
    names = ["w1", "w2", "w3", "b1", "b2", "b3"]
    w1, w2, w3, b1, b2, b3 = tensors = [_leaf(given[name]) for name in names]
    optimizer = torch.optim.SGD(tensors, lr=comparison.LR, momentum=comparison.MOMENTUM)
    x, labels = torch.tensor(given["x"], dtype=torch.float64), torch.tensor(given["labels"])
    losses, result = [], {}
    for step in range(steps):
        h = torch.relu(functional.max_pool2d(functional.conv2d(x, w1, b1, padding=1), 2))
        h = torch.relu(functional.conv2d(h, w2, b2, stride=2, padding=1))
        loss = functional.cross_entropy(functional.linear(h.flatten(1), w3, b3), labels)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            result = {
                f"d{name}": tensor.grad.clone() for name, tensor in zip(names, tensors, strict=True)
            }
        optimizer.step()
    result |= dict(zip(names, tensors, strict=True))
    return result | {"losses": torch.tensor(losses)}


def reference(name, given):
    """PyTorch's results for the inputs of a case: a dict of float64 arrays."""
    kind, parameters = comparison.CASES[name]
    compute = {
        "conv": _conv,
        "maxpool": _maxpool,
        "cross_entropy": _cross_entropy,
        "network": _network,
    }[kind]
    return {key: value.detach().numpy() for key, value in compute(parameters, given).items()}


def network_reference(pairs, run):
    """PyTorch's losses and parameters after some steps of a run: float32 arrays."""
    program = run.program
    settings = {"batch": run.batch, "loss": run.loss, "optimizer": program.optimizer}
    pair = pairs.Pair(run.network, **settings)
    losses = [
        pair.torch_step(number, *pair.batch_of(run.batch - 1))
        for number in range(1, pairs.run.STEPS + 1)
    ]
    results = {f"out_{name}": value for name, value in pair.torch_results().items()}
    results["losses"] = np.array(losses)
    return {name: value.astype(np.float32) for name, value in results.items()}


def main():
    folder = ROOT / "tests" / "golden" / "reference"
    folder.mkdir(exist_ok=True)
    for name in comparison.CASES:
        given = comparison.inputs(name)
        arrays = {f"in_{key}": value for key, value in given.items()}
        for key, value in reference(name, given).items():
            arrays[f"out_{key}"] = value.astype(np.float32)
        np.savez_compressed(folder / f"{name}.npz", **arrays)
        print(f"{name}: {(folder / f'{name}.npz').stat().st_size} bytes")
    pairs = _load("torch_network")
    for name, make in pairs.run.STORED.items():
        path = folder / "networks" / f"{name}.npz"
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, **network_reference(pairs, make()))
        print(f"networks/{name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
