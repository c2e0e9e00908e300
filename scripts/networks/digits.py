"""The network of `make demo`: a small CNN for scikit-learn's digits, 8x8 pixels."""

from eftrain_hw.networks import digits

network = digits()
