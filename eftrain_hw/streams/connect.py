"""Connect two streams, comparing what they carry and not only how wide it is."""

from amaranth.hdl import Shape

__all__ = ["connect_streams"]


def _stream_signature(interface, side):
    signature = getattr(interface, "signature", None)
    members = getattr(signature, "members", {})
    if not {"payload", "valid", "ready"} <= set(members):
        raise TypeError(f"{side} of a connection must be a stream, not {interface!r}")
    return signature


def _payload_shape(signature):
    shape = signature.members["payload"].shape
    # plain widths: 8, unsigned(8) and range(256) are the same thing
    return Shape.cast(shape) if isinstance(shape, (int, range)) else shape


def connect_streams(m, source, sink):
    """Connect the producer's side `source` of a stream to the consumer's side `sink`.

    Parameters
    ----------
    m : amaranth.hdl.Module
        Gets the three assignments.
    source, sink : interface of stream.Signature
        As seen from between them: `source.payload` is read, `sink.payload` is driven.

    Raises
    ------
    TypeError
        One of them is no stream, or their payload shapes differ (both are named), or the source
        cannot wait and the sink may ask it to, or the sink cannot wait and the source may.
    """
    source_signature = _stream_signature(source, "source")
    sink_signature = _stream_signature(sink, "sink")
    given, wanted = _payload_shape(source_signature), _payload_shape(sink_signature)
    if given != wanted:
        raise TypeError(f"streams must carry the same payload: source {given!r}, sink {wanted!r}")
    if source_signature.always_ready and not sink_signature.always_ready:
        raise TypeError("a source that is always_ready must not be connected to a sink that waits")
    if sink_signature.always_valid and not source_signature.always_valid:
        raise TypeError("a sink that is always_valid must not be connected to a source that waits")
    m.d.comb += sink.payload.eq(source.payload)
    if not sink_signature.always_valid:
        m.d.comb += sink.valid.eq(source.valid)
    if not source_signature.always_ready:
        m.d.comb += source.ready.eq(sink.ready)
