"""A serial port of the host, by pyserial."""

from .serial_link import SerialError

__all__ = ["SerialPort"]


class SerialPort:
    """Transport of `SerialLink` on a port of the operating system.

    Parameters
    ----------
    path : str
        Such as "/dev/ttyUSB0" or "COM3".
    baud : int

    Raises
    ------
    SerialError
        pyserial is missing, there is no such port, or it cannot be opened.
    """

    latency = 0.1  # a USB bridge keeps bytes back for up to 16 ms; the operating system may too

    def __init__(self, path, *, baud):
        try:
            import serial
            from serial.tools.list_ports import comports
        except ImportError:
            raise SerialError(
                "the serial device needs pyserial: pip install 'pyserial>=3.5', or"
                " pip install 'eftrain_hw[serial]'"
            ) from None
        self._errors = (serial.SerialException, OSError)
        self.name = path
        try:
            self._port = serial.Serial(path, baud, timeout=0, write_timeout=10, exclusive=True)
        except (*self._errors, ValueError) as error:
            ports = ", ".join(sorted(port.device for port in comports())) or "none"
            raise SerialError(
                f"serial port {path} cannot be opened at {baud} baud: {error}; ports here: {ports}"
            ) from None
        try:
            self._port.set_low_latency_mode(True)
        except (AttributeError, NotImplementedError, *self._errors, ValueError):
            pass  # slower where the driver has no such mode

    def write(self, data):
        try:
            self._port.write(data)
        except self._errors as error:
            raise SerialError(f"{self.name}: writing failed: {error}") from None

    def read(self, count, seconds):
        """1 to `count` bytes; none if none came for that time."""
        try:
            self._port.timeout = 0
            data = self._port.read(count)
            if not data:
                self._port.timeout = seconds
                data = self._port.read(1)
            return data
        except self._errors as error:
            raise SerialError(f"{self.name}: reading failed: {error}") from None

    def close(self):
        self._port.close()
