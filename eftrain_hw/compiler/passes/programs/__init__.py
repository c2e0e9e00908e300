"""Vector programs of the operations that neither the array nor a command of its own carries out."""

from ...chain import FeatureBiasOp
from ...operations import (
    ActivationOp,
    AddOp,
    AvgPoolOp,
    BatchNormOp,
    ConcatOp,
    DropoutOp,
    FanoutOp,
    MaxPoolOp,
    SquaredErrorOp,
)
from .activation import activation_backward, activation_forward
from .batch_norm import batch_norm_backward, batch_norm_forward
from .constants import Constants
from .context import Context, scratch_spec
from .dropout import dropout_backward, dropout_forward
from .feature_bias import feature_bias_backward, feature_bias_forward
from .job import process_descriptors
from .join import (
    add_backward,
    add_forward,
    concat_backward,
    concat_forward,
    fanout_backward,
)
from .loss import squared_error_jobs
from .optimizer import accumulate_jobs, clip_jobs, update_jobs
from .pooling import average_backward, average_forward, max_backward, max_forward
from .rank_prior import PRIOR, prior_spec, prior_update_jobs, variance_jobs

__all__ = [
    "OPERATIONS",
    "PRIOR",
    "Constants",
    "Context",
    "accumulate_jobs",
    "backward_jobs",
    "clip_jobs",
    "depends_on_training",
    "forward_jobs",
    "loss_jobs",
    "prior_spec",
    "prior_update_jobs",
    "process_descriptors",
    "scratch_spec",
    "update_jobs",
    "variance_jobs",
]

_MAKERS = {
    ActivationOp: (activation_forward, activation_backward),
    AddOp: (add_forward, add_backward),
    AvgPoolOp: (average_forward, average_backward),
    BatchNormOp: (batch_norm_forward, batch_norm_backward),
    ConcatOp: (concat_forward, concat_backward),
    DropoutOp: (dropout_forward, dropout_backward),
    FanoutOp: (None, fanout_backward),
    FeatureBiasOp: (feature_bias_forward, feature_bias_backward),
    MaxPoolOp: (max_forward, max_backward),
}
OPERATIONS = (*_MAKERS, SquaredErrorOp)


def depends_on_training(op):
    """Whether an operation's forward pass is another one in training than in inference."""
    return isinstance(op, BatchNormOp | DropoutOp)


def forward_jobs(context, op):
    """Jobs of an operation's forward pass; see `Context.training`."""
    return _MAKERS[type(op)][0](context, op)


def loss_jobs(context, op):
    """Jobs of a loss that has no command of its own: the squared error."""
    return squared_error_jobs(context, op)


def backward_jobs(context, op):
    """Jobs of the gradients of its inputs and parameters."""
    return _MAKERS[type(op)][1](context, op)
