"""`eftrain train`, `eftrain selftest`."""

import json
import time

from ..config import AcceleratorConfig
from .formats import apply_format
from .networks import named_network

__all__ = ["selftest_command", "train_command"]


def _device_options(arguments):
    """What `open_device` is given besides the configuration."""
    names = ("bitstream", "port", "timeout")
    options = {name: getattr(arguments, name) for name in names}
    options = {name: value for name, value in options.items() if value is not None}
    if arguments.device == "pynq" and arguments.bitstream is None:
        raise ValueError("--device pynq needs --bitstream FILE.bit")
    return options


def train_command(arguments):
    from ..compiler import compile_network, nn, optim
    from ..runtime import Trainer, load_dataset, open_device
    from ..runtime.timeline import write_trace

    config = AcceleratorConfig.load(arguments.config)
    config, format = apply_format(config, arguments.format)
    network = named_network(arguments.network)
    program = compile_network(
        network,
        config,
        batch_size=arguments.batch_size,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=arguments.lr, momentum=arguments.momentum),
        format=format,
    )
    x, y, x_test, y_test = load_dataset(arguments.data)
    start = time.perf_counter()
    if arguments.trace and arguments.device == "golden":
        raise ValueError("--trace needs a device with a clock: --device sim, not golden")
    with open_device(arguments.device, config, **_device_options(arguments)) as device:
        if arguments.resume:
            trainer = Trainer.load(arguments.resume, device, program)
        else:
            trainer = Trainer(program, device, seed=arguments.seed)
        history = trainer.fit(
            x,
            y,
            epochs=arguments.epochs,
            validation=(x_test, y_test),
            progress=not arguments.quiet,
            profile_step=arguments.trace_step if arguments.trace else None,
            save=arguments.save,
        )
        result = trainer.evaluate(x_test, y_test)
    if arguments.trace:
        write_trace(arguments.trace, trainer.profile)
    report = {
        "config": config.to_dict(),
        "build_id": f"{config.build_id:016x}",
        "format": arguments.format or config.format,
        "device": arguments.device,
        "data": arguments.data,
        "seed": trainer.seed,
        "epochs": trainer.epoch,
        "test_loss": result["loss"],
        "test_accuracy": result["accuracy"],
        "wall_seconds": time.perf_counter() - start,
        "history": history.to_dict(),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(f"test accuracy {result['accuracy']:.4f}, test loss {result['loss']:.4f}")


def selftest_command(arguments):
    from ..runtime.selftest import selftest_command

    config = AcceleratorConfig.load(arguments.config)
    options = _device_options(arguments)
    selftest_command(config, arguments.device, options, arguments.json)
