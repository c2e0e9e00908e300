"""Data sets: what is read, and what is said of damaged files."""

import gzip
import struct

import numpy as np
import pytest

from eftrain_hw.runtime import DataError, load_dataset


def test_digits_split_is_fixed():
    x, y, x_test, y_test = load_dataset("digits")
    assert x.shape == (1437, 1, 8, 8) and x_test.shape == (360, 1, 8, 8)
    assert x.dtype == np.float32 and y.dtype == np.int64
    assert x.min() == 0 and x.max() == 1
    assert y[:10].tolist() == [8, 4, 0, 2, 7, 4, 9, 0, 3, 8]
    assert np.bincount(np.concatenate([y, y_test])).tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip


def arrays(images=6, **changes):
    rng = np.random.default_rng(2)
    values = {
        "x_train": rng.integers(0, 256, (images, 5, 4), np.uint8),
        "y_train": rng.integers(0, 10, images, np.uint8),
        "x_test": rng.integers(0, 256, (2, 5, 4), np.uint8),
        "y_test": rng.integers(0, 10, 2, np.uint8),
    }
    return {**values, **changes}


def test_npz(tmp_path):
    given = arrays()
    np.savez(tmp_path / "a.npz", **given)
    x, y, x_test, _ = load_dataset(f"npz:{tmp_path}/a.npz")
    assert x.shape == (6, 1, 5, 4) and x_test.shape == (2, 1, 5, 4)
    np.testing.assert_array_equal(x[:, 0], given["x_train"].astype(np.float32) / 255)
    np.testing.assert_array_equal(y, given["y_train"])
    # other types are taken as they are
    np.savez(tmp_path / "b.npz", **arrays(x_train=np.full((6, 3, 2, 2), 7.5)))
    x = load_dataset(f"npz:{tmp_path}/b.npz")[0]
    assert x.shape == (6, 3, 2, 2) and (x == 7.5).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.zeros(6)}, r"x_train must be \(N, C, H, W\), .*, not \(6,\)"),
        ({"y_train": np.zeros(5, int)}, "x_train has 6 images, y_train has 5 labels"),
        ({"y_train": np.zeros(6)}, r"y_train must be integers \(N,\), not float64 \(6,\)"),
    ],
)
def test_bad_npz_arrays(tmp_path, changes, message):
    np.savez(tmp_path / "a.npz", **arrays(**changes))
    with pytest.raises(DataError, match=message):
        load_dataset(f"npz:{tmp_path}/a.npz")


def test_bad_npz_files(tmp_path):
    with pytest.raises(DataError, match="none.npz: no such file"):
        load_dataset(f"npz:{tmp_path}/none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match="text.npz is not an npz file"):
        load_dataset(f"npz:{tmp_path}/text.npz")
    np.savez(tmp_path / "few.npz", x_train=np.zeros((1, 2, 2)))
    with pytest.raises(DataError, match=r"must have the arrays .*; it has \['x_train'\]"):
        load_dataset(f"npz:{tmp_path}/few.npz")
    content = (tmp_path / "few.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="cut.npz is not an npz file"):
        load_dataset(f"npz:{tmp_path}/cut.npz")


def idx_bytes(array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def write_idx(folder, given, compress):
    names = {
        "x_train": "train-images-idx3-ubyte",
        "y_train": "train-labels-idx1-ubyte",
        "x_test": "t10k-images-idx3-ubyte",
        "y_test": "t10k-labels-idx1-ubyte",
    }
    for key, name in names.items():
        content = idx_bytes(given[key])
        if compress:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


@pytest.mark.parametrize("compress", [False, True])
def test_idx(tmp_path, compress):
    given = arrays()
    write_idx(tmp_path, given, compress)
    x, y, x_test, y_test = load_dataset(f"idx:{tmp_path}")
    np.testing.assert_array_equal(x, given["x_train"][:, None].astype(np.float32) / 255)
    np.testing.assert_array_equal(y, given["y_train"])
    assert len(x_test) == len(y_test) == 2


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c[:-1], r"is cut off: shape \(6, 5, 4\) takes 120 bytes, it has 119"),
        (lambda c: c + b"x", "is too long: .* it has 121"),
        (lambda c: c[:10], "is cut off: its header is 16 bytes, it has 10"),
        (lambda c: b"\x89PNG" + c, "is not an idx file: it starts with 89 50 4e 47"),
        (lambda c: b"", "is not an idx file: it starts with nothing"),
        (lambda c: c[:3] + b"\1" + c[4:], "must have 3 axes, not 1"),
        (lambda c: gzip.compress(c)[:-12], "cannot be read"),
    ],
)
def test_bad_idx(tmp_path, damage, message):
    write_idx(tmp_path, arrays(), False)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=f"train-images-idx3-ubyte {message}"):
        load_dataset(f"idx:{tmp_path}")


def test_idx_files_must_be_there_and_match(tmp_path):
    with pytest.raises(DataError, match="must hold train-images-idx3-ubyte or .*gz"):
        load_dataset(f"idx:{tmp_path}")
    write_idx(tmp_path, arrays(y_train=np.zeros(4, np.uint8)), False)
    with pytest.raises(DataError, match="idx3-ubyte has 6 images, train-.* has 4 labels"):
        load_dataset(f"idx:{tmp_path}")


def write_cifar(folder, label=3):
    rng = np.random.default_rng(4)
    records = rng.integers(0, 256, (4, 3073), np.uint8)
    records[:, 0] = label
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return records


def test_cifar10(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    records = write_cifar(folder)
    for where in (tmp_path, folder):  # the folder, or the one that the archive unpacks into
        x, y, x_test, _ = load_dataset(f"cifar10:{where}")
        assert x.shape == (20, 3, 32, 32) and (y == 3).all() and len(x_test) == 4
        # planes in the order red, green, blue
        np.testing.assert_array_equal(
            x[1, 2].reshape(-1), records[1, 1 + 2048 :].astype(np.float32) / 255
        )


def test_bad_cifar10(tmp_path):
    with pytest.raises(DataError, match="data_batch_1.bin cannot be read: No such file"):
        load_dataset(f"cifar10:{tmp_path}")
    write_cifar(tmp_path, label=10)
    with pytest.raises(DataError, match="data_batch_1.bin: record 0 has label 10; 0 to 9"):
        load_dataset(f"cifar10:{tmp_path}")
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3072))
    with pytest.raises(DataError, match="must be whole records of 3073 bytes .*, not 3072"):
        load_dataset(f"cifar10:{tmp_path}")


@pytest.mark.parametrize("source", ["mnist:x", "digits:x", "npz", "npz:", ""])
def test_unknown_source(source):
    with pytest.raises(DataError, match="data set must be digits, npz:FILE, idx:DIR or"):
        load_dataset(source)
