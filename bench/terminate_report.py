"""Figures of termination to a Markdown report and a picture."""

from picture import begin, costs, groups
from report import (closing, cost_cells, cost_head, judge, judge_least, microseconds, opening, ratio_cells, table,
                    took_part)
from terminate import HAPROXY, IDLE_BAR, NEWER, NGINX, STORM_FACTOR, STORM_LIMIT_US

PEERS = (NGINX, HAPROXY, NGINX + NEWER, HAPROXY + NEWER)
COST_NAMES = {"per_unit": "CPU per GB", "px_lg": "px/lg"}
PEER_COLOURS = {NGINX: "#d98324", HAPROXY: "#4878a8", NGINX + NEWER: "#eec28f", HAPROXY + NEWER: "#9db8d2"}


def peers_of(results):
    return [name for name in PEERS if any(proxy == name for _, proxy in results.rows)]


def own_names(results):
    return [proxy.name for proxy in results.proxies if proxy.name not in PEERS
            and any(name == proxy.name for _, name in results.rows)]


def summary(results, name):
    """How many times more each peer spends on the same, with the bars."""
    rows = []
    peers = peers_of(results)
    for scenario in results.scenarios:
        if scenario.cost not in COST_NAMES or (scenario.name, name) not in results.rows:
            continue
        cells = [scenario.title, COST_NAMES[scenario.cost]]
        for peer in peers:
            ratio = results.ratio(scenario, peer, name, scenario.cost)
            bar = scenario.bars.get(peer)
            cells.append(judge_least(ratio, bar) if bar else ratio.text() if ratio else "-")
        rows.append(cells)
    return table(["", "cost", *(f"{peer} / {name}" for peer in peers)], rows)


def storm_table(results, scenario):
    rows = []
    for proxy in results.proxies:
        p99 = results.spread(scenario, proxy.name, "p99_us")
        if not p99:
            continue
        quiet = results.spread(scenario, proxy.name, "quiet_p99_us")
        limit = max(STORM_LIMIT_US, STORM_FACTOR * quiet.median)
        rows.append([proxy.label, results.spread(scenario, proxy.name, "storm_rate").text(1, 0), quiet.text(1, 0),
                     judge(p99, limit), results.spread(scenario, proxy.name, "p50_us").text(1, 0)])
    return table(["", "storm, 1/s", "quiet p99 us", "p99 us", "p50 us"], rows)


def idle_table(results, scenario):
    rows = []
    for proxy in results.proxies:
        user = results.spread(scenario, proxy.name, "user_bytes")
        if not user:
            continue
        cells = [proxy.label, judge(user, IDLE_BAR) if proxy.name not in PEERS else user.text(1, 0)]
        cells += ratio_cells(results, scenario, proxy, peers_of(results), "user_bytes")
        rows.append(cells + [results.spread(scenario, proxy.name, "kernel_bytes").text(1, 0)])
    return table(["", "proxy's memory, bytes", *(f"x {peer}" for peer in peers_of(results)),
                  "kernel's with the load's sockets, bytes"], rows)


def scenario_table(results, scenario):
    rows = []
    for proxy in results.proxies:
        cells = cost_cells(results, scenario, proxy, 2)
        if cells:
            spoken = results.values(scenario, proxy.name, "tls")
            rows.append([*cells, *(microseconds(results, scenario, proxy.name, key) for key in ("p50_us", "p99_us")),
                         spoken[0] if spoken else "-"])
    return table([*cost_head(scenario), "p50 us", "p99 us", "spoken"], rows)


def markdown(results, facts):
    lines = opening("Termination", facts)
    for name in own_names(results):
        lines += [f"## What the peers cost, {name} being 1", "",
                  "Higher is better for us; medians over the rounds with the quartiles, or the extremes of fewer than "
                  "five.", "", *summary(results, name)]
    tables = {"storm": storm_table, "idle": idle_table}
    for scenario in results.scenarios:
        if took_part(results, scenario):
            title = f"200 B / 1 KiB every 10 ms {scenario.title}" if scenario.mode == "storm" else scenario.title
            lines += [f"## {title}", "", *tables.get(scenario.mode, scenario_table)(results, scenario)]
    return "\n".join(lines + closing(results))


def rows_of(results, proxies, mode, key):
    for scenario in results.scenarios:
        values = [(proxy, results.spread(scenario, proxy.name, key)) for proxy in proxies]
        values = [(proxy, max(spread.median, 0)) for proxy, spread in values if spread]
        if scenario.mode == mode and values:
            yield scenario.title, values


def draw(results, facts):
    """The SVG text."""
    proxies = [proxy for proxy in results.proxies if any(name == proxy.name for _, name in results.rows)]
    canvas, colours = begin("TLS termination, side by side", facts, proxies, PEER_COLOURS)
    costs(canvas, results, proxies, colours)
    groups(canvas, "Latency (p99) of running sessions during a storm of handshakes; less is better",
           list(rows_of(results, proxies, "storm", "p99_us")), colours, lambda value: f"{value / 1000:.2f} ms")
    groups(canvas, "Memory of an idle session, the proxy's own",
           list(rows_of(results, proxies, "idle", "user_bytes")), colours, lambda value: f"{value / 1024:.1f} KiB")
    return canvas.render()
