"""The vector processor: runs vector programs, see docs/vector-processor.md."""
