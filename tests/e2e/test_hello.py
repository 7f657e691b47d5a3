"""The hello matrix: however a hello is cut and dressed, it takes the same route and arrives byte for byte."""

from harness import LIMIT, answer, ask, client, equal, limit, wait_read, wait_until
import hello

FRONT = """
    [listener front]
    listen = 127.0.0.1:{front}
    preread_timeout = 60s
    {more}
    [sni front]
    app1.example.com = app1
    app2.example.com = app2
    default = other
    none = nameless
    [upstream app1]
    server = 127.0.0.1:{app1}
    [upstream app2]
    server = 127.0.0.1:{app2}
    [upstream other]
    server = 127.0.0.1:{other}
    [upstream nameless]
    server = 127.0.0.1:{nameless}
    """


def front(t, more=""):
    return t.penstock(FRONT, more=more, **{name: t.backend(name).port for name in ("app1", "app2", "other",
                                                                                     "nameless")})


def in_pieces(p, batch):
    """Sends each (pieces) of *batch* beside the others, each piece only once penstock has read the one before."""
    socks = [client(p.port()) for _ in batch]
    for turn in range(max(map(len, batch))):
        for sock, pieces in zip(socks, batch):
            if turn < len(pieces):
                sock.sendall(pieces[turn])
        if turn + 1 < max(map(len, batch)):
            wait_read(socks)
    found = [answer(sock, b"".join(pieces)) for sock, pieces in zip(socks, batch)]
    for sock in socks:
        sock.close()
    return found


def by_batch(things, size=100):
    return [things[i:i + size] for i in range(0, len(things), size)]


def cut_everywhere(t, p, whole, tag):
    cuts = range(1, len(whole), 1 if t.scale(8) == 8 else 7)
    for batch in by_batch(cuts):
        found = in_pieces(p, [(whole[:cut], whole[cut:]) for cut in batch])
        equal([(cut, got) for cut, got in zip(batch, found) if got != tag], [], "cuts that took another route")


@limit(60)
def test_two_segments_cut_at_every_byte_take_the_same_route(t):
    p = front(t)
    cut_everywhere(t, p, hello.hello("app1.example.com"), "app1")


@limit(60)
def test_pq_sized_hello_cut_at_every_byte_takes_the_same_route(t):
    p = front(t)
    whole = hello.hello("app2.example.com", post_quantum=True, ech=True)
    assert len(whole) > 1700, len(whole)
    cut_everywhere(t, p, whole, "app2")


@limit(60)
def test_two_records_cut_at_every_byte_take_the_same_route(t):
    p = front(t)
    data = hello.handshake(hello.body(sni=b"app1.example.com"))
    for cut in range(1, len(data), 1 if t.scale(8) == 8 else 7):
        equal(ask(p.port(), hello.records(data, (cut,))), "app1", f"records cut at {cut}")


@limit(60)
def test_two_records_in_two_segments_take_the_same_route(t):
    p = front(t)
    data = hello.handshake(hello.body(sni=b"app1.example.com"))
    cuts = range(1, len(data), t.scale(8) == 8 and 3 or 17)
    for batch in by_batch(cuts):
        pieces = [(hello.records(data[:cut]), hello.records(data[cut:])) for cut in batch]
        equal(set(in_pieces(p, pieces)), {"app1"})


def test_segments_of_one_byte_take_the_same_route(t):
    p = front(t)
    whole = hello.hello("app1.example.com")
    equal(in_pieces(p, [[whole[i:i + 1] for i in range(len(whole))]] * 3), ["app1"] * 3)


def test_records_of_one_byte_take_the_same_route(t):
    p = front(t)
    data = hello.handshake(hello.body(sni=b"app1.example.com"))
    equal(ask(p.port(), hello.records(data, [1] * len(data))), "app1")
    equal(ask(p.port(), hello.records(data, [1])), "app1")
    equal(ask(p.port(), hello.records(data, [1, 2, 1, 3, 50])), "app1")


def test_records_of_one_byte_in_segments_of_one_byte_take_the_same_route(t):
    p = front(t)
    data = hello.handshake(hello.body(sni=b"app1.example.com", grease=False, alpn=()))
    whole = hello.records(data, [1] * len(data))
    equal(in_pieces(p, [[whole[i:i + 1] for i in range(len(whole))]]), ["app1"])


def test_case_and_trailing_dot_do_not_matter(t):
    p = front(t)
    for name in ("APP1.EXAMPLE.COM", "app1.example.com.", "App1.Example.Com.", "aPP1.eXAMPLE.cOM"):
        equal(ask(p.port(), hello.hello(name)), "app1", name)


def test_unlike_names_do_not_match(t):
    p = front(t)
    for name in ("app1.example.co", "app1.example.comm", "xapp1.example.com", "example.com", "app1", "*.example.com",
                 "a" * 63 + ".example"):
        equal(ask(p.port(), hello.hello(name)), "other", name)


def test_name_of_253_bytes_is_a_name(t):
    p = front(t)
    name = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
    equal(len(name), 253)
    equal(ask(p.port(), hello.hello(name)), "other")
    equal(p.take()["sni"], name)


def test_ip_literal_and_absent_extension_count_as_no_name(t):
    p = front(t)
    for name in (None, "192.0.2.1", "2001:db8::1", "::1"):
        equal(ask(p.port(), hello.hello(name)), "nameless", name)


def test_dressed_hellos_take_their_route(t):
    p = front(t)
    for how in ({"post_quantum": True}, {"ech": True}, {"post_quantum": True, "ech": True}, {"grease": False},
                {"alpn": ()}, {"alpn": (b"http/1.1",)}, {"versions": (0x0303,)}, {"versions": (0x0304,)},
                {"session_id": b""}, {"legacy": 0x0301}, {"legacy": 0x0302}, {"record_version": 0x0300},
                {"record_version": 0x0303}, {"record_version": 0x03FF}, {"ciphers": b"\x13\x01" * 300},
                {"alpn": tuple(b"p%d" % i for i in range(200))}, {"compression": b"\1\0"}):
        equal(ask(p.port(), hello.hello("app2.example.com", **how)), "app2", how)


def test_ssl3_style_hello_without_extensions_is_no_name(t):
    p = front(t)
    equal(ask(p.port(), hello.records(hello.handshake(hello.body(raw_extensions=False)))), "nameless")


def test_hello_of_exactly_the_buffer_size_passes(t):
    p = front(t)
    for size in (4096, 8192, 16384):
        equal(ask(p.port(), hello.padded(size)), "app1", size)


def test_hello_one_byte_over_the_buffer_size_is_refused(t):
    p = front(t, "preread_buffer_size = 2048")
    equal(ask(p.port(), hello.padded(2048)), "app1")
    equal(p.take()["reason"], "ok")
    for size in (2049, 4096, 16384):
        equal(ask(p.port(), hello.padded(size)), "alert 50", size)
        equal(p.take()["reason"], "hello_too_long", size)


def test_handshake_that_claims_16_mib_is_refused_at_once(t):
    p = front(t)
    good = hello.handshake(hello.body())
    equal(ask(p.port(), hello.records(b"\x01\xff\xff\xff" + good[4:])), "alert 50")
    equal(p.take()["reason"], "hello_too_long")


def test_bytes_behind_the_hello_follow_it_to_the_backend(t):
    """Early data and whatever else a client sends without waiting."""
    p = front(t)
    more = hello.records(b"\x01", kind=0x14, version=0x0303) + bytes(range(256)) * 150
    whole = hello.hello("app1.example.com") + more
    with client(p.port()) as sock:
        sock.sendall(whole)
        equal(answer(sock, whole), "app1")


def test_client_that_ends_right_behind_its_hello_is_served(t):
    p = front(t)
    whole = hello.hello("app1.example.com")
    with client(p.port()) as sock:
        sock.sendall(whole)
        sock.shutdown(1)
        equal(answer(sock, whole), "app1")
        equal(sock.recv(1), b"")
    equal(p.take()["reason"], "ok")


def test_access_line_tells_what_the_hello_said(t):
    p = front(t)
    equal(ask(p.port(), hello.hello("APP1.example.com", alpn=(b"h2", b"http/1.1"))), "app1")
    line = p.take()
    assert line["sni"].lower() == "app1.example.com", line
    assert "h2" in str(line["alpn"]) and "http/1.1" in str(line["alpn"]), line
    equal((line["listener"], line["upstream"], line["mode"], line["tries"], line["reason"]),
          ("front", "app1", "passthrough", 1, "ok"))
    size = len(hello.hello("APP1.example.com"))
    equal((line["bytes_up"], line["bytes_down"]), (size, size + len("app1\n")))
    for key in ("connect_ms", "duration_ms", "hello_ms"):
        assert 0 <= line[key] < 60000, line


def test_client_that_goes_before_its_hello_is_logged_client_gone(t):
    p = front(t)
    for sent in (b"", hello.hello()[:1], hello.hello()[:100]):
        client_sock = client(p.port())
        client_sock.sendall(sent)
        wait_read([client_sock])
        client_sock.close()
        equal(p.take()["reason"], "client_gone", f"after {len(sent)} bytes")
    wait_until("no session is left", lambda: p.status()["sessions"] == 0, LIMIT)
