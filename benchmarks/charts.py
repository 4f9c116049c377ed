"""Plots as SVG, with nothing but text: bars with a dot for every trial, and lines over a logarithmic axis.

Pure. Colours read on white and on dark pages; the numbers themselves are in the tables beside the plots.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 760, 220, 90, 44, 40
BAR, GAP = 20, 12
COLOURS = ("#2b7bba", "#e07b39", "#4a9d5b", "#b0527d", "#8a6fc0", "#8c8c3a", "#6b7b8c")
GREY = "#808890"

Points = Sequence[tuple[float, float]]


def bars(title: str, unit: str, values: Mapping[str, Sequence[float]]) -> str:
    """Return one horizontal bar for each name, as long as its median, with a dot for each value."""
    most = max((value for row in values.values() for value in row), default=0) or 1
    scale = (WIDTH - LEFT - RIGHT) / most
    drawn = []
    for number, (name, row) in enumerate(values.items()):
        top, median = TOP + number * (BAR + GAP), statistics.median(row)
        middle, colour = top + BAR / 2, COLOURS[number % len(COLOURS)]
        drawn.append(_text(LEFT - 8, middle + 4, name, anchor="end"))
        drawn.append(f'<rect x="{LEFT}" y="{top}" width="{median * scale:.1f}" height="{BAR}" fill="{colour}"/>')
        drawn += [
            f'<circle cx="{LEFT + value * scale:.1f}" cy="{middle}" r="3" fill="none" stroke="{GREY}"/>'
            for value in row
        ]
        drawn.append(_text(LEFT + max(row) * scale + 8, middle + 4, number_text(median)))
    return _svg(TOP + len(values) * (BAR + GAP) + 12, f"{title} ({unit})", drawn)


def lines(title: str, across: str, unit: str, series: Mapping[str, Points]) -> str:
    """Return a line for each name through its points (x, y), both axes logarithmic."""
    height = 380
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points if y > 0]
    if not xs or not ys:
        return _svg(80, title, [])
    left, right, top, bottom = 70, WIDTH - 190, TOP, height - BOTTOM
    place_x, place_y = _log(min(xs), max(xs), left, right), _log(min(ys), max(ys), bottom, top)
    drawn = []
    for tick in _ticks(min(ys), max(ys)):
        y = place_y(tick)
        drawn.append(f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GREY}" stroke-opacity="0.3"/>')
        drawn.append(_text(left - 6, y + 4, number_text(tick), anchor="end"))
    drawn += [_text(place_x(x), bottom + 18, number_text(x), anchor="middle") for x in sorted(set(xs))]
    drawn.append(_text((left + right) / 2, height - 6, across, anchor="middle"))
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        placed = [(place_x(x), place_y(y)) for x, y in points if y > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        drawn.append(f'<rect x="{right + 14}" y="{top + 20 * number}" width="12" height="12" fill="{colour}"/>')
        drawn.append(_text(right + 32, top + 20 * number + 11, name))
    return _svg(height, f"{title} ({unit})", drawn)


def number_text(value: float) -> str:
    """Write a number with about three digits that matter."""
    if value >= 1_000:
        return f"{value:,.0f}"
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2 if value >= 0.1 else 3
    return f"{value:.{digits}f}"


def _log(low: float, high: float, begin: float, end: float) -> "_Scale":
    return _Scale(math.log(low), math.log(high) if high > low else math.log(low) + 1, begin, end)


class _Scale:
    """From a number to its place on a logarithmic axis."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        self._low = low
        self._begin = begin
        self._per = (end - begin) / (high - low)

    def __call__(self, value: float) -> float:
        return self._begin + (math.log(value) - self._low) * self._per


def _ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 of each power of ten in between."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0**power for power in powers for step in (1, 2, 5) if low <= step * 10.0**power <= high]


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def _svg(height: float, title: str, drawn: Sequence[str]) -> str:
    """Put what was drawn on a page with a title."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" fill="#555c64">'
    )
    ground = f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, ground, _text(12, 24, title, size=15), *drawn, "</svg>", ""])
