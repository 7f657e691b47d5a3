"""ClientHellos byte by byte, well formed and otherwise. Nothing here opens a socket."""

import os
import struct

SERVER_NAME, SUPPORTED_GROUPS, EC_POINTS, SIGNATURES, ALPN = 0, 10, 11, 13, 16
EXTENDED_MASTER, SESSION_TICKET, SUPPORTED_VERSIONS, PSK_MODES, KEY_SHARE = 23, 35, 43, 45, 51
ECH, RENEGOTIATION, PADDING = 0xFE0D, 0xFF01, 21
GREASE = 0x3A3A
X25519MLKEM768, X25519, P256, P384 = 0x11EC, 0x001D, 0x0017, 0x0018


def u8(value):
    return struct.pack("!B", value)


def u16(value):
    return struct.pack("!H", value)


def u24(value):
    return struct.pack("!I", value)[1:]


def vec8(data):
    return u8(len(data)) + data


def vec16(data):
    return u16(len(data)) + data


def extension(kind, data):
    return u16(kind) + vec16(data)


def host_name(name):
    """One entry of a ServerNameList."""
    return u8(0) + vec16(name)


def server_name(*names):
    return extension(SERVER_NAME, vec16(b"".join(host_name(name) for name in names)))


def key_share(group, size):
    return u16(group) + vec16(bytes(7 * i % 251 for i in range(size)))


def extensions(sni, alpn, versions, post_quantum, grease, ech):
    groups = ([GREASE] if grease else []) + ([X25519MLKEM768] if post_quantum else []) + [X25519, P256, P384]
    shares = b"".join([key_share(GREASE, 1) if grease else b"",
                       key_share(X25519MLKEM768, 1216) if post_quantum else b"", key_share(X25519, 32)])
    found = [extension(GREASE, b"")] if grease else []
    if sni is not None:
        found.append(server_name(sni))
    found += [extension(EXTENDED_MASTER, b""), extension(RENEGOTIATION, b"\0"),
              extension(SUPPORTED_GROUPS, vec16(b"".join(map(u16, groups)))),
              extension(EC_POINTS, vec8(b"\0")), extension(SESSION_TICKET, b"")]
    if alpn:
        found.append(extension(ALPN, vec16(b"".join(map(vec8, alpn)))))
    found.append(extension(SIGNATURES, vec16(b"".join(map(u16, (0x0403, 0x0804, 0x0401, 0x0503, 0x0805))))))
    if 0x0304 in versions:
        listed = ([GREASE] if grease else []) + list(versions)
        found += [extension(KEY_SHARE, vec16(shares)), extension(PSK_MODES, vec8(b"\1")),
                  extension(SUPPORTED_VERSIONS, vec8(b"".join(map(u16, listed))))]
    if ech:
        found.append(extension(ECH, b"\0" + u16(1) + u16(1) + b"\x2a" + vec16(os.urandom(32)) + vec16(os.urandom(208))))
    if grease:
        found.append(extension(0x6A6A, b"\0"))
    return b"".join(found)


def body(sni=b"app1.example.com", alpn=(b"h2", b"http/1.1"), versions=(0x0304, 0x0303), post_quantum=False,
         grease=True, ech=False, session_id=bytes(range(32)), legacy=0x0303, ciphers=None, compression=b"\0",
         raw_extensions=None, more_extensions=b""):
    """The ClientHello without its handshake header. sni=None sends no server_name at all."""
    suites = ciphers if ciphers is not None else b"".join(
        map(u16, ([GREASE] if grease else []) + [0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030]))
    if raw_extensions is None:
        raw_extensions = extensions(sni, alpn, versions, post_quantum, grease, ech)
    tail = vec16(raw_extensions + more_extensions) if raw_extensions is not False else b""
    return u16(legacy) + bytes(range(32)) + vec8(session_id) + vec16(suites) + vec8(compression) + tail


def handshake(data, kind=1):
    return u8(kind) + u24(len(data)) + data


def records(data, sizes=(), version=0x0301, kind=0x16):
    """Cuts *data* into records of the given sizes, the rest into one more."""
    out, at = b"", 0
    for size in sizes:
        out += u8(kind) + u16(version) + vec16(data[at:at + size])
        at += size
    if at < len(data) or not sizes:
        out += u8(kind) + u16(version) + vec16(data[at:])
    return out


def hello(sni=b"app1.example.com", sizes=(), record_version=0x0301, **how):
    if isinstance(sni, str):
        sni = sni.encode()
    return records(handshake(body(sni=sni, **how)), sizes, record_version)


def padded(size, sni=b"app1.example.com", **how):
    """A hello of exactly *size* bytes in all its records (each at most 16384 bytes), padded by extension 21."""
    plain = len(handshake(body(sni=sni, **how)))
    headers = 5 * (1 if size <= 16384 + 5 else 2)
    fill = size - headers - plain - 4
    assert fill >= 0
    data = handshake(body(sni=sni, more_extensions=extension(PADDING, bytes(fill)), **how))
    out = records(data, (16384,) if headers > 5 else ())
    assert len(out) == size
    return out


SSLV2_HELLO = bytes.fromhex("802e0103010015000000100100800300800700c0050080060040") + bytes(22)
HTTP_REQUEST = b"GET / HTTP/1.1\r\nHost: app1.example.com\r\n\r\n"
SSH_BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
PG_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


def malformed():
    """(label, bytes): none of these is a ClientHello, each breaks one rule."""
    good = handshake(body())
    plain = extensions(None, (), (0x0304, 0x0303), False, False, False)

    def named(raw, **how):
        return records(handshake(body(raw_extensions=raw + plain, **how)))

    def sni(data):
        return named(extension(SERVER_NAME, data))

    def entry(name):
        return sni(vec16(host_name(name)))

    def longer(delta):
        return u8(1) + u24(len(good) - 4 + delta) + good[4:]

    label = b"a" * 63
    cases = {
        "major version 2": b"\x16\x02" + records(good)[2:],
        "major version 4": b"\x16\x04" + records(good)[2:],
        "major version 0": b"\x16\x00" + records(good)[2:],
        "record of change_cipher_spec": records(b"\x01", kind=0x14),
        "record of alert": records(b"\x01\x00", kind=0x15),
        "record of application data": records(good, kind=0x17),
        "SSLv2 hello": SSLV2_HELLO,
        "empty record": records(b"") + records(good),
        "empty record in the middle": records(good[:80]) + records(b"") + records(good[80:]),
        "record longer than 2^14": b"\x16\x03\x01" + u16(16385) + good + bytes(64),
        "record of 65535": b"\x16\x03\x01\xff\xff" + good + bytes(64),
        "second record is no handshake": records(good[:60]) + records(good[60:], kind=0x17),
        "second record of alert": records(good[:60]) + records(b"\x01\x00", kind=0x15),
        "second record of major version 4": records(good[:60]) + b"\x16\x04" + records(good[60:])[2:],
        "handshake is ServerHello": records(handshake(body(), kind=2)),
        "handshake is HelloRequest": records(handshake(b"", kind=0)),
        "handshake is Finished": records(handshake(bytes(12), kind=20)),
        "empty hello": records(handshake(b"")),
        "hello ends in its random": records(handshake(body()[:20])),
        "hello ends in its session id": records(handshake(body()[:40])),
        "hello ends in its ciphers": records(handshake(body()[:72])),
        "hello length one too small": records(longer(-1)),
        "session id of 33": records(handshake(body(session_id=bytes(33)))),
        "session id of 255": records(handshake(body(session_id=bytes(255)))),
        "no cipher": records(handshake(body(ciphers=b""))),
        "odd cipher length": records(handshake(body(ciphers=b"\x13\x01\x13"))),
        "no compression method": records(handshake(body(compression=b""))),
        "bytes behind the extensions": records(handshake(body() + b"\0")),
        "one byte of extensions length": records(handshake(body(raw_extensions=False) + b"\0")),
        "extensions longer than the hello": records(handshake(body(raw_extensions=False) + u16(500) + plain)),
        "extensions shorter than their content": records(
            handshake(body(raw_extensions=False) + u16(len(plain) - 1) + plain)),
        "extension longer than the extensions": named(u16(SERVER_NAME) + u16(9000)),
        "extension header cut": records(handshake(body(raw_extensions=plain + b"\0\0\0"))),
        "server_name of no bytes": sni(b""),
        "server_name of one byte": sni(b"\0"),
        "server_name list empty": sni(vec16(b"")),
        "server_name list longer than its extension": sni(u16(60) + host_name(b"a.example")),
        "server_name list shorter than its extension": sni(vec16(host_name(b"a.example")) + b"\0"),
        "host name longer than its list": sni(vec16(u8(0) + u16(200) + b"a.example")),
        "entry cut behind its type": sni(vec16(b"\0")),
        "host name empty": entry(b""),
        "two host names": sni(vec16(host_name(b"app1.example.com") + host_name(b"app2.example.com"))),
        "the same host name twice": sni(vec16(host_name(b"app1.example.com") * 2)),
        "two server_name extensions": named(server_name(b"app1.example.com") * 2),
        "NUL in the name": entry(b"app1.example.com\0.evil"),
        "NUL alone": entry(b"\0"),
        "UTF-8 name": entry("bücher.example".encode()),
        "Latin-1 name": entry(b"b\xfccher.example"),
        "name of 254": entry(b".".join([label, label, label, b"b" * 62])),
        "name of 300": entry(b".".join([label] * 5)[:300]),
        "empty label in the middle": entry(b"app1..example.com"),
        "empty label in front": entry(b".app1.example.com"),
        "only a dot": entry(b"."),
        "two trailing dots": entry(b"app1.example.com.."),
    }
    bare = extensions(b"app1.example.com", (), (0x0304, 0x0303), False, False, False)
    for what, data in {"ALPN list empty": vec16(b""), "ALPN protocol empty": vec16(b"\0"),
                       "ALPN protocol longer than its list": vec16(b"\x09h2"), "ALPN of no bytes": b"",
                       "ALPN list longer than its extension": u16(40) + b"\x02h2"}.items():
        cases[what] = records(handshake(body(raw_extensions=bare + extension(ALPN, data))))
    return list(cases.items())
