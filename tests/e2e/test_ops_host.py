"""check-host, on this host and on one that lacks things; and what a start says about it."""

import ctypes
import os
import re
import struct
import subprocess

from harness import Skip, equal, set_nofile

SIMPLE = "[listener front]\nlisten = 127.0.0.1:{front}\nproxy_pass = 127.0.0.1:1\n"


def check_host(t, prepare=None):
    done = subprocess.run([t.binary, "check-host"], capture_output=True, text=True, timeout=20, check=False, preexec_fn=prepare)
    equal(done.stderr, "")
    return done.returncode, done.stdout


def test_every_check_is_one_line(t):
    code, out = check_host(t)
    equal(code, 0, out)
    names = [re.fullmatch(r"(ok|note|remark|wrong) +([\w -]+): .+", line).group(2) for line in out.splitlines()]
    equal(names, ["kernel", "io_uring", "seccomp", "nofile", "memlock", "pipe-user-pages-soft", "somaxconn",
                  "ip_local_port_range", "low ports", "tcp_fastopen", "iowait"])


def test_few_open_files_are_a_remark_here_and_at_start(t):
    code, out = check_host(t, set_nofile(1000))
    equal(code, 0, out)
    assert re.search(r"(?m)^remark nofile: only 1000 files .*LimitNOFILE=1048576", out), out
    p = t.penstock(SIMPLE, prepare=set_nofile(1000))
    lines = [line for line in p.err().splitlines() if "check-host has remarks:" in line]
    equal(len(lines), 1, p.err())
    assert re.search(r" warn: penstock: check-host has remarks: .*\bnofile\b", lines[0]), lines


def forbid_io_uring():
    """For *prepare*: a seccomp filter as Docker's own: io_uring_setup fails with EPERM."""
    libc = ctypes.CDLL(None, use_errno=True)
    rows = [(0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in rows))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rows), ctypes.addressof(code)))

    def prepare(_keep=code):
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
            os._exit(77)
    return prepare


def test_a_seccomp_filter_is_named_and_nothing_starts(t):
    prepare = forbid_io_uring()
    if subprocess.run(["true"], preexec_fn=prepare, check=False).returncode == 77:
        raise Skip("no seccomp filters here")
    code, out = check_host(t, prepare)
    equal(code, 1, out)
    assert re.search(r"(?m)^wrong +io_uring: .*seccomp", out), out
    assert re.search(r"(?m)^wrong +seccomp: .*docker run --security-opt seccomp=", out), out
    p = t.penstock(SIMPLE, ready=False, prepare=prepare)
    equal(p.wait(), 1)
    equal(p.err().count("\n"), 1, p.err())
    assert "seccomp" in p.err(), p.err()


def test_the_profile_for_docker_is_json_and_allows_io_uring(t):
    import json
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(root, "config/seccomp/docker.json"), encoding="utf-8") as file:
        profile = json.load(file)
    allowed = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    equal({"io_uring_setup", "io_uring_enter", "io_uring_register", "splice", "execve"} - allowed, set())
    equal({"ptrace", "mount", "bpf", "kexec_load", "init_module", "keyctl"} & allowed, set())
