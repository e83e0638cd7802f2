#!/usr/bin/env python3
"""/uploads/ by WebDAV with litmus, cadaver and curl; test_clients.py has other clients."""
import os
import re
import shutil
import subprocess

from daemon import Nvrd, finish, report, skip

USER, PASSWORD = "anna", "secret"
SUITES = ("basic", "copymove", "props", "locks", "http")


def run(*words, seconds=120, **options):
    return subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds,
                          stdin=options.pop("stdin", subprocess.DEVNULL), **options)


def check_litmus(url, folder):
    if not shutil.which("litmus"):
        skip("litmus", "not installed")
        return
    for suite in SUITES:
        result = run("litmus", url, USER, PASSWORD, cwd=folder, env={**os.environ, "TESTS": suite})
        print("# " + result.stdout.replace("\r", "\n").replace("\n", "\n# "))
        passed = re.search(r"of (\d+) tests run: (\d+) passed, 0 failed", result.stdout)
        report(bool(passed) and result.returncode == 0 and "WARNING" not in result.stdout, f"litmus {suite}: all pass without a warning")


def check_curl(base, nvrd):
    big = nvrd.folder / "big.bin"
    big.write_bytes(os.urandom(9_000_001))
    login = ("-sS", "-u", f"{USER}:{PASSWORD}")
    result = run("curl", *login, "-i", "-T", big, f"{base}/uploads/big.bin")
    report("100 Continue" in result.stdout and " 201 " in result.stdout, "curl -T puts a file, told to continue first", result.stdout)
    report((nvrd.store / "uploads" / "big.bin").read_bytes() == big.read_bytes(), "it is there byte for byte")
    result = run("curl", *login, "-i", "-H", "Transfer-Encoding: chunked", "-T", big, f"{base}/uploads/big.bin")
    report(" 204 " in result.stdout, "and again, in chunks", result.stdout)
    result = run("curl", *login, "-o", nvrd.folder / "back.bin", "-r", "1000000-", f"{base}/uploads/big.bin")
    report((nvrd.folder / "back.bin").read_bytes() == big.read_bytes()[1000000:], "a range of it comes back")
    result = run("curl", *login, "-i", "-X", "PUT", "-H", "Content-Range: bytes 0-3/9", "-d", "abcd", f"{base}/uploads/big.bin")
    report(" 400 " in result.stdout.splitlines()[0], "a part of a file is not taken", result.stdout)
    result = run("curl", *login, "-i", "-H", "If-None-Match: *", "-T", big, f"{base}/uploads/big.bin")
    report("100 Continue" not in result.stdout and " 412 " in result.stdout, "what would be refused is not even sent", result.stdout)
    big.write_bytes(bytes(12_000_001))
    result = run("curl", *login, "-i", "-T", big, f"{base}/uploads/huge.bin")
    report("100 Continue" not in result.stdout and " 413 " in result.stdout, "nor what is larger than max_upload", result.stdout)
    result = run("curl", *login, "-i", "-H", "Transfer-Encoding: chunked", "-T", big, f"{base}/uploads/huge.bin")
    report(" 413 " in result.stdout and not (nvrd.store / "uploads" / "huge.bin").exists(), "in chunks it is found out late", result.stdout)
    result = run("curl", *login, "-X", "PROPFIND", "-H", "Depth: 0", "-d",
                 '<propfind xmlns="DAV:"><prop><quota-available-bytes/><quota-used-bytes/></prop></propfind>', f"{base}/uploads/")
    quota = re.findall(r"quota-[a-z]+-bytes>(\d+)<", result.stdout)
    report(len(quota) == 2 and all(int(q) > 0 for q in quota), "the quota is told", result.stdout)


def check_cadaver(base, nvrd):
    if not shutil.which("cadaver"):
        skip("cadaver", "not installed")
        return
    (nvrd.folder / ".netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    (nvrd.folder / ".netrc").chmod(0o600)
    (nvrd.folder / "note.txt").write_text("seen by cadaver\n")
    script = "mkcol box\ncd box\nput note.txt\ncopy note.txt second.txt\nmove second.txt third.txt\npropset third.txt colour red\npropget third.txt colour\n" \
             "lock third.txt\ndiscover third.txt\nunlock third.txt\nls\ndelete note.txt\nquit\n"
    result = subprocess.run(["cadaver", f"{base}/uploads/"], input=script, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env={**os.environ, "HOME": str(nvrd.folder)}, cwd=nvrd.folder, timeout=60)
    there = sorted(p.name for p in (nvrd.store / "uploads" / "box").glob("*"))
    report(there == ["third.txt"] and "failed" not in result.stdout.lower(), "cadaver makes, puts, copies, moves, locks and deletes", result.stdout)
    report("red" in result.stdout, "and finds the property that it set", result.stdout)


def main():
    nvrd = Nvrd({"porch": {"source": '"test:"'}}, users=f'{USER}: {{password: "{PASSWORD}", role: operator}}', storage=("reserve: 1MB", "max_upload: 12MB"))
    base = f"http://{nvrd.http}"
    check_litmus(f"{base}/uploads/", nvrd.folder)
    check_curl(base, nvrd)
    check_cadaver(base, nvrd)
    left = [p for p in (nvrd.store / "uploads").rglob(".nvrd-part-*")]
    report(not left, "nothing half made is left", left)
    report(nvrd.stop() == 0, "nvrd ends as it should")
    finish()


main()
