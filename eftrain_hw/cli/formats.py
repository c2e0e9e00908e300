"""`--format`: one format for everything, or one for each pass."""

from ..compiler.nn.formats import pass_formats

__all__ = ["FORMAT_HELP", "apply_format"]

FORMAT_HELP = (
    "bfp8, bfp16 (on an array with that option, three times as long) or fp32; or of passes, such as"
    " weight_gradient=bfp16,forward=bfp8; default: the configuration's"
)


def apply_format(config, text):
    """(configuration, what `compile_network` takes as its format) for a command's `--format`.

    Parameters
    ----------
    config : AcceleratorConfig
    text : str or None

    Raises
    ------
    ValueError
        Naming the option.
    """
    if text is None:
        return config, None
    if text in ("fp32", "bfp8"):
        bfp16 = config.bfp16 and text == "bfp8"
        return config.replace(format=text, bfp16=bfp16), None
    wanted = text
    if "=" in text:
        pairs = [part.partition("=")[::2] for part in text.split(",")]
        wanted = {name.strip(): format.strip() for name, format in pairs}
    elif text != "bfp16":
        raise ValueError(f"--format must be bfp8, bfp16, fp32 or PASS=FORMAT,.., not {text!r}")
    wanted = pass_formats("--format", wanted)
    return config.replace(format="bfp8", bfp16=True), wanted
