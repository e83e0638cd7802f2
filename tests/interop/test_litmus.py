#!/usr/bin/env python3
"""/uploads/ by WebDAV with other people's clients: litmus, cadaver, curl, rclone, davfs2."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from daemon import Nvrd, finish, report, skip, wait_for

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


def make_files(folder, n):
    for i in range(n):
        file = folder / f"dir {i % 7} äö" / f"file-{i:03}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(i * 331 % 50000))


def checksums(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def check_rclone(base, nvrd):
    if not shutil.which("rclone"):
        skip("rclone", "not installed")
        return
    up, down = nvrd.folder / "up", nvrd.folder / "down"
    make_files(up, 100)
    password = run("rclone", "obscure", PASSWORD).stdout.strip()
    config = nvrd.folder / "rclone.conf"
    config.write_text(f"[nvrd]\ntype = webdav\nurl = {base}/uploads\nvendor = other\nuser = {USER}\npass = {password}\n")
    rclone = ("rclone", "--config", config, "--retries", "1")
    result = run(*rclone, "sync", up, "nvrd:mirror")
    report(result.returncode == 0, "rclone syncs up", result.stdout)
    result = run(*rclone, "check", "--download", up, "nvrd:mirror")
    report(result.returncode == 0, "rclone check finds no difference", result.stdout)
    result = run(*rclone, "sync", "nvrd:mirror", down)
    report(result.returncode == 0 and checksums(up) == checksums(down), "rclone syncs down", result.stdout)
    (up / "dir 0 äö" / "file-000.bin").unlink()
    result = run(*rclone, "sync", up, "nvrd:mirror")
    report(result.returncode == 0 and checksums(up) == checksums(nvrd.store / "uploads" / "mirror"), "what is deleted goes there too", result.stdout)


@contextlib.contextmanager
def davfs(base, nvrd):
    point = pathlib.Path(tempfile.mkdtemp(prefix="nvrd-davfs-"))
    cache = pathlib.Path(tempfile.mkdtemp(prefix="nvrd-davfs-cache-"))
    cache.chmod(0o777)  # it runs as a user of its own
    secrets = nvrd.folder / "davfs2.secrets"
    secrets.write_text(f"{base}/uploads/ {USER} {PASSWORD}\n")
    secrets.chmod(0o600)
    conf = nvrd.folder / "davfs2.conf"
    conf.write_text(f"cache_dir {cache}\nask_auth 0\ndelay_upload 0\ndir_refresh 1\nsecrets {secrets}\n")
    result = run("mount.davfs", "-o", f"conf={conf}", f"{base}/uploads/", point, seconds=30)
    try:
        yield (point if os.path.ismount(point) else None), result.stdout
    finally:
        if os.path.ismount(point):
            run("umount", point, seconds=120)
        point.rmdir()
        shutil.rmtree(cache)


def check_davfs(base, nvrd):
    if not shutil.which("mount.davfs") or os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        skip("davfs2", "needs mount.davfs, root and /dev/fuse")
        return
    files = nvrd.folder / "tree"
    make_files(files, 200)
    with davfs(base, nvrd) as (point, said):
        if not point:
            skip("davfs2", "cannot mount here: " + " ".join(said.split()))
            return
        result = run("cp", "-r", files, point / "tree", seconds=300)
        report(result.returncode == 0, "davfs2: cp -r of 200 files in", result.stdout)
        report(wait_for(lambda: checksums(nvrd.store / "uploads" / "tree") == checksums(files), 60), "they arrive byte for byte")
    with davfs(base, nvrd) as (point, said):
        if not report(point, "davfs2 mounts again", said):
            return
        try:
            os.listdir(point)
        except OSError as error:  # davfs2 1.6.1 on Linux 6.18, with any server
            skip("davfs2: cp -r out", f"it cannot list directories on this kernel: {error}")
        else:
            result = run("cp", "-r", point / "tree", nvrd.folder / "tree-back", seconds=300)
            report(result.returncode == 0 and checksums(nvrd.folder / "tree-back") == checksums(files), "and out again with equal bytes", result.stdout)


def main():
    nvrd = Nvrd({"porch": {"source": '"test:"'}}, users=f'{USER}: {{password: "{PASSWORD}", role: operator}}', storage=("reserve: 1MB", "max_upload: 12MB"))
    base = f"http://{nvrd.http}"
    check_litmus(f"{base}/uploads/", nvrd.folder)
    check_curl(base, nvrd)
    check_cadaver(base, nvrd)
    check_rclone(base, nvrd)
    check_davfs(base, nvrd)
    left = [p for p in (nvrd.store / "uploads").rglob(".nvrd-part-*")]
    report(not left, "nothing half made is left", left)
    report(nvrd.stop() == 0, "nvrd ends as it should")
    finish()


main()
