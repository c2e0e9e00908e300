"""Data sets in the formats that people have, as float32 images and integer labels."""

import gzip
import struct
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

__all__ = ["DataError", "load_dataset"]

_DIGITS_TRAIN, _DIGITS_SEED = 1437, 20220509
_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
_CIFAR_RECORD = 1 + 3 * 32 * 32


class DataError(ValueError):
    """A data set that isn't there, or a file of it that is damaged."""


def load_dataset(source):
    """Load a data set.

    Parameters
    ----------
    source : str
        "digits": scikit-learn's scans of digits, a fixed split of 1,437 and 360.
        "npz:FILE": arrays x_train, y_train, x_test, y_test.
        "idx:DIR": the four files of MNIST or Fashion-MNIST, gzipped or not.
        "cifar10:DIR": data_batch_1.bin to data_batch_5.bin and test_batch.bin.

    Returns
    -------
    x_train, y_train, x_test, y_test : numpy.ndarray
        Images float32 (N, C, H, W), labels int64 (N,). Bytes are scaled to 0 .. 1; npz arrays of
        another type are taken as they are.

    Raises
    ------
    DataError
        Naming the file, what was found and what is expected.
    """
    kind, _, where = str(source).partition(":")
    loaders = {"digits": _digits, "npz": _npz, "idx": _idx, "cifar10": _cifar10}
    if kind not in loaders or bool(where) == (kind == "digits"):
        raise DataError(
            f"data set must be digits, npz:FILE, idx:DIR or cifar10:DIR, not {str(source)!r}"
        )
    if kind == "digits":
        return _digits()
    return loaders[kind](Path(where).expanduser())


def _digits():
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError("the digits come with scikit-learn: pip install scikit-learn") from None
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(_DIGITS_SEED).permutation(len(images))
    x = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)[order]
    y = labels.astype(np.int64)[order]
    return x[:_DIGITS_TRAIN], y[:_DIGITS_TRAIN], x[_DIGITS_TRAIN:], y[_DIGITS_TRAIN:]


def _npz(path):
    names = list(_IDX_FILES)
    try:
        with open(path, "rb") as content, np.load(content, allow_pickle=False) as file:
            missing = [name for name in names if name not in file.files]
            if missing:
                raise DataError(f"{path} must have the arrays {names}; it has {file.files}")
            arrays = [file[name] for name in names]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except DataError:
        raise
    except (OSError, ValueError, EOFError, AttributeError, TypeError, BadZipFile) as error:
        # np.load gives a bare array, which is no context manager, for an npy file
        raise DataError(f"{path} is not an npz file of plain arrays: {error}") from None
    for part in ("train", "test"):
        x, y = (arrays[names.index(f"{axis}_{part}")] for axis in "xy")
        if x.ndim not in (2, 3, 4):
            raise DataError(
                f"{path}: x_{part} must be (N, C, H, W), (N, H, W) or (N, features), not {x.shape}"
            )
        _check_pair(f"{path}: x_{part}", x, f"y_{part}", y)
    x_train, y_train, x_test, y_test = arrays
    return _images(x_train), y_train.astype(np.int64), _images(x_test), y_test.astype(np.int64)


def _images(x):
    scaled = x.astype(np.float32) / 255 if x.dtype == np.uint8 else x.astype(np.float32)
    return scaled[:, None] if x.ndim == 3 else scaled


def _check_pair(x_name, x, y_name, y):
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise DataError(f"{y_name} must be integers (N,), not {y.dtype} {y.shape} (with {x_name})")
    if len(x) != len(y) or len(x) == 0:
        raise DataError(f"{x_name} has {len(x)} images, {y_name} has {len(y)} labels")


def _idx(folder):
    arrays = {}
    for name, file in _IDX_FILES.items():
        candidates = [folder / f"{file}{end}" for end in ("", ".gz")]
        candidates += [Path(str(path).replace("-idx", ".idx")) for path in candidates]
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            raise DataError(f"{folder} must hold {file} or {file}.gz")
        arrays[name] = _read_idx(path, 3 if name[0] == "x" else 1)
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        _check_pair(f"{folder}: {_IDX_FILES[f'x_{part}']}", x, _IDX_FILES[f"y_{part}"], y)
    return tuple(
        _images(array) if name[0] == "x" else array.astype(np.int64)
        for name, array in arrays.items()
    )


def _read_idx(path, axes):
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, gzip.zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES:
        raise DataError(
            f"{path} is not an idx file: it starts with {content[:4].hex(' ') or 'nothing'}"
        )
    if content[3] != axes:
        raise DataError(f"{path} must have {axes} axes, not {content[3]}")
    start = 4 + 4 * axes
    if len(content) < start:
        raise DataError(f"{path} is cut off: its header is {start} bytes, it has {len(content)}")
    shape = struct.unpack(f">{axes}I", content[4:start])
    dtype = np.dtype(_IDX_TYPES[content[2]])
    size = dtype.itemsize
    for length in shape:
        size *= length
    if len(content) - start != size:
        what = "is cut off" if len(content) - start < size else "is too long"
        raise DataError(
            f"{path} {what}: shape {shape} takes {size} bytes, it has {len(content) - start}"
        )
    return (
        np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
    )


def _cifar10(folder):
    if not any(folder.glob("*.bin")) and (folder / "cifar-10-batches-bin").is_dir():
        folder = folder / "cifar-10-batches-bin"
    train = [_read_cifar(folder / f"data_batch_{number}.bin") for number in range(1, 6)]
    x_train, y_train = (np.concatenate(parts) for parts in zip(*train))
    return x_train, y_train, *_read_cifar(folder / "test_batch.bin")


def _read_cifar(path):
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) == 0 or len(content) % _CIFAR_RECORD:
        raise DataError(
            f"{path} must be whole records of {_CIFAR_RECORD} bytes (CIFAR-10 binary version),"
            f" not {len(content)} bytes"
        )
    records = content.reshape(-1, _CIFAR_RECORD)
    labels = records[:, 0].astype(np.int64)
    bad = np.flatnonzero(labels > 9)
    if len(bad):
        raise DataError(f"{path}: record {bad[0]} has label {labels[bad[0]]}; 0 to 9 are allowed")
    return records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255, labels
