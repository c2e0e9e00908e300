"""What can be wrong with a layer program: one table for the interpreter, the RTL and the driver."""

__all__ = ["PROGRAM_ERRORS", "ProgramError"]

PROGRAM_ERRORS = {
    "bad_magic": (0x10, "word 0 of a descriptor does not carry the magic number"),
    "bad_version": (0x11, "the descriptor's version is not the one that this core runs"),
    "bad_length": (0x12, "a descriptor is shorter than its header or longer than its memory, or the"
                         " first one is not as long as program_address says"),
    "bad_checksum": (0x13, "the words of a descriptor do not sum to 0"),
    "bad_loop_count": (0x14, "a loop count is not 1 to 65535"),
    "bad_command_count": (0x15, "the commands do not fill the descriptor exactly"),
    "unknown_opcode": (0x16, "a command for no engine of this core"),
    "bad_template": (0x17, "a command's length is not that of its opcode"),
    "bad_patch": (0x18, "a patch of an unknown kind, of a word that the command lacks, or of"
                        " loops that do not exist; ADD takes exactly one loop"),
}  # fmt: skip


class ProgramError(ValueError):
    """A layer program that the sequencer would refuse.

    Members
    -------
    name : str
        Key of `PROGRAM_ERRORS`.
    code : int
    index : int
        Descriptor, counted from 0.
    tag : int
        The descriptor's tag.
    """

    def __init__(self, name, index, tag):
        self.name = name
        self.code, meaning = PROGRAM_ERRORS[name]
        self.index = index
        self.tag = tag
        super().__init__(f"layer program, descriptor {index} (tag {tag:#x}): {meaning}")
