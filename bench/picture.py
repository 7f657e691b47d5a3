"""The picture of a run: bars of what each proxy costs, nginx being 1, and groups of bars of other figures."""

import textwrap
from xml.sax.saxutils import escape

COLOURS = ("#0b6e4f", "#6cae75", "#8a5a9e", "#d98324", "#4878a8", "#b5b5b5")
WIDTH, LEFT, RIGHT, BAR, GAP = 960, 300, 130, 11, 12
INK, SOFT, GRID = "#1b1b1b", "#666666", "#dddddd"


class Canvas:
    """Collects SVG elements from top to bottom."""

    def __init__(self):
        self.parts, self.y = [], 0

    def text(self, x, y, text, size=12, colour=INK, anchor="start", weight="normal"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
                          f'font-weight="{weight}">{escape(text)}</text>')

    def box(self, x, y, width, height, colour, opacity=1.0):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}" '
                          f'fill="{colour}" fill-opacity="{opacity}"/>')

    def line(self, x1, y1, x2, y2, colour, width=1.0):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
                          f'stroke-width="{width}"/>')

    def render(self):
        height = self.y + 16
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
                f'height="{height:.0f}" font-family="DejaVu Sans, Verdana, Helvetica, sans-serif">\n'
                f'<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(self.parts) + "\n</svg>\n")


def begin(title, facts, proxies, colours):
    """(canvas, colour of each proxy): the title, the facts and the legend; `colours` are the peers'."""
    colours = {proxy.name: colours.get(proxy.name, COLOURS[i % 3]) for i, proxy in enumerate(proxies)}
    canvas = Canvas()
    canvas.y = 30
    canvas.text(20, canvas.y, title, 18, weight="bold")
    canvas.y += 20
    for key, value in facts.items():
        for line in textwrap.wrap(f"{key}: {value}", 150, subsequent_indent="    "):
            canvas.text(20, canvas.y, line, 10.5, SOFT)
            canvas.y += 14
    canvas.y += 8
    legend(canvas, proxies, colours)
    return canvas, colours


def legend(canvas, proxies, colours):
    x = LEFT
    for proxy in proxies:
        canvas.box(x, canvas.y, BAR, BAR, colours[proxy.name])
        canvas.text(x + BAR + 5, canvas.y + 10, proxy.label)
        x += 40 + 7.5 * len(proxy.label)
    canvas.y += 26


def groups(canvas, title, rows, colours, text):
    """`rows` are (title, [(proxy, value, ...)]): the values of a bar one behind the other, those after the first pale;
    `text` makes their label."""
    if not rows:
        return
    scale = (WIDTH - LEFT - RIGHT) / max(1, *(sum(values) for _, bars in rows for _, *values in bars))
    canvas.text(LEFT, canvas.y + 10, title, 13, weight="bold")
    canvas.y += 22
    for name, bars in rows:
        canvas.text(LEFT - 10, canvas.y + len(bars) * BAR / 2 + 4, name, 12, anchor="end")
        for proxy, *values in bars:
            x = LEFT
            for i, value in enumerate(values):
                canvas.box(x, canvas.y + 0.5, value * scale, BAR - 1, colours[proxy.name], 0.35 if i else 1.0)
                x += value * scale
            canvas.text(x + 5, canvas.y + 9.5, text(*values), 10)
            canvas.y += BAR
        canvas.y += GAP
    canvas.y += 12


def cost_rows(results, proxies):
    """(title, [(proxy, Spread)]) of each scenario in which nginx, the measure, took part."""
    for scenario in results.scenarios:
        bars = [(proxy, results.ratio(scenario, proxy.name, "nginx", scenario.cost)) for proxy in proxies]
        bars = [(proxy, ratio) for proxy, ratio in bars if ratio]
        if scenario.mode not in ("idle", "spread") and any(proxy.name == "nginx" for proxy, _ in bars):
            yield scenario.title, bars


def costs(canvas, results, proxies, colours):
    rows = list(cost_rows(results, proxies))
    if not rows:
        return
    most = max(1.2, *(ratio.median for _, bars in rows for _, ratio in bars))
    scale = (WIDTH - LEFT - RIGHT) / most
    canvas.text(LEFT, canvas.y + 10, "The proxy's CPU (bulk: per GB; else per CPU of the load); nginx = 1, less is better",
                13, weight="bold")
    canvas.y += 26
    top = canvas.y
    bottom = top + sum(len(bars) * BAR + GAP for _, bars in rows)
    for tick in range(int(most / 0.25) + 1):
        x = LEFT + tick * 0.25 * scale
        canvas.line(x, top - 4, x, bottom - GAP + 4, SOFT if tick == 4 else GRID)
        canvas.text(x, bottom + 8, f"{tick * 0.25:g}", 10, SOFT, "middle")
    for title, bars in rows:
        canvas.text(LEFT - 10, canvas.y + len(bars) * BAR / 2 + 4, title, 12, anchor="end")
        for proxy, ratio in bars:
            canvas.box(LEFT, canvas.y + 0.5, ratio.median * scale, BAR - 1, colours[proxy.name])
            middle, high = canvas.y + BAR / 2, min(ratio.high, most)
            canvas.line(LEFT + min(ratio.low, most) * scale, middle, LEFT + high * scale, middle, INK, 0.8)
            canvas.text(LEFT + max(high, ratio.median) * scale + 5, canvas.y + 9.5, f"{ratio.median:.2f}", 10)
            canvas.y += BAR
        canvas.y += GAP
    canvas.y += 24


def memory_rows(results, proxies):
    """(title, [(proxy, bytes of its own, bytes of the kernel beyond the load's)])"""
    for scenario in results.scenarios:
        direct = results.spread(scenario, "direct", "kernel_bytes")
        if scenario.mode != "idle" or not direct:
            continue
        bars = []
        for proxy in proxies:
            user = results.spread(scenario, proxy.name, "user_bytes")
            kernel = results.spread(scenario, proxy.name, "kernel_bytes")
            if user and kernel:
                bars.append((proxy, max(user.median, 0), max(kernel.median - direct.median, 0)))
        if bars:
            yield scenario.title, bars


def draw(results, facts):
    """The SVG text."""
    proxies = [proxy for proxy in results.proxies if proxy.name != "direct"
               and any(name == proxy.name for _, name in results.rows)]
    peers = {"nginx": "#d98324", "haproxy-splice": "#4878a8", "haproxy-copy": "#9db8d2"}
    canvas, colours = begin("TLS passthrough by SNI, side by side", facts, proxies, peers)
    costs(canvas, results, proxies, colours)
    groups(canvas, "Memory of an idle tunnel: the proxy's own (full) and its sockets in the kernel (pale)",
           list(memory_rows(results, proxies)), colours,
           lambda user, kernel: f"{user / 1024:.1f} + {kernel / 1024:.1f} KiB")
    return canvas.render()
