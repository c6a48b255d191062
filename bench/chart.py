"""A chart as SVG, made by hand: lines over sizes (or stages, equally far apart), both axes logarithmic."""
import dataclasses
import html
import math
import textwrap

WIDTH, HEIGHT = 860, 520
LEFT, RIGHT, TOP, BOTTOM = 84, 232, 64, 118
INK, DIM, GRID, PAPER = "#1f2328", "#59636e", "#d8dee4", "#ffffff"
FONT = "system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif"


@dataclasses.dataclass(frozen=True)
class Line:
    name: str
    colour: str
    dashed: bool
    points: tuple  # of (x, y)


def text(x, y, content, size=13, anchor="start", fill=INK, extra=""):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"{extra}>'
        f"{html.escape(content)}</text>"
    )


def duration(ms):
    return f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"


def amount(mebibytes):
    return f"{mebibytes:g} MiB" if mebibytes < 10_000 else f"{mebibytes / 1024:.1f} GiB"


def rounded(value):
    """To three digits, or to whole ones."""
    return float(f"{value:.0f}" if value >= 100 else f"{value:.3g}")


def stages(names):
    """Ticks for `draw` that stand equally far apart."""
    return [(2.0**number, name) for number, name in enumerate(names)]


def below_each_other(drawings):
    """One picture of several."""
    placed = [drawing.replace("<svg ", f'<svg y="{number * HEIGHT}" ', 1) for number, drawing in enumerate(drawings)]
    size = f'width="{WIDTH}" height="{len(placed) * HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {len(placed) * HEIGHT}">\n' + "".join(placed) + "</svg>\n"


class Scale:
    """Logarithmic; from the value's range to the picture's."""

    def __init__(self, low, high, at_low, at_high):
        self.low, self.at_low = math.log(low), at_low
        self.factor = (at_high - at_low) / (math.log(high) - math.log(low))

    def __call__(self, value):
        return self.at_low + (math.log(value) - self.low) * self.factor


def ends_apart(lines, y_of, least=17):
    """Where each line's name stands: beside its end, yet no two on top of each other."""
    wanted = sorted((y_of(line.points[-1][1]), index) for index, line in enumerate(lines))
    places, last = {}, -math.inf
    for y, index in wanted:
        last = max(y, last + least)
        places[index] = last
    # What was pushed below the picture pushes back.
    bottom = HEIGHT - BOTTOM
    for _, index in reversed(wanted):
        places[index] = min(places[index], bottom)
        bottom = places[index] - least
    return places


def draw(title, subtitle, x_ticks, x_title, y_title, lines, caption, say=duration):
    """`x_ticks`: (value, label). The lines' points: sizes and milliseconds, or what `say` puts into words. At least one
    line with one point."""
    values = [y for line in lines for _, y in line.points]
    decades = range(math.floor(math.log10(min(values))), max(math.ceil(math.log10(max(values))), 1) + 1)
    xs = [value for value, _ in x_ticks]
    x_of = Scale(min(xs) / 1.15, max(xs) * 1.15, LEFT, WIDTH - RIGHT)
    y_of = Scale(10.0 ** decades[0], 10.0 ** decades[-1], HEIGHT - BOTTOM, TOP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' role="img" font-family="{FONT}">',
        f"<title>{html.escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{PAPER}"/>',
        text(LEFT, 28, title, 17, extra=' font-weight="600"'),
        text(LEFT, 48, subtitle, 13, fill=DIM),
    ]
    for decade in decades:
        y = y_of(10.0**decade)
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        out.append(text(LEFT - 8, y + 4, say(10.0**decade), anchor="end", fill=DIM))
    for value, name in x_ticks:
        x = x_of(value)
        out.append(f'<path d="M{x:.1f} {HEIGHT - BOTTOM}v5" stroke="{DIM}"/>')
        out.append(text(x, HEIGHT - BOTTOM + 20, name, anchor="middle", fill=DIM))
    middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    out.append(text(middle_x, HEIGHT - BOTTOM + 42, x_title, anchor="middle"))
    out.append(text(18, middle_y, y_title, anchor="middle", extra=f' transform="rotate(-90 18 {middle_y:.1f})"'))
    names = ends_apart(lines, y_of)
    for index, line in enumerate(lines):
        points = [(x_of(x), y_of(y)) for x, y in line.points]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        dash = ' stroke-dasharray="6 4"' if line.dashed else ""
        out.append(f'<path d="{path}" fill="none" stroke="{line.colour}" stroke-width="2"{dash}/>')
        for (x, y), (_, value) in zip(points, line.points):
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{line.colour}"><title>{say(rounded(value))}</title></circle>')
        x, y = points[-1]
        out.append(f'<path d="M{x + 6:.1f} {y:.1f}L{x + 16:.1f} {names[index]:.1f}" stroke="{line.colour}" stroke-width="1"/>')
        shown = say(rounded(line.points[-1][1]))
        out.append(text(x + 20, names[index] + 4, f"{line.name}: {shown}", 12, fill=line.colour))
    for number, row in enumerate(textwrap.wrap(caption, 125)):
        out.append(text(LEFT, HEIGHT - 44 + 16 * number, row, 11, fill=DIM))
    return "\n".join([*out, "</svg>", ""])
