"""ONNX models become networks that compute what onnx's evaluator says, and take weights back."""

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from eftrain_hw import AcceleratorConfig, nn, optim
from eftrain_hw.compiler.compile import prepare
from eftrain_hw.compiler.importers import from_onnx
from eftrain_hw.compiler.state import device_state
from eftrain_hw.golden.network import forward_pass

RNG = np.random.default_rng(5)


def model(nodes, constants, shape=(3, 9, 12)):
    """A model of (operator, inputs, output, attributes)."""
    made = [
        helper.make_node(kind, inputs, [output], name=f"n_{output}", **attributes)
        for kind, inputs, output, attributes in nodes
    ]
    graph = helper.make_graph(
        made,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info(nodes[-1][2], TensorProto.FLOAT, ["N", "outputs"])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def normal(*shape):
    return (0.4 * RNG.standard_normal(shape)).astype(np.float32)


CONSTANTS = {
    "stem.weight": normal(6, 3, 3, 3),
    "stem.bias": normal(6),
    "scale": normal(6) + 1,
    "shift": normal(6),
    "mean": normal(6),
    "var": np.abs(normal(6)) + 0.5,
    "deep.weight": normal(6, 1, 3, 3),
    "up": normal(6, 4, 2, 3),
    "up_bias": normal(4),
    "fc.weight": normal(7, 10 * 4 * 5),
    "fc.bias": normal(7),
    "product": normal(7, 5),
    "product_bias": normal(5),
    "shape": np.array([0, -1]),
    "ratio": np.float32(0.3),
}
PADS = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
NODES = [
    ("Conv", ["x", "stem.weight", "stem.bias"], "a", PADS),
    ("BatchNormalization", ["a", "scale", "shift", "mean", "var"], "b",
     {"epsilon": 1e-3, "momentum": 0.8}),
    ("Relu", ["b"], "c", {}),
    ("Conv", ["c", "deep.weight"], "d", {"group": 6, "auto_pad": "SAME_UPPER"}),
    ("Add", ["d", "c"], "e", {}),
    ("MaxPool", ["e"], "f", {**PADS, "strides": [2, 2]}),
    ("ConvTranspose", ["f", "up", "up_bias"], "g", {"strides": [1, 1]}),
    ("LeakyRelu", ["g"], "h", {"alpha": 0.3}),
    ("AveragePool", ["f"], "i", {"kernel_shape": [2, 2], "strides": [1, 1]}),
    ("MaxPool", ["h"], "j", {"kernel_shape": [3, 4]}),
    ("Sigmoid", ["i"], "k", {}),
    ("Concat", ["j", "k"], "l", {"axis": 1}),
    ("Dropout", ["l", "ratio"], "m", {}),
    ("Reshape", ["m", "shape"], "n", {}),
    ("Gemm", ["n", "fc.weight", "fc.bias"], "o", {"transB": 1}),
    ("Relu", ["o"], "p", {}),
    ("MatMul", ["p", "product"], "q", {}),
    ("Add", ["product_bias", "q"], "r", {}),
]  # fmt: skip


def outputs(network, state, x):
    config = AcceleratorConfig.preset("sim-small").replace(format="fp32")
    program = prepare(
        network, config, batch_size=len(x), loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(lr=1)
    )
    tensors = device_state(program, state)
    tensors["x"] = program.encode_input(x)
    forward_pass(program, tensors)
    return tensors[program.logits].reshape(len(x), -1)[:, : program.classes]


def test_network_computes_the_same(tmp_path):
    source = model(NODES, CONSTANTS)
    onnx.checker.check_model(source)
    path = tmp_path / "model.onnx"
    onnx.save(source, path)
    imported = from_onnx(path)
    x = normal(3, 3, 9, 12)
    (expected,) = ReferenceEvaluator(source).run(None, {"x": x})
    np.testing.assert_allclose(
        outputs(imported.network, imported.state, x), expected, rtol=1e-5, atol=1e-5
    )
    norm = next(n.layer for n in imported.network.nodes if isinstance(n.layer, nn.BatchNorm2d))
    assert (norm.eps, norm.momentum) == (pytest.approx(1e-3), pytest.approx(0.2))
    assert {"stem.weight", "deep.weight", "fc.weight", "n_q.weight"} <= set(imported.state)


def test_weights_go_back(tmp_path):
    imported = from_onnx(model(NODES, CONSTANTS))
    changed = {name: 0.7 * value + 0.05 for name, value in imported.state.items()}
    path = tmp_path / "trained.onnx"
    exported = imported.export(changed, path)
    onnx.checker.check_model(str(path))
    x = normal(2, 3, 9, 12)
    (expected,) = ReferenceEvaluator(exported).run(None, {"x": x})
    np.testing.assert_allclose(
        outputs(imported.network, changed, x), expected, rtol=1e-5, atol=1e-5
    )
    again = from_onnx(path)
    for name, value in changed.items():
        np.testing.assert_array_equal(again.state[name], value.astype(np.float32))


def test_target_of_reshape_may_be_computed():
    """As exporters write x.view(x.size(0), -1)."""
    nodes = [
        ("Shape", ["x"], "s", {}),
        ("Gather", ["s", "zero"], "n", {"axis": 0}),
        ("Unsqueeze", ["n", "axes"], "u", {}),
        ("Concat", ["u", "rest"], "t", {"axis": 0}),
        ("Reshape", ["x", "t"], "f", {}),
        ("Gemm", ["f", "w"], "y", {"transB": 1}),
    ]
    constants = {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1])}
    source = model(nodes, {**constants, "w": normal(5, 24)}, shape=(2, 3, 4))
    imported = from_onnx(source)
    x = normal(2, 2, 3, 4)
    (expected,) = ReferenceEvaluator(source).run(None, {"x": x})
    found = outputs(imported.network, imported.state, x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


WEIGHT = {"w": normal(2, 3, 3, 3), "v": normal(2, 3)}


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("HardSwish", ["x"], "y", {})], "node 'n_y' (HardSwish) is not supported; supported are"),
        (
            [("Conv", ["x", "w"], "y", {"pads": [0, 0, 1, 1]})],
            "node 'n_y' (Conv): padding must be as much on either side, not [0, 0, 1, 1]",
        ),
        (
            [("Conv", ["x", "w"], "y", {"strides": [5, 1]})],
            "node 'n_y' (Conv): Conv2d.stride must be 1 to 4, not (5, 1)",
        ),
        ([("Conv", ["x", "x"], "y", {})], "node 'n_y' (Conv): weight must be an initializer"),
        ([("Add", ["x", "w"], "y", {})], "node 'n_y' (Add): input 1 must be the output of a layer"),
        ([("Flatten", ["x"], "y", {"axis": 2})], "node 'n_y' (Flatten): axis must be 1, not 2"),
        (
            [("Gemm", ["x", "v"], "y", {"alpha": 2.0})],
            "node 'n_y' (Gemm): alpha and beta must be 1",
        ),
        ([("Gemm", ["x", "v"], "y", {"transB": 1})], "node 'n_y': layer n_y (Linear): input must"),
    ],
)
def test_unsupported_nodes_are_named(nodes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        from_onnx(model(nodes, WEIGHT))


def test_cycles_and_several_inputs_are_refused():
    nodes = [("Add", ["x", "b"], "a", {}), ("Relu", ["a"], "b", {}), ("Relu", ["b"], "y", {})]
    message = "node 'n_a' (Add): its input 'b' is made by node 'n_b', which must come before it"
    with pytest.raises(ValueError, match=re.escape(message)):
        from_onnx(model(nodes, {}))
    two = model([("Add", ["x", "z"], "y", {})], {})
    two.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 3, 6, 6)))
    message = "the model must have one input and one output, not ['x', 'z'] and ['y']"
    with pytest.raises(ValueError, match=re.escape(message)):
        from_onnx(two)


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="from_onnx: there must be a file 'missing.onnx'"):
        from_onnx("missing.onnx")
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ValueError, match="bad.onnx is not an ONNX model"):
        from_onnx(path)
    with pytest.raises(TypeError, match="model must be an onnx.ModelProto or a path, not 3"):
        from_onnx(3)
    nodes = [("Relu", ["x"], "y", {})]
    unknown = model(nodes, {}, shape=("C", 4, 4))
    with pytest.raises(ValueError, match="input 'x' must have sizes but for the batch; give"):
        from_onnx(unknown)
    assert from_onnx(unknown, (2, 4, 4)).network.output_node.shape == (2, 4, 4)
