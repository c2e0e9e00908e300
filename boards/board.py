"""What every board says about itself, and what may go wrong on the way to its bitstream."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from eftrain_hw.compiler.resources import resources

__all__ = ["Board", "BuildError"]


class BuildError(RuntimeError):
    """A tool is missing or failed, or the result may not be used; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class Board(ABC):
    """A board: a file of `boards/` defines a subclass or an instance of one.

    Members
    -------
    name, description : str
    device : str
        The FPGA's part number.
    resources : dict
        What the device has: `lut`, `ff`, `dsp`, `bram`.
    presets : tuple of str
        Configurations meant for the board (`eftrain_hw.config.PRESETS`).
    default_preset : str
    toolchains : tuple of str
        Names in `boards.toolchains`, in order of preference. The last makes no bitstream where
        the others are not installed.
    clock_hz : int
        Clock of the default preset.
    """

    name: str
    description: str
    device: str
    resources: dict
    presets: tuple
    default_preset: str
    toolchains: tuple
    clock_hz: int

    @abstractmethod
    def make_top(self, config):
        """The whole design for a configuration, an Amaranth component for `make_platform`'s."""

    @abstractmethod
    def make_platform(self, toolchain):
        """Amaranth platform with the pins, for a tool chain by its name (needs amaranth-boards)."""

    def check(self, config):
        """ValueError where the board cannot carry a configuration, whatever its size."""
        return None

    def predict(self, config):
        """`eftrain_hw.compiler.resources.Resources` that a configuration will need."""
        return resources(config)

    def missing(self, config):
        """One sentence for each resource of which the device has too little."""
        used = self.predict(config)
        return [
            f"{name.upper()}: about {getattr(used, name):,g} are needed,"
            f" {self.device} has {amount:,}"
            for name, amount in self.resources.items()
            if getattr(used, name) > amount
        ]
