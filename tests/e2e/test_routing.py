"""Which route wins."""

import time

from harness import SLOWER, ask, equal, limit
import hello


def routed(t, routes, backends, more=""):
    config = f"""
[listener front]
listen = 127.0.0.1:{{front}}
{more}
{routes}
""" + "".join(f"[upstream {name}]\nserver = 127.0.0.1:{{{name}}}\n" for name in backends)
    return t.penstock(config, **{name: t.backend(name).port for name in backends})


def test_exact_beats_wildcard_and_the_longest_wildcard_wins(t):
    p = routed(t, """
[sni front]
.example.com = apex
*.example.com = below
*.deep.example.com = deep
www.example.com = exact
""", ("apex", "below", "deep", "exact"))
    for name, wanted in (("www.example.com", "exact"), ("a.deep.example.com", "deep"),
                         ("a.b.deep.example.com", "deep"), ("example.com", "apex"), ("comexample.com", "alert 112"),
                         ("xexample.com", "alert 112")):
        equal(ask(p.port(), hello.hello(name)), wanted, name)


def test_star_covers_labels_below_but_not_the_apex(t):
    p = routed(t, "[sni front]\n*.example.com = below\n.example.org = apex\n", ("below", "apex"))
    for name, wanted in (("a.example.com", "below"), ("a.b.c.example.com", "below"), ("example.com", "alert 112"),
                         ("example.org", "apex"), ("a.b.example.org", "apex"), ("anexample.org", "alert 112")):
        equal(ask(p.port(), hello.hello(name)), wanted, name)


def test_route_on_alpn_takes_only_those_who_offer_it(t):
    p = routed(t, """
[route acme]
server_name = a.example
alpn = acme-tls/1
proxy_pass = acme
[route web]
server_name = a.example
proxy_pass = web
""", ("acme", "web"))
    for alpn, wanted in (((b"acme-tls/1",), "acme"), ((b"h2", b"acme-tls/1"), "acme"), ((b"h2",), "web"), ((), "web"),
                         ((b"acme-tls/12",), "web")):
        equal(ask(p.port(), hello.hello("a.example", alpn=alpn)), wanted, alpn)


def test_route_on_source_takes_only_those_addresses(t):
    p = routed(t, """
[route inside]
server_name = a.example
source = 127.0.0.8/30
source = 127.9.0.0/16
proxy_pass = inside
[route outside]
server_name = a.example
proxy_pass = outside
""", ("inside", "outside"))
    for source, wanted in (("127.0.0.9", "inside"), ("127.9.1.1", "inside"), ("127.0.0.12", "outside"),
                           ("127.0.0.1", "outside")):
        equal(ask(p.port(), hello.hello("a.example"), source=source), wanted, source)


def test_route_on_tls_version_takes_those_who_offer_it(t):
    p = routed(t, """
[route modern]
server_name = a.example
tls_version = 1.3
proxy_pass = modern
[route old]
server_name = a.example
proxy_pass = old
""", ("modern", "old"))
    for versions, wanted in (((0x0304, 0x0303), "modern"), ((0x0304,), "modern"), ((0x0303,), "old")):
        equal(ask(p.port(), hello.hello("a.example", versions=versions)), wanted, versions)


def test_more_conditions_win_among_equals_then_file_order(t):
    p = routed(t, """
[route first]
server_name = a.example
proxy_pass = first
[route second]
server_name = a.example
alpn = h2
proxy_pass = second
[route third]
server_name = a.example
alpn = h2
tls_version = 1.3
proxy_pass = third
[route fourth]
server_name = a.example
alpn = http/1.1
proxy_pass = fourth
""", ("first", "second", "third", "fourth"))
    equal(ask(p.port(), hello.hello("a.example")), "third")
    equal(ask(p.port(), hello.hello("a.example", versions=(0x0303,))), "second", "file order among one condition each")
    equal(ask(p.port(), hello.hello("a.example", versions=(0x0303,), alpn=(b"http/1.1",))), "fourth")
    equal(ask(p.port(), hello.hello("a.example", versions=(0x0303,), alpn=())), "first")


def test_route_whose_conditions_fail_is_passed_over_for_a_lesser_one(t):
    p = routed(t, """
[route exact]
server_name = www.example.com
alpn = special
proxy_pass = exact
[route wild]
server_name = *.example.com
tls_version = 1.3
proxy_pass = wild
[route any]
proxy_pass = any
""", ("exact", "wild", "any"))
    equal(ask(p.port(), hello.hello("www.example.com", alpn=(b"special",))), "exact")
    equal(ask(p.port(), hello.hello("www.example.com")), "wild")
    equal(ask(p.port(), hello.hello("www.example.com", versions=(0x0303,))), "any")


def test_route_without_a_name_takes_any_name_but_not_none(t):
    p = routed(t, """
[route any]
proxy_pass = any
[route nameless]
server_name = none
alpn = h2
proxy_pass = nameless
""", ("any", "nameless"))
    equal(ask(p.port(), hello.hello("whatever.example")), "any")
    equal(ask(p.port(), hello.hello(None)), "nameless")
    equal(ask(p.port(), hello.hello(None, alpn=())), "alert 112")


def test_route_names_several_names_and_listeners(t):
    p = t.penstock("""
        [listener one]
        listen = 127.0.0.1:{one}
        [listener two]
        listen = 127.0.0.1:{two}
        [listener three]
        listen = 127.0.0.1:{three}
        [route shared]
        listener = one
            two
        server_name = a.example
            b.example
        proxy_pass = 127.0.0.1:{app}
        [route last]
        listener = three
        server_name = c.example
        proxy_pass = 127.0.0.1:{app}
        """, app=t.backend("app").port)
    for port, name, wanted in (("one", "a.example", "app"), ("two", "b.example", "app"),
                               ("three", "a.example", "alert 112"), ("three", "c.example", "app"),
                               ("one", "c.example", "alert 112")):
        equal(ask(p.port(port), hello.hello(name)), wanted, (port, name))


@limit(40)
def test_ten_thousand_names_load_at_once_and_route(t):
    names = "".join(f"host{i}.example{i % 97}.com = u{i % 4}\n" for i in range(10000))
    p = routed(t, "[sni front]\n" + names, ("u0", "u1", "u2", "u3"))
    for i in (0, 1, 4999, 9998, 9999):
        equal(ask(p.port(), hello.hello(f"host{i}.example{i % 97}.com")), f"u{i % 4}", i)
    equal(ask(p.port(), hello.hello("host10000.example9.com")), "alert 112")
    begun = time.monotonic()
    code, _, err = t.run("-t", "-c", p.config)
    equal(code, 0, err)
    assert time.monotonic() - begun < 1 * SLOWER, f"-t of 10,000 names took {time.monotonic() - begun:.2f} s"


def test_explain_names_the_route_that_the_program_takes(t):
    config = """
        [listener front]
        listen = 127.0.0.1:1
        proxy_pass = fallback
        [route special]
        server_name = www.example.com
        alpn = h2
        source = 10.0.0.0/8
        proxy_pass = specials
        [route wide]
        server_name = *.example.com
        proxy_pass = wides
        [route never]
        server_name = no.example.com
        mode = reject
        [upstream fallback]
        server = 127.0.0.1:1
        [upstream specials]
        server = 127.0.0.1:1
        [upstream wides]
        server = 127.0.0.1:1
        """
    inside = ["--alpn", "h2", "--from", "10.1.2.3"]
    outside = ["--alpn", "h2", "--from", "192.0.2.1"]
    for args, wanted_code, wanted in ((["www.example.com"], 0, ("wide", "wides")),
                                      (["www.example.com", *inside], 0, ("special", "specials")),
                                      (["www.example.com", *outside], 0, ("wide", "wides")),
                                      (["elsewhere.example", "--listener", "front"], 0, ("default", "fallback")),
                                      (["no.example.com"], 1, ("never", "reject"))):
        code, out, err = t.run("explain", "-c", "{conf}", *args, config=config)
        equal(code, wanted_code, (args, out, err))
        for word in wanted:
            assert word in out, f"explain {args}: no {word!r} in:\n{out}"


def test_explain_refuses_an_unknown_listener(t):
    code, _, err = t.run("explain", "-c", "{conf}", "a.example", "--listener", "nobody", config="""
        [listener front]
        listen = 127.0.0.1:1
        proxy_pass = 127.0.0.1:1
        """)
    assert code != 0 and "nobody" in err, (code, err)
