"""The keys of TLS as an operator meets them with -t, -T and explain."""

import os
import re

from harness import equal
from test_cli import check, refused

LEAST = """[listener front]
listen = 127.0.0.1:1
proxy_pass = 127.0.0.1:2
"""


def ends(t, more=""):
    """A file in which TLS ends, with a certificate that is there; the next line is the 7th."""
    cert, key = t.certificate("a.example")
    return f"{LEAST}mode = terminate\nssl_certificate = {cert}\nssl_certificate_key = {key}\n{more}"


def test_ending_tls_without_a_certificate_is_refused_with_its_line(t):
    refused(t, f"{LEAST}mode = terminate\n", (4, "needs a certificate: tls = NAME, or ssl_certificate"))
    refused(t, f"{LEAST}[route r]\nmode = terminate\nproxy_pass = 127.0.0.1:2\n", (5, r"\[listener front\] has none either"))
    refused(t, f"{LEAST}mode = terminate\ntls = site\n[tls sites]\nssl_certificate = a\nssl_certificate_key = b\n",
            (5, 'no \\[tls\\] section of that name; did you mean "sites"'))
    refused(t, f"{LEAST}mode = terminate\nssl_certificate = a\n", (5, "has no ssl_certificate_key"))


def test_every_mistake_in_keys_of_tls_is_told_in_one_run(t):
    refused(t, f"""{LEAST}mode = terminate
ssl_certificate = a.pem
ssl_certificate_key = a.key
ssl_ciphers = HIGH:!aNUL:!MD5
ssl_protocols = TLSv1.1 TLSv1.2
ssl_ecdh_curve = P256
ssl_alpn = h2,http/1.1
ssl_verify_client = on
ssl_preread = off
[upstream u]
server = 127.0.0.1:3
proxy_ssl_verify = off
""", (7, '`aNUL` is not a cipher.*did you mean "aNULL"'), (8, "TLSv1.1 is no longer spoken"), (9, 'did you mean "P-256"'),
            (10, "protocol ids with blanks"), (11, "needs ssl_client_certificate"), (12, "mode = terminate reads the hello"),
            (15, "only with proxy_ssl = on"))


def test_what_is_allowed_but_hardly_meant_is_warned_of_and_accepted(t):
    config = ends(t, f"""ssl_key_log = {t.path("keys")}
ssl_ciphers = ECDHE+AES
[tls unused]
ssl_certificate = {t.path("a.example.pem")}
ssl_certificate_key = {t.path("a.example.key")}
""")
    code, _, err = check(t, config.replace("127.0.0.1:1\n", "127.0.0.1:3306\n"))
    equal(code, 0, err)
    for line, lint in ((2, "L14"), (7, "L13"), (8, "L16"), (9, "L15")):
        assert re.search(rf"(?m)^{re.escape(t.path('check.ini'))}:{line}: warning: .*\({lint}\)$", err), f"{lint}:\n{err}"


def test_the_effective_file_names_the_same_files_wherever_it_is_read(t):
    config = ends(t)
    folder = os.path.dirname(t.path("a.example.pem"))
    code, first, err = check(t, config.replace(folder + "/", ""), "-T")
    equal(code, 0, err)
    assert f"\nssl_certificate = {folder}/a.example.pem\n" in first, first
    os.makedirs(t.path("elsewhere"))
    with open(t.path("elsewhere/again.ini"), "w", encoding="utf-8") as file:
        file.write(first)
    code, second, err = t.run("-T", "-c", t.path("elsewhere/again.ini"))
    equal((code, second), (0, first), err)


def test_explain_tells_which_mode_a_name_gets(t):
    config = ends(t, """[route through]
listener = front
server_name = b.example
mode = passthrough
proxy_pass = 127.0.0.1:3
[route ended]
listener = front
server_name = c.example
proxy_pass = 127.0.0.1:4
""")
    for name, mode in (("b.example", "passthrough"), ("c.example", "terminate"), ("other.example", "terminate")):
        code, out, err = check(t, config, "explain", name)
        equal(code, 0, err)
        assert re.search(rf"(?m)^  mode +{mode}$", out), f"{name}: not {mode}:\n{out}"
