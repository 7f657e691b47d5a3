"""Figures of many rounds to medians, ratios, a Markdown report and a CSV."""

import csv
import statistics

from scenarios import FIELDS, IDLE_KERNEL_BAR, IDLE_USER_BAR, SPREAD_BAR

PEERS = ("nginx", "haproxy-splice", "haproxy-copy")
FULL = 0.95  # a core that is as good as never idle
LABELS = {"nginx": "nginx", "haproxy-splice": "HAProxy splice", "haproxy-copy": "HAProxy copy"}


class Spread:
    """A median with its quartiles (few values: the extremes)."""

    def __init__(self, values):
        values = sorted(values)
        self.median = statistics.median(values)
        self.low, self.high = values[0], values[-1]
        if len(values) >= 5:
            self.low, _, self.high = statistics.quantiles(values, n=4, method="inclusive")

    def text(self, scale=1, digits=2):
        return f"{self.median * scale:.{digits}f} [{self.low * scale:.{digits}f}-{self.high * scale:.{digits}f}]"


class Results:
    """All rows, by scenario and proxy, one a round."""

    def __init__(self, scenarios, proxies):
        self.scenarios, self.proxies = scenarios, proxies
        self.rows = {}
        self.notes = []

    def add(self, scenario, proxy, number, row):
        self.rows.setdefault((scenario.name, proxy.name), {})[number] = row

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def values(self, scenario, name, key):
        return [row[key] for row in self.rows.get((scenario.name, name), {}).values() if row.get(key) is not None]

    def spread(self, scenario, name, key):
        values = self.values(scenario, name, key)
        return Spread(values) if values else None

    def ratio(self, scenario, name, peer, key):
        """Of one to the other round by round: what slows down a round slows both."""
        own, other = self.rows.get((scenario.name, name), {}), self.rows.get((scenario.name, peer), {})
        values = [own[number][key] / other[number][key] for number in own.keys() & other.keys()
                  if own[number].get(key) is not None and other[number].get(key)]
        return Spread(values) if values else None

    def ratio_to_best(self, scenario, name, key):
        """To the peer with the lowest median, not to the luckiest of each round, which is none of them."""
        peers = [(spread.median, peer) for peer in PEERS if (spread := self.spread(scenario, peer, key))]
        return self.ratio(scenario, name, min(peers)[1], key) if peers else None


def write_csv(results, path):
    derived = ("rate", "per_unit", "load_per_unit", "px_lg", "proxy_busy", "load_busy")
    with open(path, "w", encoding="ascii", newline="") as file:
        out = csv.writer(file)
        out.writerow(("scenario", "proxy", "round", "unit", *FIELDS, *derived))
        for scenario in results.scenarios:
            for proxy in results.proxies:
                for number, row in sorted(results.rows.get((scenario.name, proxy.name), {}).items()):
                    out.writerow((scenario.name, proxy.name, number, scenario.unit,
                                  *(row.get(key, "") for key in (*FIELDS, *derived))))


def names_in(paths):
    """The proxies of all files, in the order in which they come."""
    names = {}
    for path in paths:
        with open(path, encoding="ascii", newline="") as file:
            names.update(dict.fromkeys(line["proxy"] for line in csv.DictReader(file)))
    return list(names)


def read_csv(results, path):
    """Adds what write_csv wrote; rounds go behind those that are there already."""
    scenarios = {scenario.name: scenario for scenario in results.scenarios}
    names = {proxy.name for proxy in results.proxies}
    first = {key: 1 + max(rows) for key, rows in results.rows.items()}
    with open(path, encoding="ascii", newline="") as file:
        for line in csv.DictReader(file):
            scenario, name = line.pop("scenario"), line.pop("proxy")
            number = int(line.pop("round")) + first.get((scenario, name), 0)
            if scenario in scenarios and name in names:
                row = {key: float(value) for key, value in line.items() if key != "unit" and value}
                results.rows.setdefault((scenario, name), {})[number] = row


def table(head, rows):
    if not rows:
        return []
    return ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1),
            *("| " + " | ".join(row) + " |" for row in rows), ""]


def judge(ratio, bar):
    """A bar is met when it lies within the spread or above it."""
    if ratio is None:
        return "-"
    if bar is None:
        return ratio.text()
    met = "met" if ratio.median <= bar else "within the spread" if ratio.low <= bar else "missed"
    return f"{ratio.text()} (<= {bar:.2f}: {met})"


def judge_least(ratio, bar, is_bound=False):
    """*is_bound*: by what lies outside the proxy, so that the ratio is a lower bound."""
    if ratio is None:
        return "-"
    met = "met" if ratio.median >= bar else "within the spread" if ratio.high >= bar else "missed"
    if met == "missed" and is_bound:
        met = "the load's core is full, the proxy's is not"
    return f"{ratio.text()} (>= {bar:.2f}: {met})"


def is_bound_by_load(results, scenario, name):
    """Its core was busy all the time in the median run, the proxy's was not."""
    load, proxy = (results.spread(scenario, name, key).median for key in ("load_busy", "proxy_busy"))
    return load >= FULL > 0.9 >= proxy


def all_are_full(results, scenario, names):
    """Nobody's core was idle in the median run, neither a proxy's nor its load's: px/lg is 1 then, whatever the work
    costs, for both sides make their batches smaller until they are just busy."""
    return all(results.spread(scenario, name, key).median >= FULL
               for name in names for key in ("load_busy", "proxy_busy"))


def judge_cost(results, scenario, name, peer):
    ratio = results.ratio(scenario, name, peer, scenario.cost)
    text = judge(ratio, scenario.bars.get(peer))
    if ratio and scenario.cost == "px_lg" and all_are_full(results, scenario, (name, peer)):
        text += f"; all cores full, CPU {results.ratio(scenario, name, peer, 'per_unit').text()}"
    return text


def summary(results, name):
    """One variant of ours against the peers, with the bars."""
    rows = []
    for scenario in results.scenarios:
        if scenario.mode in ("idle", "spread") or (scenario.name, name) not in results.rows:
            continue
        cells = [scenario.title, "CPU per GB" if scenario.cost == "per_unit" else "px/lg"]
        cells += [judge_cost(results, scenario, name, peer) for peer in PEERS]
        if scenario.mode == "bulk":
            is_bound = is_bound_by_load(results, scenario, name)
            cells += [judge_least(results.ratio(scenario, name, "nginx", "rate"), 2.5, is_bound),
                      judge_least(results.ratio(scenario, name, "haproxy-splice", "rate"), 0.95, is_bound), "-"]
        elif scenario.mode == "exchange":
            lone = scenario.connections == 1
            key, bar = ("p50_us", 1.0) if lone else ("p99_us", 1.05)
            cells += ["-", "-", f"{key[:3]} {judge(results.ratio_to_best(scenario, name, key), bar)}"]
        else:
            cells += ["-", "-", "-"]
        rows.append(cells)
    return table(["", "cost", *(f"to {LABELS[peer]}" for peer in PEERS), "throughput to nginx", "to HAProxy splice",
                  "latency to the better peer"], rows)


def idle_summary(results, name):
    lines = []
    for scenario in results.scenarios:
        user = results.spread(scenario, name, "user_bytes")
        kernel = results.ratio(scenario, name, "direct", "kernel_bytes")
        if scenario.mode != "idle" or not user:
            continue
        text = f"{scenario.title}: {name} takes {user.text(1, 0)} bytes of its own for each"
        text += f" (<= {IDLE_USER_BAR}: {'met' if user.low <= IDLE_USER_BAR else 'missed'})"
        if kernel:
            own = Spread([value - 1 for value in (kernel.low, kernel.median, kernel.high)])
            met = "met" if own.low <= IDLE_KERNEL_BAR else "missed"
            text += (f"; its part of the kernel's is {own.text()} times the load's own two sockets "
                     f"(<= {IDLE_KERNEL_BAR:.2f}: {met})")
        lines.append(f"* {text}.")
    return [*lines, ""] if lines else []


def spread_table(results):
    """How evenly the connections lie on the workers; empty when that was not measured."""
    rows = []
    names = [name for name in (*own_names(results), "nginx") if any((s.name, name) in results.rows
                                                                   for s in results.scenarios if s.mode == "spread")]
    for scenario in results.scenarios:
        if scenario.mode != "spread" or not names:
            continue
        cells = [scenario.title]
        for name in names:
            values = results.values(scenario, name, "spread")
            within = sum(value <= SPREAD_BAR for value in values)
            cells += [Spread(values).text(100, 0), f"{within} of {len(values)}"] if values else ["-", "-"]
        rows.append(cells)
    head = ["", *(text for name in names
                  for text in (f"{LABELS.get(name, name)}: furthest from its fair share, %",
                               f"rounds within {100 * SPREAD_BAR:.0f} %"))]
    return ["## Connections over workers", "", *table(head, rows)] if rows else []


def microseconds(results, scenario, name, key):
    spread = results.spread(scenario, name, key)
    return f"{spread.median:.0f}" if spread else "-"


def ratio_cells(results, scenario, proxy, peers, key):
    ratios = [None if peer == proxy.name else results.ratio(scenario, proxy.name, peer, key) for peer in peers]
    return [ratio.text() if ratio else "-" for ratio in ratios]


def cost_head(scenario):
    """Of the columns that cost_cells makes."""
    unit = scenario.unit
    time = "s" if unit == "GB" else "us"
    return ["", "GB/s" if unit == "GB" else f"1000 {unit}s/s", f"proxy CPU {time}/{unit}", f"load CPU {time}/{unit}",
            "px/lg"]


def cost_cells(results, scenario, proxy, rate_digits):
    """None when the proxy took no part."""
    rate = results.spread(scenario, proxy.name, "rate")
    if not rate:
        return None
    scale, digits = (1, 3) if scenario.unit == "GB" else (1e6, 2)
    return [proxy.label, rate.text(1 if scenario.unit == "GB" else 1e-3, rate_digits),
            *(results.spread(scenario, proxy.name, key).text(scale, digits) for key in ("per_unit", "load_per_unit")),
            results.spread(scenario, proxy.name, "px_lg").text(1, 3)]


def scenario_table(results, scenario):
    bulk = scenario.unit == "GB"
    rows = []
    for proxy in results.proxies:
        cells = cost_cells(results, scenario, proxy, 2 if bulk else 1)
        if not cells:
            continue
        cells += ratio_cells(results, scenario, proxy, PEERS, scenario.cost)
        if bulk:
            cells += [f"{results.spread(scenario, proxy.name, key).median:.0%}" for key in ("proxy_busy", "load_busy")]
        else:
            cells += [microseconds(results, scenario, proxy.name, key) for key in ("p50_us", "p99_us", "p999_us")]
        if proxy.name == "direct":
            cells[2] = cells[4] = cells[5] = cells[6] = cells[7] = "-"
            if bulk:
                cells[8] = "-"
        rows.append(cells)
    head = [*cost_head(scenario), *(f"x {LABELS[peer]}" for peer in PEERS)]
    return table(head + (["proxy busy", "load busy"] if bulk else ["p50 us", "p99 us", "p99.9 us"]), rows)


def idle_table(results, scenario):
    rows = []
    for proxy in results.proxies:
        kernel = results.spread(scenario, proxy.name, "kernel_bytes")
        if not kernel:
            continue
        user = results.spread(scenario, proxy.name, "user_bytes")
        ratio = results.ratio(scenario, proxy.name, "direct", "kernel_bytes")
        is_direct = proxy.name == "direct"
        rows.append([proxy.label, "-" if is_direct else user.text(1, 0), kernel.text(1, 0),
                     "-" if is_direct or not ratio else f"{ratio.median - 1:.2f}"])
    return table(["", "proxy's memory, bytes", "kernel's with the load's two sockets, bytes",
                  "the proxy's part over the load's"], rows)


def own_names(results):
    return [proxy.name for proxy in results.proxies if proxy.name not in PEERS and proxy.name != "direct"]


def took_part(results, scenario):
    return any((scenario.name, proxy.name) in results.rows for proxy in results.proxies)


def opening(title, facts):
    return [f"# {title}, side by side", "", *(f"* {key}: {value}" for key, value in facts.items()), ""]


def closing(results):
    return ["## Not measured", "", *(f"* {note}" for note in results.notes), ""] if results.notes else []


def markdown(results, facts):
    lines = opening("Passthrough", facts)
    for name in own_names(results):
        lines += [f"## {name} against its peers", "",
                  "Ratios, lower is better (throughput: higher); medians over the rounds with the quartiles, or the "
                  "extremes of fewer than five.", "", *summary(results, name), *idle_summary(results, name)]
    lines += spread_table(results)
    for scenario in results.scenarios:
        if scenario.mode != "spread" and took_part(results, scenario):
            lines += [f"## {scenario.title}", ""]
            lines += idle_table(results, scenario) if scenario.mode == "idle" else scenario_table(results, scenario)
    return "\n".join(lines + closing(results))
