"""What the words of the step log mean, as data. Pure Python: the driver on a board imports it.

A word has a code (4 bits) and a value (32 bits). In the order in which they are written:

    code             value
    0 .. 4           a lane's command of another descriptor starts: cycle; a second word follows:
      mark           cycle in which the lane fell idle last, or `AT_WORK`; mark: the low bits of the
                     descriptor's number
    STEP_END         the step is over: cycle, or up to 3 before it
    CAUSES_AT + k    cycles of cause k, where there are any, since the compute lane's start before
                     the last one, or of the step; after STEP_END since the last one

Second words are kept up to date while the lane works on the descriptor. Cycles count from the
step's first, modulo 2^32; they come late by up to `LATE` where lanes start in the same moment.
"""

__all__ = [
    "AT_WORK",
    "CAUSES",
    "CAUSES_AT",
    "CODE_BITS",
    "LANES",
    "LATE",
    "SPARE",
    "STEP_END",
    "VALUE_BITS",
    "WORDS",
]

WORDS = 1024
CODE_BITS = 4
VALUE_BITS = 32
AT_WORK = (1 << VALUE_BITS) - 1
SPARE = 32  # words that are kept free for the end of the step
LATE = 32

LANES = ("sequencer", "load", "compute", "drain", "vector")
STEP_END = len(LANES)
CAUSES_AT = STEP_END + 1
CAUSES = {
    "mac_busy": "the array works on a position",
    "hazard": "a sweep over few positions is stretched",
    "load": "the moving tile is being loaded",
    "stationary": "the rows of the stationary tile are not in the array yet",
    "drain": "no accumulator bank is free, or the sequencer waits to give the drain a command",
    "store": "the drain waits for its writers, or a load for what the drain has yet to store",
    "vector": "a load, the sequencer or the end of the step waits for the vector unit",
    "descriptor": "the sequencer has not issued the next command yet",
    "rest": "a command starts up, or the last results are stored",
}
"""What a cycle of the array went to; exactly one for each cycle of a step."""
