"""The RTL as a device: the bits of the golden model, and errors that name where they happened."""

import numpy as np
import pytest

from eftrain_hw import Trainer, compile_network, nn, open_device, optim
from eftrain_hw.runtime import DeviceError
from eftrain_hw.runtime.simulation import BusFault
from sim.models.small_networks import LEAST_CONFIG as CONFIG
from sim.models.small_networks import least_program


@pytest.fixture(scope="module")
def program():
    return least_program()


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    return rng.normal(size=(10, 1, 5, 4)).astype(np.float32), np.arange(10) % 3


@pytest.fixture(scope="module")
def golden(program, data):
    """What two epochs on the golden model end in; the last batch of each has 2 images."""
    with open_device("golden", CONFIG) as device:
        return bits(*fitted(program, device, data))


def fitted(program, device, data):
    trainer = Trainer(program, device, seed=3)
    trainer.fit(*data, epochs=2, progress=False)
    return trainer, trainer.logits(data[0])


def bits(trainer, logits):
    return {
        "logits": logits,
        "losses": np.array([step["loss"] for step in trainer.history.steps], np.float32),
        **trainer.state_dict(),
        **{f"{name}.momentum": value for name, value in trainer.momentum_dict().items()},
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(
            found[name].view(np.uint32), value.view(np.uint32), err_msg=name, strict=True
        )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stall": 0.5, "seed": 4, "memory_base": 0x7F00_0040},
        {"latency": 3, "bytes_per_cycle": 5, "memory_base": 0},
    ],
)
def test_training_ends_in_the_golden_models_bits(program, data, golden, options):
    with open_device("sim", CONFIG, **options) as device:
        trainer, logits = fitted(program, device, data)
        assert_same(bits(trainer, logits), golden)
        steps = trainer.history.steps
        assert len(steps) == 6
        for step in steps:
            assert 0 < step["mac_busy"] < step["cycles"]
        assert device.run_cycles > sum(step["cycles"] for step in steps)


def test_bus_error_names_the_tensor_and_the_next_step_is_exact(program, data, golden):
    with open_device("sim", CONFIG) as device:
        trainer = Trainer(program, device, seed=3)
        address = 0x1000_0000 + program.tensors["4.weight"].address
        device.simulation.set_faults([BusFault(address, address + 8, "slverr", True, False)])
        with pytest.raises(DeviceError, match="read_slave .* at address .*, tensor 4.weight:") as e:
            trainer.fit(*data, progress=False)
        assert e.value.layer in program.tags.values()
        assert (e.value.code, e.value.address, e.value.tensor) == (1, address, "4.weight")
        device.simulation.set_faults([])
        assert_same(bits(*fitted(program, device, data)), golden)
        # the same device goes on without being loaded again
        device.simulation.set_faults([BusFault(address, address + 8, "decerr", False, True)])
        with pytest.raises(DeviceError, match="write_decode .*, tensor 4.weight:"):
            trainer.fit(*data, progress=False)
        device.simulation.set_faults([])
        trainer.fit(*data, progress=False)


def test_damaged_program_is_refused(program, data):
    with open_device("sim", CONFIG) as device:
        trainer = Trainer(program, device, seed=3)
        offset = program.addresses["infer"] + 4 * 20
        device._write(offset, bytes([device._read(offset, 1)[0] ^ 1]))
        with pytest.raises(DeviceError, match="bad_checksum .*in 0.Conv2d forward"):
            trainer.predict(data[0])
        trainer.fit(*data, progress=False)  # "train" is whole


def test_silent_memory_ends_in_an_error_and_recovers(program, data, golden):
    with open_device("sim", CONFIG, watchdog=2000) as device:
        trainer = Trainer(program, device, seed=3)
        start = 0x1000_0000
        device.simulation.set_faults([BusFault(start, start + (1 << 20), "hold", True, False)])
        with pytest.raises(DeviceError, match="watchdog .*; the memory does not answer"):
            trainer.fit(*data, progress=False)
        device.simulation.set_faults([])
        device.run("infer")
        assert_same(bits(*fitted(program, device, data)), golden)


def test_step_limit(program, data):
    with open_device("sim", CONFIG, step_limit=5000, watchdog=0) as device:
        trainer = Trainer(program, device, seed=3)
        start = 0x1000_0000
        device.simulation.set_faults([BusFault(start, start + (1 << 20), "hold", True, False)])
        with pytest.raises(DeviceError, match="step_limit .*no end after 5[0-9]{3} cycles"):
            trainer.fit(*data, progress=False)


def test_bad_options(program):
    with pytest.raises(ValueError, match="memory_base must be a multiple of 64, not 32"):
        open_device("sim", CONFIG, memory_base=32)
    with open_device("sim", CONFIG, memory_base=(1 << 32) - 4096) as device:
        with pytest.raises(ValueError, match="from memory_base 0xfffff000; they must end"):
            device.load_program(program)


def test_hardware_of_another_configuration_is_refused():
    with open_device("sim", CONFIG) as device:
        other = CONFIG.replace(clock_hz=100_000_000)
        device.config = other  # as if a stale bitstream were loaded
        network = nn.Sequential(nn.Flatten(), nn.Linear(20, 3), input_shape=(1, 5, 4))
        compiled = compile_network(
            network,
            other,
            batch_size=4,
            loss=nn.CrossEntropyLoss(),
            optimizer=optim.SGD(lr=0.1),
        )
        with pytest.raises(ValueError, match="built from another configuration: its register bu"):
            device.load_program(compiled)
