"""The command line and the configuration as a user meets them: outputs, exit codes, errors with file and line."""

import os
import re
import socket
import subprocess
import time

from harness import SLOWER, ask, equal, is_open, read_text, unix_client
import hello

GOOD = """
    [listener front]
    listen = 127.0.0.1:1
    [sni front]
    a.example = app
    default = app
    [upstream app]
    server = 127.0.0.1:1
    """


def check(t, config, *args, env=None):
    return t.run(*(args or ("-t",)), "-c", "{conf}", config=config, env=env)


def refused(t, config, *wanted):
    """-t must fail; each of *wanted* is (line, pattern) of one error. Returns stderr."""
    code, out, err = check(t, config)
    equal((code, out), (1, ""), err)
    path = re.escape(t.path("check.ini"))
    for line, pattern in wanted:
        found = re.search(rf"(?m)^{path}:{line}: (?!warning).*{pattern}", err)
        assert found, f"no error at line {line} on {pattern!r}:\n{err}"
    count = len(re.findall(rf"(?m)^{path}:\d+: (?!warning)", err))
    assert err.endswith(f"\n{t.path('check.ini')}: {count} errors\n"), f"{count} errors printed:\n{err}"
    return err


def test_good_file_is_ok(t):
    code, out, err = check(t, GOOD)
    equal((code, out), (0, ""))
    assert err.endswith(f"{t.path('check.ini')}: configuration ok\n"), err


def test_check_opens_no_port_and_makes_no_file(t):
    port = t.port()
    with socket.create_server(("127.0.0.1", port)):
        code, _, err = check(t, f"""
            [global]
            pid_file = {t.dir}/pid
            [log access]
            path = {t.dir}/never.log
            [listener front]
            listen = 127.0.0.1:{port}
            listen = unix:{t.dir}/never.sock
            proxy_pass = 127.0.0.1:1
            access_log = access
            """)
        equal(code, 0, err)
    equal(sorted(os.listdir(t.dir)), ["check.ini"])


def test_every_error_is_told_at_once_with_its_line(t):
    refused(t, """
        [global]
        workers = many
        colour = blue
        [listener front]
        listen = 127.0.0.1:99999
        proxy_pass = nowhere
        proxy_timeout = 10
        accept_proxy_protocol = perhaps
        [route r]
        server_name = a..example
        proxy_pass = 127.0.0.1:1
        [upstream app]
        server = 127.0.0.1:1 weight=0
        balance = fastest
        [upstream empty]
        [sni nobody]
        a.example = app
        """.replace("\n        ", "\n").lstrip("\n"),
            (2, "workers"), (3, "colour"), (5, "99999"), (6, "nowhere"), (7, "10"), (8, "perhaps"),
            (10, r"a\.\.example"), (13, "weight"), (14, "fastest"), (15, "server"), (16, "nobody"))


def test_misspelt_words_are_answered_with_a_suggestion(t):
    err = refused(t, """[listener front]
listen = 127.0.0.1:1
proxy_pas = app
[upstream app]
server = 127.0.0.1:1
balanse = random
[listner other]
listen = 1
[route r]
proxy_pass = ap
""", (3, "proxy_pas"), (6, "balanse"), (7, "listner"), (10, "ap"))
    for word in ("proxy_pass", "balance", "listener", "app"):
        assert f'did you mean "{word}"?' in err, err


def test_key_given_twice_or_continued_is_an_error(t):
    refused(t, """[listener front]
listen = 127.0.0.1:1
proxy_pass = app
proxy_pass = app
on_no_sni = default
    reject
[upstream app]
server = 127.0.0.1:1
""", (4, "proxy_pass"), (6, "on_no_sni"))


def test_section_given_twice_is_an_error(t):
    refused(t, """[upstream app]
server = 127.0.0.1:1
[upstream app]
server = 127.0.0.1:2
[listener front]
listen = 127.0.0.1:1
proxy_pass = app
""", (3, "app"))


def test_default_and_proxy_pass_together_are_an_error(t):
    refused(t, """[listener front]
listen = 127.0.0.1:1
proxy_pass = app
[sni front]
default = app
[upstream app]
server = 127.0.0.1:1
""", (5, "default"))


def test_values_need_their_units_and_words(t):
    for key, value in (("proxy_timeout", "10"), ("proxy_timeout", "-5s"), ("proxy_timeout", "5 parsecs"),
                       ("preread_buffer_size", "16q"), ("max_conns", "few"), ("so_keepalive", "yes"),
                       ("so_keepalive", "1"), ("on_no_match", "drop"), ("allow", "10.0.0.0/33"), ("deny", "10.0.0.1.2"),
                       ("listen", "127.0.0.1"), ("listen", "0"), ("listen", "unix:"), ("listen", "127.0.0.1:0"),
                       ("backlog", "0"), ("accept_proxy_protocol", "on")):
        refused(t, f"[listener front]\nlisten = 127.0.0.1:1\nproxy_pass = 127.0.0.1:1\n{key} = {value}\n",
                (4, re.escape(value) if key != "accept_proxy_protocol" else "set_real_ip_from"))


def test_known_keys_that_are_not_built_yet_say_so(t):
    listener = "[listener front]\nlisten = 1\nproxy_pass = 127.0.0.1:1\n"
    for config, line in ((f"{listener}ktls = on\n", 4),
                         (f"[global]\nresolver = 127.0.0.1\n{listener}", 2),
                         (f"{listener}[upstream u]\nserver = 127.0.0.1:1\ncheck = tcp\n", 6)):
        err = refused(t, config, (line, "not supported yet"))
        assert "did you mean" not in err, err


def test_missing_file_is_an_error(t):
    for args in (("-t",), ("-T",), ()):
        code, _, err = t.run(*args, "-c", t.path("nowhere.ini"))
        equal(code, 1, err)
        assert "nowhere.ini" in err, err


def test_too_long_lines_are_errors_never_cut(t):
    refused(t, "[listener front]\nlisten = 1\nproxy_pass = 127.0.0.1:1\naccess_log = " + "x" * 17000 + "\n", (4, ""))
    refused(t, "[listener " + "n" * 250 + "]\nlisten = 1\nproxy_pass = 127.0.0.1:1\n", (1, ""))
    name, comment = "n" * 180, "x" * 15000
    code, _, err = check(t, f"[listener {name}]\nlisten = 1\nproxy_pass = 127.0.0.1:1\n# {comment}\n")
    equal(code, 0, err)


def test_comments_and_continuations_are_read(t):
    code, _, err = check(t, """
# a comment
; another
[listener front] ; behind a section
listen = 127.0.0.1:1 ; behind a value
    127.0.0.1:2
proxy_pass = app
[upstream app]
server = 127.0.0.1:1
    127.0.0.1:2 weight=2
""")
    equal(code, 0, err)


def test_include_and_environment(t):
    os.mkdir(t.path("parts"))
    for name, text in (("a.ini", "[upstream a]\nserver = 127.0.0.1:${PORT_A}\n"),
                       ("b.ini", "[upstream b]\nserver = x y z\n")):
        with open(t.path(f"parts/{name}"), "w", encoding="utf-8") as file:
            file.write(text)
    config = "[global]\ninclude = parts/*.ini\n[listener front]\nlisten = 127.0.0.1:1\nproxy_pass = a\n"
    environment = dict(os.environ, PORT_A="4711")
    code, _, err = check(t, config, env=environment)
    equal(code, 1)
    assert "parts/b.ini:2:" in err and "a.ini" not in err, err
    os.remove(t.path("parts/b.ini"))
    code, out, err = check(t, config, "-T", env=environment)
    equal(code, 0, err)
    assert "127.0.0.1:4711" in out, out
    environment.pop("PORT_A")
    code, _, err = check(t, config, env=environment)
    equal(code, 1)
    assert "PORT_A" in err and "parts/a.ini:2:" in err, err


def test_printed_file_prints_itself_again_and_serves(t):
    config = GOOD + """
    [defaults]
    proxy_timeout = 77s
    [route r]
    server_name = *.deep.example
        .apex.example
    alpn = h2
    source = 10.0.0.0/8
    tls_version = 1.3
    proxy_pass = unix:/run/none.sock
    deny = 10.1.0.0/16
    [route gone]
    server_name = gone.example
    mode = reject
    """
    code, first, err = check(t, config, "-T")
    equal(code, 0, err)
    for wanted in ("77s", "*.deep.example", ".apex.example", "10.0.0.0/8", "max_fails", "half_close_timeout"):
        assert wanted in first, f"no {wanted} in:\n{first}"
    code, second, err = check(t, first, "-T")
    equal(code, 0, err)
    equal(second, first)


def test_printed_file_behaves_as_the_file_it_was_printed_from(t):
    config = """
        [listener front]
        listen = 127.0.0.1:{front}
        [sni front]
        a.example = app
        none = app
        [upstream app]
        server = 127.0.0.1:{app}
        """
    p = t.penstock(config, app=t.backend("app").port)
    port = p.port()
    code, printed, err = t.run("-T", "-c", p.config)
    equal(code, 0, err)
    p.stop()
    q = t.penstock(printed.replace("{", "{{").replace("}", "}}"), raw=True)
    equal([ask(port, hello.hello(name)) for name in ("a.example", None, "b.example")], ["app", "app", "alert 112"])
    q.stop()


def test_version_and_help(t):
    code, out, err = t.run("-V")
    equal((code, err), (0, ""))
    assert "penstock" in out and "liburing" in out, out
    assert re.search(r"^TLS library: (wolfSSL \d+\.\d+\.\d+; assembly: (on|off)|none; assembly: off)$", out, re.M), out
    code, out, err = t.run("-h")
    equal((code, err), (0, ""))
    for word in ("-t", "-T", "-V", "-c", "explain", "check-host"):
        assert word in out, out


def test_wrong_command_line_exits_with_2(t):
    for args in (("-x",), ("--frobnicate",), ("-c",), ("reload-please",), ("explain",), ("explain", "a", "b"),
                 ("explain", "a", "--from", "nonsense"), ("-t", "extra")):
        code, out, err = t.run(*args)
        equal((code, out), (2, ""), (args, err))
        assert err, args


def failed_start(t, config, **given):
    p = t.penstock(config, ready=False, **given)
    equal(p.wait(), 1, p.err())
    assert p.err(), "a failed start must say why"
    assert "penstock: ready" not in p.err()
    return p


def test_busy_port_fails_the_start_and_leaves_nothing_behind(t):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        p = failed_start(t, """
            [global]
            pid_file = {dir}/pid
            [listener one]
            listen = 127.0.0.1:{front}
            listen = unix:{dir}/one.sock
            proxy_pass = 127.0.0.1:1
            [listener two]
            listen = 127.0.0.1:{busy}
            proxy_pass = 127.0.0.1:1
            """, busy=port)
        assert str(port) in p.err() and re.search(r"\.ini:\d+: ", p.err()), p.err()
        assert not is_open(p.port())
        equal([name for name in os.listdir(t.dir) if name in ("pid", "one.sock")], [])


def test_log_that_cannot_be_opened_fails_the_start(t):
    p = failed_start(t, """
        [log access]
        path = {dir}/no/such/folder/access.log
        [listener front]
        listen = 127.0.0.1:{front}
        listen = unix:{dir}/front.sock
        proxy_pass = 127.0.0.1:1
        """)
    assert "no/such/folder" in p.err(), p.err()
    assert not os.path.exists(t.path("front.sock"))


def test_broken_file_fails_the_start_with_all_its_errors(t):
    p = failed_start(t, "[listener front]\nlisten = 127.0.0.1:{front}\nproxy_pass = nobody\nbogus = 1\n", raw=True)
    assert ":3:" in p.err() and ":4:" in p.err(), p.err()


def test_unresolvable_server_is_an_error_with_its_line(t):
    code, _, err = check(t, """[listener front]
listen = 127.0.0.1:1
proxy_pass = app
[upstream app]
server = no-such-host.invalid:443
""")
    equal(code, 1, err)
    assert re.search(r"check\.ini:5: .*no-such-host\.invalid", err), err


def test_pid_file_holds_the_pid_while_it_runs(t):
    p = t.penstock("""
        [global]
        pid_file = {dir}/pid
        [listener front]
        listen = 127.0.0.1:{front}
        proxy_pass = 127.0.0.1:1
        """)
    equal(read_text(t.path("pid")).strip(), str(p.pid))
    p.stop()
    assert not os.path.exists(t.path("pid"))


def test_ready_is_said_when_every_port_accepts(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{one}
        listen = 127.0.0.1:{two}
        listen = unix:{dir}/front.sock
        proxy_pass = 127.0.0.1:1
        """)
    assert is_open(p.port("one")) and is_open(p.port("two"))
    unix_client(t.path("front.sock")).close()
    equal(p.err().count("penstock: ready"), 1)


def test_ready_is_told_to_systemd(t):
    path = t.path("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(10)
        p = t.penstock("""
            [listener front]
            listen = 127.0.0.1:{front}
            proxy_pass = 127.0.0.1:1
            """, env=dict(os.environ, NOTIFY_SOCKET=path))
        assert b"READY=1" in notify.recv(4096)
        p.stop()


def test_start_is_quick(t):
    begun = time.monotonic()
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        proxy_pass = 127.0.0.1:1
        """)
    assert time.monotonic() - begun < 2 * SLOWER
    p.stop()


def test_printing_to_a_closed_pipe_is_no_crash(t):
    with open(t.path("check.ini"), "w", encoding="utf-8") as file:
        file.write("\n".join(line.strip() for line in GOOD.splitlines()))
    done = subprocess.run(f"'{t.binary}' -T -c '{t.path('check.ini')}' | true; exit ${{PIPESTATUS[0]}}", shell=True,
                          executable="/bin/bash", capture_output=True, timeout=20, check=False)
    assert done.returncode in (0, 1, 141), done
