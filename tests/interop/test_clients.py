#!/usr/bin/env python3
"""The tree in other people's clients: davfs2, rclone, lftp, cadaver, GNOME's gio, and the packages `webdav` and `basic-ftp` of npm.

What tests/interop/test_litmus.py, test_ftp.py, test_tree.py and test_search.py ask of clients is not asked again. Parts may be named:
davfs, rclone, lftp, cadaver, gio, npm.
"""
import asyncio
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile

from daemon import HERE, Nvrd, finish, report, skip, wait_for
from scripted_camera import on_loop

USER, PASSWORD = "anna", "secret"
FILES, RECORDINGS, DAYS = 200, 10000, 4


def run(*words, seconds=120, **options):
    return subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds,
                          **({"stdin": subprocess.DEVNULL} if "input" not in options else {}), **options)


def make_files(folder, n):
    for i in range(n):
        file = folder / f"dir {i % 7} äö" / f"file-{i:03}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(i * 331 % 50000))


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def make_recordings(nvrd):
    """Ten thousand names for one recording, with their rows, so that the next start finds everything as it should be."""
    source = nvrd.files("porch")[0]
    rows = []
    for i in range(RECORDINGS):
        day, second = divmod(i, RECORDINGS // DAYS)
        path = f"recordings/porch/2020-01-0{day + 1}/{second // 3600:02}-{second // 60 % 60:02}-{second % 60:02}+0000.mp4"
        rows.append((path, path.rpartition("/")[0], str(source.relative_to(nvrd.store))))
    for folder in sorted({folder for _, folder, _ in rows}):
        (nvrd.store / folder).mkdir()
    for path, _, _ in rows:
        os.link(source, nvrd.store / path)
    with sqlite3.connect(nvrd.store / "nvrd.db") as database:
        database.executemany("insert into segments (camera, stream, volume, path, folder, start_us, end_us, bytes, codecs, width, height, state, boot_us, fragments)"
                             " select camera, stream, volume, ?, ?, start_us, end_us, bytes, codecs, width, height, state, boot_us, fragments from segments where path = ?", rows)
    return {path for path, _, _ in rows}


def start():
    """An nvrd with many recordings, and a user for all protocols."""
    nvrd = Nvrd({"porch": {"source": '"test:"'}}, segment="2s", users=f'{USER}: {{password: "{PASSWORD}", role: operator}}', login=(USER, PASSWORD),
                storage=("reserve: 1MB",), listen=('ftp: "127.0.0.1:0"', "ftp_passive: 42000-42999"))
    wait_for(lambda: nvrd.metric('nvrd_recorder_segments_total{camera="porch"}') >= 1, 30, "a recording")
    nvrd.stop()
    nvrd.names = make_recordings(nvrd)
    nvrd.configure({"porch": {"source": '"upload:"'}})
    nvrd.start()
    report(wait_for(lambda: nvrd.metric("nvrd_catalogue_segments") > RECORDINGS, 60), f"there are {RECORDINGS} recordings", nvrd.log()[-1500:])
    nvrd.ftp = int(re.findall(r"ftp://\S+:(\d+)/", nvrd.log())[-1])
    nvrd.home = nvrd.folder / "home"
    nvrd.home.mkdir()
    nvrd.environment = {**os.environ, "HOME": str(nvrd.home), "XDG_RUNTIME_DIR": str(nvrd.home)}
    return nvrd


def uploaded(nvrd, name):
    return nvrd.store / "uploads" / name


# --- davfs2 ---

@contextlib.contextmanager
def davfs(nvrd, name):
    """Where the collection is mounted, or None; and what mount.davfs said."""
    address = f"http://{nvrd.http}/{name}/"
    point = pathlib.Path(tempfile.mkdtemp(prefix="nvrd-davfs-"))
    cache = pathlib.Path(tempfile.mkdtemp(prefix="nvrd-davfs-cache-"))
    cache.chmod(0o777)  # it runs as a user of its own
    secrets, conf = nvrd.folder / "davfs2.secrets", nvrd.folder / "davfs2.conf"
    secrets.write_text(f"{address} {USER} {PASSWORD}\n")
    secrets.chmod(0o600)
    # Linux 6.18 reads directories in larger pieces than davfs2 1.6's own 16 KiB, which it answers with EINVAL
    conf.write_text(f"cache_dir {cache}\nask_auth 0\ndelay_upload 0\nbuf_size 64\nsecrets {secrets}\n")
    result = run("mount.davfs", "-o", f"conf={conf}", address, point, seconds=30)
    try:
        yield (point if os.path.ismount(point) else None), result.stdout
    finally:
        if os.path.ismount(point):
            report(run("umount", point, seconds=120).returncode == 0, f"davfs2 unmounts /{name}/")
        point.rmdir()
        shutil.rmtree(cache)


def check_davfs(nvrd):
    if not shutil.which("mount.davfs") or os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        skip("davfs2", "needs mount.davfs, root and /dev/fuse")
        return
    files, back = nvrd.folder / "dav-in", nvrd.folder / "dav-out"
    make_files(files, FILES)
    with davfs(nvrd, "uploads") as (point, said):
        if not point:
            skip("davfs2", "cannot mount here: " + " ".join(said.split()))
            return
        result = run("cp", "-r", files, point / "davfs", seconds=300)
        report(result.returncode == 0, f"davfs2: cp -r of {FILES} files in", result.stdout)
    report(contents(uploaded(nvrd, "davfs")) == contents(files), "they arrived byte for byte")
    with davfs(nvrd, "uploads") as (point, said):
        result = run("cp", "-r", point / "davfs", back, seconds=300)
        report(result.returncode == 0 and contents(back) == contents(files), "davfs2: cp -r out again, byte for byte", result.stdout)
        result = run("rm", "-r", point / "davfs")
        report(result.returncode == 0 and not uploaded(nvrd, "davfs").exists(), "davfs2: rm -r", result.stdout)
    with davfs(nvrd, "recordings") as (point, said):
        result = run("find", point, "-name", "*.mp4", "-printf", "%P %s\n")
        size = nvrd.files("porch")[0].stat().st_size
        found = dict(line.rsplit(" ", 1) for line in result.stdout.splitlines())
        wanted = {name.partition("/")[2]: str(size) for name in nvrd.names}
        report(result.returncode == 0 and wanted.items() <= found.items(), f"davfs2: find shows {len(found)} recordings with their sizes", result.stdout[:500])
        name = min(wanted)
        report((point / name).read_bytes() == (nvrd.store / "recordings" / name).read_bytes(), "davfs2 reads one of them")
        result = run("touch", point / "porch" / "new")
        report(result.returncode != 0 and not (nvrd.store / "recordings" / "porch" / "new").exists(), "and writes nothing there", result.stdout)


# --- rclone ---

def rclone(nvrd, *words):
    return run("rclone", "--config", "/dev/null", "--retries", "1", *words, env=nvrd.environment)


def check_rclone(nvrd):
    if not shutil.which("rclone"):
        skip("rclone", "not installed")
        return
    password = run("rclone", "obscure", PASSWORD).stdout.strip()
    login = f"user={USER},pass={password}"
    host, port = nvrd.http.split(":")
    remotes = {"WebDAV": f":webdav,url='http://{host}:{port}',vendor=other,{login}:",
               "FTP with TLS": f":ftp,host=127.0.0.1,port={nvrd.ftp},{login},explicit_tls=true,no_check_certificate=true:"}
    for label, remote in remotes.items():
        name = label.split()[0].lower()
        up, down, there = nvrd.folder / f"{name}-up", nvrd.folder / f"{name}-down", uploaded(nvrd, f"rclone-{name}")
        make_files(up, FILES)
        result = rclone(nvrd, "sync", up, f"{remote}/uploads/{there.name}")
        report(result.returncode == 0 and contents(there) == contents(up), f"rclone sync up by {label}", result.stdout[-2000:])
        result = rclone(nvrd, "check", "--download", up, f"{remote}/uploads/{there.name}")
        report(result.returncode == 0, f"rclone check by {label} finds no difference", result.stdout[-2000:])
        (there / "dir 1 äö" / "file-001.bin").write_bytes(b"x" * 331)  # as large as before
        result = rclone(nvrd, "check", "--download", up, f"{remote}/uploads/{there.name}")
        report(result.returncode != 0 and "1 differences found" in result.stdout, f"and one when there is one, by {label}", result.stdout[-2000:])
        (up / "dir 0 äö" / "file-000.bin").unlink()
        shutil.rmtree(up / "dir 1 äö")
        result = rclone(nvrd, "sync", up, f"{remote}/uploads/{there.name}")
        report(result.returncode == 0 and contents(there) == contents(up), f"what is gone goes there too, by {label}", result.stdout[-2000:])
        result = rclone(nvrd, "sync", f"{remote}/uploads/{there.name}", down)
        report(result.returncode == 0 and contents(down) == contents(up), f"rclone sync down by {label}", result.stdout[-2000:])
        result = rclone(nvrd, "lsf", "-R", "--files-only", f"{remote}/recordings/porch")
        wanted = {name.partition("porch/")[2] for name in nvrd.names}
        report(wanted <= set(result.stdout.splitlines()), f"rclone lists all recordings by {label}", result.stdout[:500])


# --- lftp ---

class Cutting:
    """Stands between an FTP client and nvrd. When so many bytes of data have come by, the first of `cuts`, all connections are reset; and so on."""

    def __init__(self, port, cuts):
        self.port, self.cuts, self.transferred = port, list(cuts), 0
        self.commands, self.writers, self.servers = [], set(), []
        self.stored, self.file, self.at, self.rest = {}, None, 0, 0  # what the client sent for each file, wherever it went on
        self.address = on_loop(self.listen(port, False))

    async def listen(self, port, is_data):
        async def on_client(reader, writer):
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
            self.writers |= {writer, there_writer}
            with contextlib.suppress(OSError):
                await asyncio.gather(self.pump(reader, there_writer, is_data, True), self.pump(there_reader, writer, is_data, False))
            for end in (writer, there_writer):
                self.writers.discard(end)
                end.close()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        server = await asyncio.start_server(on_client, sock=listener)
        self.servers.append(server)
        return server.sockets[0].getsockname()[1]

    async def pump(self, reader, writer, is_data, is_client):
        while piece := await reader.read(16384):
            if is_data:
                if is_client:
                    self.keep(piece)
                self.count(len(piece))
            elif is_client:
                for line in piece.decode().splitlines():
                    self.note(line)
            elif match := re.search(rb"\(\|\|\|(\d+)\|\)", piece):
                piece = piece.replace(match[0], b"(|||%d|)" % await self.listen(int(match[1]), True))
            writer.write(piece)
            await writer.drain()
        writer.write_eof()

    def note(self, line):
        self.commands.append(line)
        word, _, argument = line.partition(" ")
        if word == "REST":
            self.rest = int(argument)
        elif word in ("STOR", "RETR"):
            self.file, self.at, self.rest = argument, self.rest, 0

    def keep(self, piece):
        stored = self.stored.setdefault(self.file, bytearray())
        stored[self.at:self.at + len(piece)] = piece
        self.at += len(piece)

    def count(self, n):
        self.transferred += n
        if not self.cuts or self.transferred < self.cuts[0]:
            return
        self.cuts.pop(0)
        self.commands.append("cut")
        for writer in self.writers:
            writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self.writers.clear()

    def close(self):
        async def close():
            for server in self.servers:
                server.close()
        on_loop(close())


def check_lftp(nvrd):
    if not shutil.which("lftp"):
        skip("lftp", "not installed")
        return
    source, target, there = nvrd.folder / "lftp-source", nvrd.folder / "lftp-target", uploaded(nvrd, "lftp")
    make_files(source, 10)
    (source / "big.bin").write_bytes(os.urandom(12_000_000))
    # lftp takes an upload for done whose last byte it could write, also when the connection is cut then: little may be on the way, and it looks once more
    settings = "set net:socket-buffer 65536; set net:max-retries 20; set net:reconnect-interval-base 1; set net:reconnect-interval-max 1; set ftp:prefer-epsv yes; set ftp:ssl-allow no; set cmd:fail-exit yes"
    for label, command, made in (("mirror -R", f"mirror -R -c {source} /uploads/lftp", there), ("mirror", f"mirror -c /uploads/lftp {target}", target)):
        cutting = Cutting(nvrd.ftp, (4_000_000, 7_000_000, 10_000_000))
        result = run("lftp", "-p", cutting.address, "-u", f"{USER},{PASSWORD}", "-e", f"{settings}; {command}; {command}; bye", "127.0.0.1", env=nvrd.environment)
        cutting.close()
        expected = contents(source if label == "mirror -R" else there)
        if sent := cutting.stored.get("big.bin"):
            # under load lftp 4.9.2 may go on with what it had read for the place where it was cut off
            if bytes(sent) != expected["big.bin"]:
                print(f"# {label}: lftp sent {len(sent)} bytes that are not those of its file", flush=True)
            expected["big.bin"] = bytes(sent)
        report(result.returncode == 0 and not cutting.cuts and contents(made) == expected, f"lftp {label} over three cut connections", (cutting.cuts, result.stdout[-2000:]))
        offsets = [int(word.partition(" ")[2]) for word in cutting.commands if re.match("REST [1-9]", word)]
        report(len(offsets) >= 2 and offsets == sorted(offsets) and offsets[-1] > 2_000_000, f"{label} went on from where it was: {offsets}", cutting.commands[-40:])


# --- cadaver ---

def check_cadaver(nvrd):
    if not shutil.which("cadaver"):
        skip("cadaver", "not installed")
        return
    (nvrd.home / ".netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    (nvrd.home / ".netrc").chmod(0o600)
    path = min(nvrd.names)
    folder, _, name = path.rpartition("/")
    script = f"ls\npropnames {name}\npropset {name} colour red\nput {nvrd.file}\nlock {name}\nunlock {name}\nquit\n"
    said = run("cadaver", f"http://{nvrd.http}/{folder}/", input=script, env=nvrd.environment).stdout
    report(len(set(re.findall(r"\d\d-\d\d-\d\d\+0000\.mp4", said))) == RECORDINGS // DAYS, "cadaver lists a day's recordings", said[-1000:])
    report(re.search(r"propset|Setting property", said) and "403 Forbidden" in said.partition("Setting property")[2].partition("\n")[0] + said.partition("Setting property")[2].partition("\n")[2][:200],
           "cadaver is told that a recording takes no property", said[-1500:])
    report(re.search(r"Uploading .*failed:\s+403 Forbidden", said, re.S), "and no file", said[-1500:])
    report(re.search(r"Locking .*succeeded", said) and re.search(r"Unlocking .*succeeded", said), "but a lock", said[-1500:])


# --- GNOME ---

def check_gio(nvrd):
    if not all(map(shutil.which, ("gio", "dbus-run-session"))) or not pathlib.Path("/usr/share/gvfs/mounts/dav.mount").exists():
        skip("gio", "needs gvfs-backends and dbus-run-session")
        return
    source, back = nvrd.folder / "gio.bin", nvrd.folder / "gio-back.bin"
    source.write_bytes(os.urandom(3_000_001))
    for label, root in (("WebDAV", f"dav://{USER}@{nvrd.http}"), ("FTP", f"ftp://{USER}@127.0.0.1:{nvrd.ftp}")):
        top = f"{root}/uploads/gio"
        script = f"""
printf '{PASSWORD}\\n' | gio mount {root}/uploads/
gio mkdir {top}
gio copy {source} {top}/a.bin
gio rename {top}/a.bin 'b ä.bin'
gio copy '{top}/b ä.bin' {back}
gio info -a standard::size '{top}/b ä.bin' | tail -n 1
gio list {top}
gio remove '{top}/b ä.bin'
gio remove {top}
gio list {root}/uploads/ | grep -c gio
"""
        back.unlink(missing_ok=True)
        result = run("timeout", "60", "dbus-run-session", "--", "sh", "-c", script, env={**nvrd.environment, "LC_ALL": "C.UTF-8"}, seconds=90)
        report(back.exists() and back.read_bytes() == source.read_bytes(), f"gio by {label}: a file there and back", result.stdout[-3000:])
        report("standard::size: 3000001\nb ä.bin\n0\n" in result.stdout and not uploaded(nvrd, "gio").exists(), f"gio by {label}: names, sizes, and gone again", result.stdout[-3000:])


# --- npm ---

def check_npm(nvrd):
    if not shutil.which("node") or not os.environ.get("NODE_PATH"):
        skip("npm's webdav and basic-ftp", "needs node, and where the packages are in NODE_PATH")
        return
    source = nvrd.folder / "npm-source"
    make_files(source, 30)
    (source / "dir 0 äö" / "file-000.bin").unlink()  # empty: basic-ftp 5.0.5 may hang up in the middle of TLS's handshake then
    job = {"http": f"http://{nvrd.http}", "port": nvrd.ftp, "user": USER, "password": PASSWORD, "source": str(source), "target": str(nvrd.folder / "npm-target"),
           "day": "/" + min(nvrd.names).rpartition("/")[0], "recordings": RECORDINGS // DAYS, "size": nvrd.files("porch")[0].stat().st_size}
    result = subprocess.run(["node", str(HERE / "clients.mjs")], input=json.dumps(job), capture_output=True, text=True, timeout=120)
    told = [json.loads(line) for line in result.stdout.splitlines()]
    report(result.returncode == 0 and told, "npm's clients came to their end", result.stderr[-2000:])
    for row in told:
        report(row["holds"], row["name"], row["detail"])
    report(contents(nvrd.folder / "npm-target") == contents(source), "basic-ftp took back what it had put there")


PARTS = {"davfs": check_davfs, "rclone": check_rclone, "lftp": check_lftp, "cadaver": check_cadaver, "gio": check_gio, "npm": check_npm}


def main():
    nvrd = start()
    for part in sys.argv[1:] or PARTS:
        PARTS[part](nvrd)
    left = list((nvrd.store / "uploads").rglob(".nvrd-part-*"))
    report(not left, "nothing half made is left", left)
    report(nvrd.stop() == 0, "nvrd ends as it should")
    finish()


main()
