"""The access log: one line per connection, refused ones too, and no name can forge one."""

import json
import re

from harness import ask, client, equal, read_text, wait_until
import hello

KEYS = ("time id listener client peer sni alpn route mode upstream server tries reason alert bytes_up bytes_down "
        "connect_ms duration_ms hello_ms tls cipher group resumed client_cert relay").split()
HOSTILE = ['a"b.example', 'a\\b.example', 'a b.example', 'a=b.example', 'a\nb=c.example', 'a\rb.example',
           'a\tb.example', 'a\x7fb.example', 'a\x1b[31mred.example', 'a,b.example', '{a}.example',
           "'a'.example", '-', 'null', 'a%sb%n.example', '","reason":"ok', ' reason=ok', 'a\\x20b.example',
           'a\\u0000b.example']
FRONT = """
    [listener front]
    listen = 127.0.0.1:{front}
    access_log = access
    [route known]
    server_name = known.example
    proxy_pass = app
    [upstream app]
    server = 127.0.0.1:{app}
    [log access]
    path = {dir}/log
    format = {format}
    """


def front(t, form):
    return t.penstock(FRONT, format=form, app=t.backend("app").port)


def lines_of(t, count):
    wait_until(lambda: f"{count} lines:\n{read_text(t.path('log'))}",
               lambda: read_text(t.path("log")).count("\n") >= count)
    lines = read_text(t.path("log")).split("\n")
    equal((len(lines) - 1, lines[-1]), (count, ""))
    return lines[:-1]


def unescape(value):
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match.group(1), 16)), value)


def parse_text(line):
    pairs = [word.split("=") for word in line.split(" ")]
    assert all(len(pair) == 2 for pair in pairs), line
    equal([key for key, _ in pairs], KEYS)
    return {key: None if value == "-" else unescape(value) for key, value in pairs}


def test_json_lines_parse_whatever_the_name(t):
    p = front(t, "json")
    for name in HOSTILE:
        equal(ask(p.port(), hello.hello(name)), "alert 112", name)
    lines = [json.loads(line) for line in lines_of(t, len(HOSTILE))]
    equal(sorted(line["sni"] for line in lines), sorted(name.lower() for name in HOSTILE))  # two workers: any order
    equal({line["reason"] for line in lines}, {"no_match"})
    for line in lines:
        equal(list(line), KEYS)


def test_text_lines_parse_whatever_the_name(t):
    p = front(t, "text")
    for name in HOSTILE:
        equal(ask(p.port(), hello.hello(name)), "alert 112", name)
    lines = [parse_text(line) for line in lines_of(t, len(HOSTILE))]
    equal(sorted(line["sni"] for line in lines), sorted(name.lower() for name in HOSTILE))  # two workers: any order
    equal({line["reason"] for line in lines}, {"no_match"})


def test_hostile_alpn_forges_no_line(t):
    for form, parse in (("json", json.loads), ("text", parse_text)):
        p = front(t, form)
        for protocols in ((b'"', b"\n", b"a=b"), (b" reason=ok ",), (bytes(range(256 - 32, 256)),), (b"\0",)):
            equal(ask(p.port(), hello.hello("x.example", alpn=protocols)), "alert 112", protocols)
        for line in lines_of(t, 4):
            equal(parse(line)["reason"], "no_match")
        p.stop()
        open(t.path("log"), "w", encoding="ascii").close()


def test_each_key_tells_what_it_promises(t):
    p = front(t, "text")
    with client(p.port(), source="127.0.0.9") as sock:
        port = sock.getsockname()[1]
        sock.sendall(hello.hello("known.example"))
        sock.recv(1)
    line = parse_text(lines_of(t, 1)[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)", line["time"]), line["time"]
    equal({key: line[key] for key in ("listener", "client", "peer", "sni", "alpn", "route", "mode", "upstream", "tries",
                                      "alert", "tls", "cipher")},
          {"listener": "front", "client": f"127.0.0.9:{port}", "peer": f"127.0.0.9:{port}", "sni": "known.example",
           "alpn": "h2,http/1.1", "route": "known", "mode": "passthrough", "upstream": "app", "tries": "1",
           "alert": None, "tls": None, "cipher": None})
    assert line["server"].startswith("127.0.0.1:"), line


def test_ids_are_unique_over_the_workers(t):
    p = t.penstock("""
        [global]
        workers = 4
        [listener front]
        listen = 127.0.0.1:{front}
        [route gone]
        mode = reject
        """)
    for _ in range(60):
        equal(ask(p.port(), hello.hello()), "alert 112")
    equal(len({line["id"] for line in p.take(60)}), 60)


def test_routes_and_listeners_may_have_their_own_logs(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        access_log = common
        [route own]
        server_name = own.example
        mode = reject
        access_log = own
        [log common]
        path = {dir}/common.log
        format = text
        [log own]
        path = {dir}/own.log
        """)
    equal(ask(p.port(), hello.hello("own.example")), "alert 112")
    equal(ask(p.port(), hello.hello("other.example")), "alert 112")
    wait_until("both logs", lambda: read_text(t.path("own.log")) and read_text(t.path("common.log")))
    equal(("own.example" in read_text(t.path("own.log")), "other.example" in read_text(t.path("common.log"))),
          (True, True))
    equal((read_text(t.path("own.log")).count("\n"), read_text(t.path("common.log")).count("\n")), (1, 1))


def test_no_log_is_kept_where_none_is_named(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        [route gone]
        mode = reject
        """, raw=True, ready=False)
    wait_until("ready", lambda: "penstock: ready" in p.err())
    equal(ask(p.port(), hello.hello()), "alert 112")
    p.stop()
    assert "access" not in p.err(), p.err()
