"""Checks that no compiler makes: layers, formatting, headers that stand alone, sizes, complete source lists.

Prints `ok`, `FAIL` or `skip` lines for tests/run.
"""

import os
import re
import shlex
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WOLFSSL = os.path.join(ROOT, "build/deps/wolfssl/include")
LAYERS = ["base", "proto", "policy", "conf", "io", "tls", "site", "session", "process"]
PURE = ["proto", "policy"]
SYSTEM_HEADERS = {"fcntl.h", "pthread.h", "sys/epoll.h", "sys/time.h", "time.h", "unistd.h"}
FUNCTION_WARN, FUNCTION_MAX = 60, 100
FILE_WARN, FILE_MAX = 500, 700
CLANG_FORMAT = 14


def sources(*folders, ends=(".c", ".h")):
    for folder in folders:
        for base, _, names in sorted(os.walk(os.path.join(ROOT, folder))):
            for name in sorted(names):
                if name.endswith(ends):
                    yield os.path.relpath(os.path.join(base, name), ROOT)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def layer_of(path):
    """include/io/ring.h and src/io/ring.c are of the layer io."""
    return path.split("/")[1]


def check_layers():
    """No module includes one of a layer above its own."""
    for path in sources("include", "src"):
        own = layer_of(path)
        if own not in LAYERS:
            yield f"{path}: {own} is no layer"
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*(["<])([^">]+)', line)
            if not match:
                continue
            ours, target = match[1] == '"', match[2]
            layer = target.split("/")[0]
            if ours and layer not in LAYERS:
                yield f'{path}:{number}: "{target}" does not name its layer'
            elif ours and LAYERS.index(layer) > LAYERS.index(own):
                yield f'{path}:{number}: {own} is below {layer}, it must not include "{target}"'
            elif target.startswith("wolfssl/") and own != "tls":
                yield f"{path}:{number}: only tls may include wolfSSL"
            elif own in PURE and target in SYSTEM_HEADERS:
                yield f"{path}:{number}: {own} is pure, it must not include <{target}>"


def check_pairs():
    """A source's header has its name, unless it is private to its layer; every header guards itself by its path."""
    for path in sources("include", ends=(".h",)):
        guard = re.sub(r"\W", "_", path.removeprefix("include/")).upper()
        if not re.search(rf"#ifndef {guard}\n#define {guard}\n", read(path)):
            yield f"{path}: no guard {guard}"


def compile_flags():
    folders = [os.path.join(ROOT, "build/deps", name, "lib/pkgconfig") for name in ("liburing", "inih")]
    env = {**os.environ, "PKG_CONFIG_PATH": ":".join(folders)}
    found = subprocess.run(["pkgconf", "--cflags", "liburing", "inih"], env=env, capture_output=True, text=True,
                           check=True)
    flags = shlex.split(found.stdout.replace("-I", "-isystem "))
    return [*flags, "-isystem", WOLFSSL] if os.path.isdir(WOLFSSL) else flags


def check_headers():
    """Each header compiles alone."""
    flags = compile_flags()
    for path in sources("include", ends=(".h",)):
        done = subprocess.run(["gcc", "-fsyntax-only", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Werror", "-Iinclude",
                               *flags, "-x", "c", "-"], input=f'#include "{path.removeprefix("include/")}"\n',
                              cwd=ROOT, capture_output=True, text=True)
        if "wolfssl/options.h: No such file" in done.stderr and not os.path.isdir(WOLFSSL):
            continue  # a checkout without TLS
        if done.returncode:
            yield f"{path} does not compile alone:\n{done.stderr}"


def check_format():
    """Every file is as clang-format leaves it."""
    for path in sources("include", "src", "tests"):
        done = subprocess.run(["clang-format", "--dry-run", "-Werror", "--ferror-limit=1", path], cwd=ROOT,
                              capture_output=True, text=True)
        if done.returncode:
            yield f"{path}: {done.stderr.splitlines()[0]}"


def clang_format_skip():
    try:
        version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "clang-format is not installed"
    match = re.search(r"version (\d+)", version)
    if not match or int(match[1]) != CLANG_FORMAT:
        return f"clang-format {CLANG_FORMAT} decides, this is {match[1] if match else 'unknown'}"
    return None


def functions(text):
    """(line, name, length) of each function of a file in our style: its brace stands in the first column."""
    lines = text.splitlines()
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            # back over the parameters' lines to the one that does not begin with white space
            head = start - 1
            while head > 1 and lines[head - 1][:1] in (" ", "\t"):
                head -= 1
            match = re.search(r"(\w+)\(", lines[head - 1])
            yield start, match[1] if match else "?", number - start + 1
            start = None


def check_functions():
    """No function is longer than 100 lines."""
    for path in sources("src", ends=(".c",)):
        for line, name, length in functions(read(path)):
            if length > FUNCTION_MAX:
                yield f"{path}:{line}: {name} has {length} lines"
            elif length > FUNCTION_WARN:
                print(f"  note: {path}:{line}: {name} has {length} lines, think twice past {FUNCTION_WARN}")


def check_files():
    """No file is longer than 700 lines."""
    for path in sources("include", "src"):
        length = read(path).count("\n")
        if length > FILE_MAX:
            yield f"{path} has {length} lines"
        elif length > FILE_WARN:
            print(f"  note: {path} has {length} lines, a hard look is due past {FILE_WARN}")


def check_lists():
    """Every source is in a meson.build: one that is not is never compiled."""
    for listed, folder in (("src/meson.build", "src"), ("tests/meson.build", "tests")):
        text = read(listed)
        for path in sources(folder, ends=(".c",)):
            if f"'{path.removeprefix(folder + '/')}'" not in text:
                yield f"{path} is not in {listed}"


def check_text():
    """Text files end with a newline, lines without trailing white space."""
    for path in sources("include", "src", "tests", "config", "bench",
                        ends=(".c", ".h", ".py", ".ini", ".md", ".sh")):
        text = read(path)
        if text and not text.endswith("\n"):
            yield f"{path}: no newline at the end"
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                yield f"{path}:{number}: trailing white space"


CHECKS = [
    ("a layer includes only itself and those below", check_layers, None),
    ("headers guard themselves by their path", check_pairs, None),
    ("headers compile alone", check_headers, None),
    ("clang-format changes nothing", check_format, clang_format_skip),
    ("no function is too long", check_functions, None),
    ("no file is too long", check_files, None),
    ("every source is in a list", check_lists, None),
    ("white space is clean", check_text, None),
]


def main():
    failed = False
    for name, check, skip in CHECKS:
        reason = skip() if skip else None
        if reason:
            print(f"skip {name}: {reason}")
            continue
        broken = list(check())
        for text in broken:
            print(f"  {text}")
        failed |= bool(broken)
        print(f"FAIL {name}" if broken else f"ok {name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
