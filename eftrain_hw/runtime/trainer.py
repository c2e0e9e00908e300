"""Trains a compiled network on a device."""

import numpy as np

from ..compiler import compile_network, nn
from ..formats import unblock_channels
from . import checkpoint
from .checkpoint import CheckpointError
from .checks import checked_images, checked_labels, checked_targets
from .device_state import DeviceState
from .divergence import check_last_batch, check_loss
from .progress import DeferredInterrupt, History, progress_bar

__all__ = ["Trainer"]

_KIND = "eftrain_hw checkpoint 1"


class Trainer:
    """fit, predict, save and load for one program on one device.

    Parameters start as PyTorch's layers do, uniform within 1 / sqrt(fan in), but from NumPy's
    generator. The same seed, data and number of steps give the same bits on every device, across
    interruptions too.

    Parameters
    ----------
    program : Program
    device : Device
    seed : int
        Of the initial parameters and of the order of the images.

    Members
    -------
    learning_rate, momentum, label_smoothing, max_grad_norm : float
        From the program's optimizer and loss; may be changed between calls of `fit`. The last one
        stays None where the optimizer has none.
    epoch : int
        Epochs that are complete.
    updates : int
        Updates of the parameters: one a batch, or one for as many as the optimizer adds up.
    history : History
    profile : Profile or None
        Of the last step that `fit` was told to profile.
    """

    def __init__(self, program, device, seed=0):
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise ValueError(f"Trainer.seed must be an integer, at least 0, not {seed!r}")
        self.program, self.device, self.seed = program, device, seed
        self.learning_rate = program.optimizer.lr
        self.momentum = getattr(program.optimizer, "momentum", 0.0)
        self.label_smoothing = getattr(program.loss, "label_smoothing", 0.0)
        self.max_grad_norm = program.optimizer.max_grad_norm
        self.epoch, self._batch, self.updates = 0, 0, 0
        self.history, self.profile = History(), None
        device.load_program(program)
        self._classifies = not isinstance(program.loss, nn.MSELoss)
        self._output_shape = program.network.output_node.shape
        self._state = DeviceState(program, device)
        self.load_state_dict(self._state.initial(seed))

    # -- parameters

    def state_dict(self):
        """Parameters and running statistics as float32, under PyTorch's names ("0.weight") and in
        its shapes."""
        return self._state.read()

    def momentum_dict(self):
        """SGD's momentum buffers, named and shaped like the parameters they train."""
        kept = self._state.read_kept()
        suffix = ".momentum"
        return {n.removesuffix(suffix): v for n, v in kept.items() if n.endswith(suffix)}

    def load_state_dict(self, state, momentum=None, *, optimizer_state=None):
        """Take over parameters and running statistics, by PyTorch's names and shapes.

        Parameters
        ----------
        state : dict
            Arrays or CPU tensors by name; every parameter and buffer, no other.
        momentum : dict or None
            SGD's momentum buffers of the parameters that are trained; None sets them to zero.
        optimizer_state : dict or None
            All of the optimizer's state instead, by names such as "0.weight.exp_avg".

        Raises
        ------
        ValueError
            A name is missing or unknown, a shape differs, or a value is not finite.
        """
        if momentum is not None:
            optimizer_state = {f"{name}.momentum": value for name, value in momentum.items()}
        self._state.write(state, optimizer_state)

    # -- training and inference

    def fit(
        self, x, y, epochs=1, *, validation=None, schedule=None, progress=True, profile_step=None,
        save=None,
    ):  # fmt: skip
        """Train for some epochs; each image is used once an epoch, in an order drawn anew.

        The last batch of an epoch may be partial: its missing images count for nothing. A run that
        was interrupted goes on where it stopped.

        Parameters
        ----------
        x : array
            (N, *input_shape), finite.
        y : array
            (N,) integers, 0 to classes - 1; with MSELoss (N, *outputs), finite.
        epochs : int
        validation : (array, array) or None
            Evaluated after each epoch.
        schedule : callable or None
            schedule(epoch) is the learning rate of an epoch, counted from 0; None leaves it.
        progress : bool
            Show a progress bar (where tqdm is installed).
        profile_step : int or None
            The step of this call whose profile to keep in `profile`: 0 the first, -1 the last.
        save : path or None
            Write a checkpoint there after each epoch.

        Returns
        -------
        History
            Of everything that this trainer has done.

        Raises
        ------
        DivergenceError
            A step's loss is not finite; nothing is saved after it.
        """
        if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 0:
            raise ValueError(f"epochs must be an integer, at least 0, not {epochs!r}")
        x, y = self._checked("", x, y)
        if validation is not None:
            validation = self._checked("validation ", *validation)
        check_last_batch(self.program, len(x))
        batches = -(-len(x) // self.program.batch_size)
        last = self.epoch + epochs
        steps = epochs * batches - self._batch
        if profile_step is not None:
            profile_step = _checked_step(profile_step, steps) + len(self.history.steps)
        with progress_bar(epochs * batches, progress) as bar, DeferredInterrupt() as interrupt:
            while self.epoch < last:
                if schedule is not None:
                    self.learning_rate = float(schedule(self.epoch))
                self._fit_epoch(x, y, batches, validation, bar, interrupt, profile_step)
                if save is not None:
                    self.save(save)
        return self.history

    def _fit_epoch(self, x, y, batches, validation, bar, interrupt, profile_step):
        size = self.program.batch_size
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(x))
        losses, correct, images, cycles = 0.0, 0, 0, 0
        while self._batch < batches:
            chosen = order[self._batch * size : (self._batch + 1) * size]
            loss, logits, step = self._step(x[chosen], y[chosen], batches, len(x))
            if profile_step == len(self.history.steps):
                self.profile = self.device.profile()
            self._batch += 1
            self.history.steps.append(
                {"epoch": self.epoch, "loss": loss, "cycles": step.cycles, **step.counters}
            )
            check_loss(loss, self.epoch, self._batch - 1)
            interrupt.check()
            losses += loss * len(chosen)
            if self._classifies:
                correct += int((logits.argmax(axis=1) == y[chosen]).sum())
            images += len(chosen)
            cycles += step.cycles
            bar.update(1)
            bar.set_postfix_str(f"epoch {self.epoch + 1}, loss {loss:.4f}", refresh=False)
        report = {
            "epoch": self.epoch,
            "loss": losses / max(images, 1),
            "cycles": cycles,
        }
        if self._classifies:
            report["train_accuracy"] = correct / max(images, 1)
        self.epoch, self._batch = self.epoch + 1, 0
        if validation is not None:
            result = self.evaluate(*validation)
            report |= {f"validation_{name}": value for name, value in result.items()}
            name = "accuracy" if self._classifies else "loss"
            bar.set_postfix_str(
                f"epoch {self.epoch}, loss {report['loss']:.4f},"
                f" validation {name} {result[name]:.4f}"
            )
        self.history.epochs.append(report)

    def _place(self, batches, images):
        """Where the present batch of an epoch stands among those whose gradients are added up."""
        size, count = self.program.batch_size, self.program.optimizer.accumulation
        start = self._batch // count * count
        end = min(start + count, batches)
        return {
            "number": self.updates + 1,
            "seed": self.seed & 0xFFFFFFFF,
            "loss_images": min(end * size, images) - start * size,
            "first": self._batch == start,
            "update": self._batch == end - 1,
        }

    def _step(self, x, y, batches, images):
        place = self._place(batches, images)
        self.device.write_tensor("x", self.program.encode_input(x))
        if self._classifies:
            labels = np.zeros(self.program.tensors["labels"].shape, np.uint32)
            labels[: len(y)] = y
            self.device.write_tensor("labels", labels)
        else:
            self.device.write_tensor("targets", self.program.encode_targets(y))
        result = self.device.run(
            "train",
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            label_smoothing=self.label_smoothing,
            max_grad_norm=self.max_grad_norm,
            valid_images=len(x),
            **place,
        )
        self.updates += place["update"]
        loss = float(self.device.read_tensor("loss")[-16])  # the batch's, after one an image
        loss *= place["loss_images"] / len(x)
        return loss, self._read_logits(len(x)), result

    def _read_logits(self, count):
        logits = self.device.read_tensor(self.program.logits)[:count]
        if self._classifies:
            return logits.reshape(count, -1)[:, : self.program.classes]
        shape = self._output_shape
        return unblock_channels(logits, shape[0]).reshape(count, *shape)

    def logits(self, x):
        """The network's outputs, float32 (N, classes), or of the outputs' shape with MSELoss."""
        x = checked_images("x", x, self.program.network.input_shape)
        shape = (self.program.classes,) if self._classifies else self._output_shape
        outputs = [np.zeros((0, *shape), np.float32)]
        for start in range(0, len(x), self.program.batch_size):
            part = x[start : start + self.program.batch_size]
            self.device.write_tensor("x", self.program.encode_input(part))
            self.device.run("infer", valid_images=len(part))
            outputs.append(self._read_logits(len(part)))
        return np.concatenate(outputs)

    def predict(self, x):
        """The most likely class of each image, int64 (N,); with MSELoss see `logits`."""
        return self.logits(x).argmax(axis=1)

    def evaluate(self, x, y):
        """{"loss", "accuracy"} of the network on images with known labels; with MSELoss the loss
        alone. The loss is without label smoothing."""
        x, y = self._checked("", x, y)
        logits = self.logits(x).astype(np.float64)
        if not self._classifies:
            return {"loss": float(np.square(logits - y).mean())}
        logits -= logits.max(axis=1, keepdims=True)
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
        accuracy = (logits.argmax(axis=1) == y).mean()
        return {"loss": float(losses.mean()), "accuracy": float(accuracy)}

    def _checked(self, prefix, x, y):
        x = checked_images(f"{prefix}x", x, self.program.network.input_shape)
        if not self._classifies:
            return x, checked_targets(f"{prefix}y", y, len(x), self._output_shape)
        return x, checked_labels(f"{prefix}y", y, len(x), self.program.classes)

    # -- checkpoints

    def save(self, path):
        """Write a safetensors checkpoint: parameters and running statistics under PyTorch's names,
        the optimizer's state under "<name>.momentum" and the like, and in its metadata what
        resuming bit-exactly needs."""
        tensors = self.state_dict() | self._state.read_kept()
        metadata = {
            "kind": _KIND,
            "network": checkpoint.describe_network(self.program.network),
            "training": checkpoint.describe_training(self.program),
            "fingerprint": self.program.fingerprint,
            "format": self.program.config.format,
            "seed": str(self.seed),
            "epoch": str(self.epoch),
            "batch": str(self._batch),
            "updates": str(self.updates),
            "learning_rate": float(self.learning_rate).hex(),
            "momentum": float(self.momentum).hex(),
            "label_smoothing": float(self.label_smoothing).hex(),
        }
        if self.max_grad_norm is not None:
            metadata["max_grad_norm"] = float(self.max_grad_norm).hex()
        checkpoint.write_safetensors(path, tensors, metadata)

    @classmethod
    def load(cls, path, device, program=None):
        """A trainer that goes on from a checkpoint.

        Parameters
        ----------
        path : path
        device : Device
        program : Program or None
            None compiles the checkpoint's own network, batch size and optimizer.

        Raises
        ------
        CheckpointError
            The file isn't a checkpoint, or it is one of another network than `program`'s.
        """
        tensors, metadata = checkpoint.read_safetensors(path)
        if metadata.get("kind") != _KIND:
            raise CheckpointError(
                f"{path} is not a checkpoint of this program: {_KIND!r} is missing"
            )
        network = checkpoint.network_from_description(metadata["network"])
        if program is None:
            batch_size, loss, optimizer = checkpoint.training_from_description(metadata["training"])
            program = compile_network(
                network,
                device.config,
                batch_size=batch_size,
                loss=loss,
                optimizer=optimizer,
            )
        elif program.prior is not None:
            raise CheckpointError(f"{path}: a program with a prior must start anew, not resume")
        elif metadata["fingerprint"] != program.fingerprint:
            raise CheckpointError(f"{path} is of another network: {_difference(network, program)}")
        trainer = cls(program, device, seed=int(metadata["seed"]))
        known = {**trainer._state.kept, **trainer._state.added}
        kept = {name: value for name, value in tensors.items() if name in known}
        state = {name: value for name, value in tensors.items() if name not in kept}
        trainer.load_state_dict(state, optimizer_state=kept)
        trainer.epoch, trainer._batch = int(metadata["epoch"]), int(metadata["batch"])
        trainer.updates = int(metadata.get("updates", 0))
        trainer.learning_rate = float.fromhex(metadata["learning_rate"])
        trainer.momentum = float.fromhex(metadata["momentum"])
        for name in ("label_smoothing", "max_grad_norm"):
            if name in metadata:
                setattr(trainer, name, float.fromhex(metadata[name]))
        return trainer


def _checked_step(step, steps):
    """A step as an index of `steps` steps, counted from the first."""
    if not isinstance(step, int) or isinstance(step, bool):
        raise TypeError(f"profile_step must be an integer, not {step!r}")
    if not -steps <= step < steps:
        raise ValueError(f"profile_step must be {-steps} to {steps - 1}, not {step}")
    return step % steps


def _difference(network, program):
    theirs, ours = list(network), list(program.network)
    for index in range(max(len(theirs), len(ours))):
        saved = theirs[index] if index < len(theirs) else "no such layer"
        wanted = ours[index] if index < len(ours) else "no such layer"
        if saved != wanted:
            return f"layer {index} is {saved} there, {wanted} here"
    return f"its input_shape is {network.input_shape}, not {program.network.input_shape}"
