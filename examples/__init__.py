"""Parts of the accelerator in designs of other shapes: run them with `python -m examples.NAME`."""
