"""Ehlers' indicators of cycles: a Hilbert transform of a smoothed price, its period and its phase."""

import math
from typing import Any

from plugins.features.ta.folds.arithmetic import fma
from plugins.features.ta.folds.recursion import Params, Recursion
from plugins.fold import Field, column_of

DEGREES = 45.0 / math.atan(1.0)
DETRENDER, QUADRATURE, LEAD_IN_PHASE, LEAD_QUADRATURE = 0, 1, 2, 3


def smoothed_price(state: Any, price: Any) -> Any:
    """The last four prices, weighted 4, 3, 2, 1, by running sums; of fewer, NaN."""
    count = state.bars
    state.bars += 1
    leaving = state.prices[count % 4] if count >= 4 else 0.0
    state.prices[count % 4] = price
    if count < 3:
        state.plain += price
        state.weighted += price * (count + 1.0)
        return math.nan
    state.plain += price
    state.plain -= leaving
    state.weighted += price * 4.0
    value = state.weighted * 0.1
    state.weighted -= state.plain
    return value


def transformed(state: Any, stage: int, value: Any, adjusted: Any) -> Any:
    """A stage of the transform: every second bar has numbers of its own."""
    parity = (state.bars - 1) % 2
    weighted = 0.0962 * value
    result = -state.rings[stage, parity, state.place]
    state.rings[stage, parity, state.place] = weighted
    result += weighted
    result -= state.earlier[stage, parity]
    state.earlier[stage, parity] = 0.5769 * state.inputs[stage, parity]
    result += state.earlier[stage, parity]
    state.inputs[stage, parity] = value
    return result * adjusted


def cycle(state: Any, price: Any, skipped: Any) -> Any:
    """Takes in a price; is the transform under way, that is, were `skipped` bars smoothed only?

    Sets `state.components` (in phase, quadrature) and `state.period`.
    """
    value = smoothed_price(state, price)
    if state.bars <= skipped:
        return False
    state.price = value
    odd = (state.bars - 1) % 2
    adjusted = fma(0.075, state.period, 0.54)
    detrended = transformed(state, DETRENDER, value, adjusted)
    quadrature = transformed(state, QUADRATURE, detrended, adjusted)
    in_phase = state.delayed[odd, 1]
    lead = transformed(state, LEAD_IN_PHASE, in_phase, adjusted)
    lead_quadrature = transformed(state, LEAD_QUADRATURE, quadrature, adjusted)
    if odd == 0:
        state.place = (state.place + 1) % 3
    state.components[0], state.components[1] = in_phase, quadrature
    state.delayed[1 - odd, 1] = state.delayed[1 - odd, 0]
    state.delayed[1 - odd, 0] = detrended
    second_quadrature = fma(0.2, quadrature + lead, 0.8 * state.second[1])
    second_in_phase = fma(0.2, in_phase - lead_quadrature, 0.8 * state.second[0])
    _period(state, second_in_phase, second_quadrature)
    return True


def _period(state: Any, in_phase: Any, quadrature: Any) -> None:
    real = fma(in_phase, state.second[0], quadrature * state.second[1])
    imaginary = in_phase * state.second[1] - quadrature * state.second[0]
    state.rotation[0] = fma(0.8, state.rotation[0], 0.2 * real)
    state.rotation[1] = fma(0.8, state.rotation[1], 0.2 * imaginary)
    state.second[0], state.second[1] = in_phase, quadrature
    before = state.period
    if state.rotation[0] != 0.0 and state.rotation[1] != 0.0:
        state.period = 360.0 / (math.atan(state.rotation[1] / state.rotation[0]) * DEGREES)
    if state.period > 1.5 * before:
        state.period = 1.5 * before
    if state.period < 0.67 * before:
        state.period = 0.67 * before
    if state.period < 6.0:
        state.period = 6.0
    elif state.period > 50.0:
        state.period = 50.0
    state.period = fma(0.2, state.period, 0.8 * before)
    state.smooth_period = fma(0.67, state.smooth_period, 0.33 * state.period)


def phase(state: Any) -> Any:
    """Phase of the dominant cycle in degrees, out of the smoothed prices of one cycle."""
    state.smooth[state.turn] = state.price
    length = int(state.smooth_period + 0.5)
    real, imaginary = 0.0, 0.0
    for i in range(length):
        angle = i * (math.atan(1.0) * 8.0) / length
        price = state.smooth[(state.turn - i) % 50]
        real += math.sin(angle) * price
        imaginary += math.cos(angle) * price
    state.turn = (state.turn + 1) % 50
    if abs(imaginary) > 0.0:
        state.phase = math.atan(real / imaginary) * DEGREES
    elif real < 0.0:
        state.phase -= 90.0
    elif real > 0.0:
        state.phase += 90.0
    state.phase += 90.0
    state.phase += 360.0 / state.smooth_period
    if imaginary < 0.0:
        state.phase += 180.0
    if state.phase > 315.0:
        state.phase -= 360.0
    return state.phase


def _dcperiod(state: Any, bar: Any, params: Any, out: Any) -> None:
    if cycle(state, column_of(bar, params.price), 12) and state.bars > 32:
        out.real = state.smooth_period


def _phasor(state: Any, bar: Any, params: Any, out: Any) -> None:
    if cycle(state, column_of(bar, params.price), 12) and state.bars > 32:
        out.inphase, out.quadrature = state.components[0], state.components[1]


def _dcphase(state: Any, bar: Any, params: Any, out: Any) -> None:
    if cycle(state, column_of(bar, params.price), 37):
        value = phase(state)
        if state.bars > 63:
            out.real = value


def _sine(state: Any, bar: Any, params: Any, out: Any) -> None:
    if cycle(state, column_of(bar, params.price), 37):
        value = phase(state)
        if state.bars > 63:
            out.sine = math.sin(value * (1.0 / DEGREES))
            out.leadsine = math.sin((value + 45.0) * (1.0 / DEGREES))


def trendline(state: Any) -> Any:
    """Means of the price over one dominant cycle, of this bar and the three before, weighted 4, 3, 2, 1."""
    length = int(state.smooth_period + 0.5)
    mean = 0.0
    for i in range(length):
        mean += state.raw[(state.bars - 1 - i) % 50]
    if length > 0:
        mean = mean / length
    line = (fma(2.0, state.means[1], fma(4.0, mean, 3.0 * state.means[0])) + state.means[2]) / 10.0
    state.means[2], state.means[1], state.means[0] = state.means[1], state.means[0], mean
    return line


def _trendline(state: Any, bar: Any, params: Any, out: Any) -> None:
    price = column_of(bar, params.price)
    state.raw[state.bars % 50] = price
    if cycle(state, price, 37):
        line = trendline(state)
        if state.bars > 63:
            out.real = line


def _trendmode(state: Any, bar: Any, params: Any, out: Any) -> None:
    """Trend, unless the sine crossed its lead less than half a cycle ago, or the phase turns as a cycle's does."""
    price = column_of(bar, params.price)
    state.raw[state.bars % 50] = price
    if not cycle(state, price, 37):
        return
    before, sine, lead = state.phase, state.waves[0], state.waves[1]
    turned = phase(state) - before
    state.waves[0] = math.sin(state.phase * (1.0 / DEGREES))
    state.waves[1] = math.sin((state.phase + 45.0) * (1.0 / DEGREES))
    line = trendline(state)
    trend = 1.0
    up = state.waves[0] > state.waves[1] and sine <= lead
    if up or (state.waves[0] < state.waves[1] and sine >= lead):
        state.days = 0
        trend = 0.0
    state.days += 1
    if state.days < 0.5 * state.smooth_period:
        trend = 0.0
    if 0.67 * 360.0 / state.smooth_period < turned < 1.5 * 360.0 / state.smooth_period:
        trend = 0.0
    if line != 0.0 and abs((state.price - line) / line) >= 0.015:
        trend = 1.0
    if state.bars > 63:
        out.integer = trend


def _mama(state: Any, bar: Any, params: Any, out: Any) -> None:
    price = column_of(bar, params.price)
    if not cycle(state, price, 12):
        return
    angle = 0.0
    if state.components[0] != 0.0:
        angle = math.atan(state.components[1] / state.components[0]) * (180.0 / (4.0 * math.atan(1.0)))
    turned = state.phase - angle
    state.phase = angle
    share = params.fastlimit
    if turned > 1.0:
        share = max(params.fastlimit / turned, params.slowlimit)
    state.adaptive[0] = fma(1.0 - share, state.adaptive[0], share * price)
    share *= 0.5
    state.adaptive[1] = fma(1.0 - share, state.adaptive[1], share * state.adaptive[0])
    if state.bars > 32:
        out.mama, out.fama = state.adaptive[0], state.adaptive[1]


def _state(params: Params) -> list[Field]:
    numbers = ("plain", "weighted", "price", "period", "smooth_period", "phase")
    arrays = (("prices", (4,)), ("rings", (4, 2, 3)), ("earlier", (4, 2)), ("inputs", (4, 2)), ("delayed", (2, 2)))
    more = (("components", (2,)), ("second", (2,)), ("rotation", (2,)), ("adaptive", (2,)))
    late = (("smooth", (50,)), ("raw", (50,)), ("means", (3,)), ("waves", (2,)))
    return [
        *((name, "i8") for name in ("bars", "place", "turn", "days")),
        *((name, "f8") for name in numbers),
        *((name, "f8", shape) for name, shape in (*arrays, *more, *late)),
    ]


def _early(params: Params) -> int:
    return 32


def _late(params: Params) -> int:
    return 63


HILBERT = {
    "HT_DCPERIOD": Recursion(_dcperiod, _state, _early),
    "HT_PHASOR": Recursion(_phasor, _state, _early),
    "HT_DCPHASE": Recursion(_dcphase, _state, _late),
    "HT_SINE": Recursion(_sine, _state, _late),
    "HT_TRENDLINE": Recursion(_trendline, _state, _late),
    "HT_TRENDMODE": Recursion(_trendmode, _state, _late),
    "MAMA": Recursion(_mama, _state, _early),
}
