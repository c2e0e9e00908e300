# amaranth: UnusedElaboratable=no
"""The step log against a model of its words; every counted cycle is in exactly one sum."""

import random
from itertools import pairwise

import pytest
from amaranth.hdl import ResetInserter, Signal

from eftrain_hw.csr.cause_sums import CauseSums
from eftrain_hw.csr.step_log import StepLog
from eftrain_hw.csr.step_log_format import (
    AT_WORK,
    CAUSES,
    CAUSES_AT,
    LANES,
    LATE,
    SPARE,
    STEP_END,
)

COMPUTE = LANES.index("compute")
MASK = (1 << 32) - 1


class Step:
    """Drives a log cycle by cycle. `events`: {cycle: [(lane, mark or None, busy or None)]}."""

    def __init__(self, dut, ctx):
        self.dut, self.ctx = dut, ctx
        self.causes = []

    async def run(self, events, cycles, cause):
        dut, ctx = self.dut, self.ctx
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        ctx.set(dut.counting, 1)
        self.causes = [cause(k) for k in range(cycles)]
        for cycle in range(cycles):
            for lane in LANES:
                ctx.set(getattr(dut, f"begin_{lane}"), 0)
            for lane, mark, busy in events.get(cycle, ()):
                if mark is not None:
                    ctx.set(getattr(dut, f"begin_{lane}"), 1)
                    ctx.set(getattr(dut, f"mark_{lane}"), mark)
                if busy is not None:
                    ctx.set(getattr(dut, f"busy_{lane}"), busy)
            await ctx.tick()
            ctx.set(dut.cause, self.causes[cycle])
        ctx.set(dut.counting, 0)
        for lane in LANES:
            ctx.set(getattr(dut, f"begin_{lane}"), 0)
            ctx.set(getattr(dut, f"busy_{lane}"), 0)  # the core's reset

    async def words(self):
        dut, ctx = self.dut, self.ctx
        await ctx.tick().repeat(2)
        while ctx.get(dut.busy):
            await ctx.tick()
        words = []
        for k in range(ctx.get(dut.count)):
            ctx.set(dut.index, k)
            await ctx.tick().repeat(3)
            words.append((ctx.get(dut.code), ctx.get(dut.value)))
        return words


def decode(words):
    """(starts [(lane, mark, cycle, last)], spans [{cause: cycles}], end); the format, read anew."""
    starts, spans, end, position = [], [{}], None, 0
    words = iter(words)
    for code, value in words:
        if code < len(LANES):
            mark, last = next(words)
            assert end is None, "STEP_END is the last but the last sums"
            starts.append((code, mark, value, last))
            if code == COMPUTE:
                spans.append({})
            continue
        if code == STEP_END:
            assert end is None
            end, position = value, len(spans) - 1
            continue
        span = spans[-2] if end is None else spans[position]
        assert code - CAUSES_AT not in span
        span[code - CAUSES_AT] = value
    return starts, spans, end


def simulate_step(simulate, events, cycles, cause=lambda k: 0, words=64):
    dut = StepLog(words=words)
    results = []

    async def bench(ctx):
        step = Step(dut, ctx)
        await step.run(events, cycles, cause)
        log = await step.words()
        results.append((*decode(log), step.causes, ctx.get(dut.overflow), ctx.get(dut.lost)))

    simulate(dut, bench, cycles=cycles + 5000)
    return results[0]


def counts(causes):
    return {k: causes.count(k) for k in set(causes)}


def test_one_descriptor_on_every_lane(simulate):
    events = {20 + 10 * k: [(lane, 3, 1)] for k, lane in enumerate(LANES)}
    events |= {200 + 10 * k: [(lane, None, 0)] for k, lane in enumerate(LANES)}
    starts, spans, end, causes, overflow, lost = simulate_step(
        simulate, events, 300, lambda k: k % 9
    )
    assert starts == [(k, 3, 20 + 10 * k, 200 + 10 * k) for k in range(len(LANES))]
    assert spans == [counts(causes[:41]), counts(causes[41:])]
    assert 297 <= end <= 300 + LATE and not overflow and not lost


def test_commands_of_the_same_descriptor_are_one_entry(simulate):
    events = {10: [("drain", 7, 1)], 30: [("drain", None, 0)], 50: [("drain", 7, 1)],
              60: [("drain", None, 0)], 90: [("drain", 7, 1)]}  # fmt: skip
    starts, spans, _, causes, *flags = simulate_step(simulate, events, 120)
    assert starts == [(LANES.index("drain"), 7, 10, AT_WORK)]  # it was at work when the step ended
    assert spans == [counts(causes)] and flags == [0, 0]


def test_all_lanes_at_once(simulate):
    """Two descriptors back to back; the words come late, the sums are exact."""
    events = {}
    for number, cycle in enumerate((20, 60, 100)):
        events[cycle] = [(lane, number, 1) for lane in LANES]
    events[130] = [(lane, None, 0) for lane in LANES]
    rng = random.Random(2)
    starts, spans, _, causes, *flags = simulate_step(
        simulate, events, 180, lambda k: rng.randrange(len(CAUSES)), words=256
    )
    assert sorted((lane, mark) for lane, mark, _, _ in starts) == [
        (lane, mark) for lane in range(len(LANES)) for mark in range(3)
    ]
    for _, mark, cycle, _ in starts:
        assert 0 <= cycle - (20, 60, 100)[mark] < LATE
    assert {last for _, mark, _, last in starts if mark < 2} == {AT_WORK}  # no fall in between
    assert all(0 <= last - 130 < LATE for _, mark, _, last in starts if mark == 2)
    bounds = [0, 21, 61, 101, len(causes)]
    assert spans == [counts(causes[a:b]) for a, b in pairwise(bounds)]
    assert flags == [0, 0]


@pytest.mark.parametrize("gap", [1, 2, 3, 5, 8, 13, 40])
def test_short_descriptors_on_the_array(simulate, gap):
    """The second span begins as soon as the first one's sums are put aside; none is lost twice."""
    events = {30: [("compute", 1, 1)], 30 + gap: [("compute", 2, 1)], 120: [("compute", 3, 1)]}
    starts, spans, _, causes, overflow, lost = simulate_step(simulate, events, 200, lambda k: k % 9)
    total = {k: sum(span.get(k, 0) for span in spans) for k in range(9)}
    assert total == counts(causes)
    assert not overflow
    if not lost:
        assert [mark for _, mark, _, _ in starts] == [1, 2, 3]
        assert sum(spans[0].values()) == 31 and sum(spans[3].values()) == 79
        assert 0 <= sum(spans[1].values()) - gap < LATE
    else:
        assert gap < LATE


@pytest.mark.parametrize("cycles", [(30, 32, 34, 36), (30, 38, 40)])
def test_third_descriptor_too_soon_is_not_silent(simulate, cycles):
    events = {cycle: [("compute", k, 1)] for k, cycle in enumerate(cycles)}
    starts, spans, _, causes, overflow, lost = simulate_step(simulate, events, 100)
    assert lost and not overflow
    assert sum(sum(span.values()) for span in spans) == len(causes)


@pytest.mark.parametrize("after", range(6))
def test_next_descriptor_right_after_a_fall(simulate, after):
    """The words of the one before keep its mark."""
    events = {20: [("load", 1, 1)], 50: [("load", None, 0)]}
    events.setdefault(50 + after, []).append(("load", 2, 1))
    starts, *_ = simulate_step(simulate, events, 90)
    (_, one, _, last), (_, two, start, end) = starts
    assert (one, two, end) == (1, 2, AT_WORK) and 0 <= start - 50 - after < LATE
    assert last == AT_WORK if after == 0 else last in (50, AT_WORK)  # no time to say it


@pytest.mark.parametrize("before", range(1, 24))
def test_descriptors_at_the_very_end(simulate, before):
    """Sums that are yet to be written down when the step ends belong to their descriptors."""
    cycles = 100
    events = {cycles - before - 6: [("compute", 1, 1)], cycles - before: [("compute", 2, 1)]}
    starts, spans, end, causes, *flags = simulate_step(
        simulate, events, cycles, lambda k: k % 9
    )
    assert [mark for _, mark, _, _ in starts] == [1, 2] and flags == [0, 0] and end is not None
    assert len(spans) == 3 and spans[0] == counts(causes[: cycles - before - 5])
    total = {k: sum(span.get(k, 0) for span in spans) for k in range(9)}
    assert total == counts(causes)
    assert sum(spans[1].values()) >= 6


@pytest.mark.parametrize("words", [64, 128])
def test_overflow_keeps_the_first_and_every_cycle(simulate, words):
    events = {}
    for number in range(60):
        events[10 + 40 * number] = [(lane, number % 16, 1) for lane in LANES]
        events[30 + 40 * number] = [(lane, None, 0) for lane in LANES]
    rng = random.Random(words)
    starts, spans, end, causes, overflow, lost = simulate_step(
        simulate, events, 2500, lambda k: rng.randrange(9), words
    )
    assert overflow and not lost and end >= 2497
    assert words - SPARE <= 2 * len(starts) + 1 + sum(map(len, spans)) <= words
    for _, mark, cycle, last in starts:
        number = round((cycle - 10) / 40)
        assert mark == number % 16 and number < 12
        assert 0 <= last - (30 + 40 * number) < LATE  # later descriptors do not touch it
    total = {k: sum(span.get(k, 0) for span in spans) for k in range(9)}
    assert total == counts(causes)


def test_next_step_starts_afresh(simulate):
    dut = StepLog(words=64)

    async def bench(ctx):
        step = Step(dut, ctx)
        busy = {10 + 9 * k: [("drain", k, 1)] for k in range(60)}
        await step.run(busy, 700, lambda k: 4)
        assert decode(await step.words())[1] == [{4: 700}]
        assert ctx.get(dut.overflow)
        for pause in (1, 40):  # the second step begins while the first one's end is being written
            await step.run({10: [("load", 5, 1)]}, 50, lambda k: 1)
            await ctx.tick().repeat(pause)
            await step.run({12: [("vector", 6, 1)], 20: [("vector", None, 0)]}, 60, lambda k: 2)
            assert decode(await step.words())[:2] == (
                [(LANES.index("vector"), 6, 12, 20)], [{2: 60}]
            )  # fmt: skip
            assert not ctx.get(dut.overflow) and not ctx.get(dut.lost)

    simulate(dut, bench)


@pytest.mark.parametrize("seed", range(6))
def test_random_steps(simulate, seed):
    """Lanes that turn and rest at random; entries as a model says, sums exact."""
    rng = random.Random(seed)
    events, expected = {}, {lane: [] for lane in LANES}
    for lane in LANES:
        cycle, mark = rng.randrange(5, 60), rng.randrange(16)
        while cycle < 1500:
            mark = (mark + rng.randrange(1, 4)) % 16
            expected[lane].append([mark, cycle, None])
            events.setdefault(cycle, []).append((lane, mark, 1))
            cycle += rng.randrange(LATE, 120)
            if rng.random() < 0.7:
                events.setdefault(cycle, []).append((lane, None, 0))
                expected[lane][-1][2] = cycle
                cycle += rng.randrange(LATE, 90)
    starts, spans, _, causes, *flags = simulate_step(
        simulate, events, 1800, lambda k: rng.choice([0, 0, 0, 1, 2, 8]), 1024
    )
    assert flags == [0, 0]
    for k, lane in enumerate(LANES):
        found = [entry[1:] for entry in starts if entry[0] == k]
        assert len(found) == len(expected[lane])
        for (mark, cycle, last), (want, begun, ended) in zip(found, expected[lane]):
            assert mark == want and 0 <= cycle - begun < LATE
            assert (last == AT_WORK) if ended is None else 0 <= last - ended < LATE
    bounds = [0, *(cycle + 1 for _, cycle, _ in expected["compute"]), 1800]
    assert [sum(span.values()) for span in spans] == [b - a for a, b in pairwise(bounds)]
    total = {k: sum(span.get(k, 0) for span in spans) for k in range(9)}
    assert total == {**dict.fromkeys(range(9), 0), **counts(causes)}


@pytest.mark.parametrize("causes", [1, 3, 16])
def test_sums(simulate, causes):
    reset = Signal()
    sums = CauseSums(causes)
    dut = ResetInserter(reset)(sums)
    rng = random.Random(causes)

    async def bench(ctx):
        for _ in range(20):
            expected = [0] * causes
            length = rng.choice([1, 2, 3, 60])
            for k in range(length):
                count, cause = rng.random() < 0.8, rng.randrange(causes)
                ctx.set(sums.count, count)
                ctx.set(sums.cause, cause)
                ctx.set(sums.switch, k == length - 1)
                expected[cause] += count
                await ctx.tick()
            ctx.set(sums.switch, 0)
            ctx.set(sums.count, 0)
            nonzero = ctx.get(sums.nonzero)
            for k in range(causes):
                assert nonzero >> k & 1 == (expected[k] != 0)
                ctx.set(sums.select, k)
                if expected[k]:
                    assert ctx.get(sums.sum) == expected[k]
            if rng.random() < 0.2:
                ctx.set(reset, 1)
                await ctx.tick()
                ctx.set(reset, 0)
                assert ctx.get(sums.nonzero) == 0

    simulate(dut, bench)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: StepLog(words=96), ValueError,
         "StepLog words must be a power of two, at least 64, not 96"),
        (lambda: StepLog(words=32), ValueError,
         "StepLog words must be a power of two, at least 64, not 32"),
        (lambda: StepLog(words="64"), TypeError, "StepLog words must be an int, not '64'"),
        (lambda: CauseSums(17), ValueError, "CauseSums causes must be 1 to 16, not 17"),
        (lambda: CauseSums(2.0), TypeError, "CauseSums causes must be an int, not 2.0"),
    ],
)  # fmt: skip
def test_parameters(make, error, message):
    with pytest.raises(error) as raised:
        make()
    assert str(raised.value) == message
