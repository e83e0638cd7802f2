#!/usr/bin/env python3
"""Large files on their way to clients, past the process by sendfile(2) and through it by TLS: every byte, whatever happens to the file,
the client or the disk meanwhile. And a disk that nobody hears of for a while (tests/faults/cold.c)."""
import contextlib
import email
import email.policy
import ftplib
import os
import pathlib
import random
import re
import socket
import ssl
import struct
import subprocess
import urllib.request

from daemon import HERE, Nvrd, finish, report, wait_for

SIZE = (48 << 20) + 4321
DATA = random.Random(1).randbytes(SIZE)
KIB = 1 << 10
STALLED = 24  # clients
# lengths around what is read at once, and what is sent at once
LENGTHS = [1, 4096, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, 512 * KIB, 1000000, (8 << 20) - 1, (8 << 20) + 1]


class Server(Nvrd):
    def __init__(self):
        super().__init__({"porch": {"source": '"test:"'}}, segment="1h", https=True, listen=('ftp: "127.0.0.1:0"', "ftp_passive: 40500-40600"), start=False)
        shim = self.folder / "cold.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", shim, HERE.parent / "faults" / "cold.c", "-ldl"], check=True)
        self.cold = self.folder / "cold"
        self.environment = {"LD_PRELOAD": str(shim), "NVRD_TEST_COLD": str(self.cold), "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        self.uploads = self.store / "uploads"
        self.start()
        self.ftp = int(re.findall(r"ftp://127\.0\.0\.1:(\d+)/", self.log())[-1])
        self.put("big.bin")

    def put(self, name):
        wait_for(self.uploads.is_dir, 10)
        (self.uploads / name).write_bytes(DATA)
        return self.uploads / name

    def open_files(self):
        """How many of uploads/."""
        links = []
        for link in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                links.append(os.readlink(link))
        return sum(".bin" in link for link in links)

    def resident(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1]) * KIB


def get(base, path="uploads/big.bin", **headers):
    context = ssl._create_unverified_context() if base.startswith("https") else None
    with urllib.request.urlopen(urllib.request.Request(f"{base}/{path}", headers=headers), timeout=60, context=context) as answer:
        return answer.read(), answer.headers


def check_whole_and_ranges(base, label):
    report(get(base)[0] == DATA, f"{label}: the whole file")
    dice, wrong = random.Random(2), []
    for n in LENGTHS:
        at = dice.randrange(SIZE - n)
        for first, last, expected in ((at, at + n - 1, DATA[at:at + n]), (SIZE - n, "", DATA[-n:])):
            if get(base, Range=f"bytes={first}-{last}")[0] != expected:
                wrong.append((first, last))
    report(not wrong, f"{label}: ranges of all lengths", wrong)
    # large and small ones, which go different ways
    wanted = [(0, 9), (1000000, 2999999), (4000000, 4000099), (5000000, SIZE - 1000), (SIZE - 10, SIZE - 1)]
    body, headers = get(base, Range="bytes=" + ",".join(f"{a}-{b}" for a, b in wanted))
    message = email.message_from_bytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body, policy=email.policy.HTTP)
    parts = [part.get_payload(decode=True) for part in message.iter_parts()]
    report(parts == [DATA[a:b + 1] for a, b in wanted], f"{label}: several ranges in one answer")


def read_answer(stream):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        head += line
        if not line:
            return head
    return stream.read(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))


def ask(nvrd, name="big.bin", receive=None, n=1):
    """A connection on which a file was asked for n times."""
    client = socket.socket()
    if receive:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    client.settimeout(60)
    client.connect(("127.0.0.1", int(nvrd.http.rpartition(":")[2])))
    client.sendall(f"GET /uploads/{name} HTTP/1.1\r\nHost: {nvrd.http}\r\n\r\n".encode() * n)
    return client


def check_one_after_the_other(nvrd):
    client = ask(nvrd, n=3)
    with client, client.makefile("rb") as stream:
        answers = [read_answer(stream) for _ in range(3)]
    report(all(answer == DATA for answer in answers), "three on one connection, asked for at once")
    client = ask(nvrd)
    client.shutdown(socket.SHUT_WR)
    with client, client.makefile("rb") as stream:
        report(read_answer(stream) == DATA, "whole, though the client has shut its end")


def check_recording(nvrd):
    """The file grows while it is sent: what it was when it was opened comes."""
    file = wait_for(lambda: next((f for f in nvrd.files("porch") if f.stat().st_size > 300000), None), 180, "a recording")
    body = nvrd.get("/" + str(file.relative_to(nvrd.store)).replace("+", "%2B"))
    report(len(body) > 256 * KIB and file.read_bytes().startswith(body), "a recording that is being written", len(body))


def check_ftp(nvrd):
    for label, kind in (("FTP", ftplib.FTP), ("FTP by TLS", lambda **rest: ftplib.FTP_TLS(context=ssl._create_unverified_context(), **rest))):
        client = kind(timeout=60)
        client.connect("127.0.0.1", nvrd.ftp)
        client.login("anonymous", "x")
        if isinstance(client, ftplib.FTP_TLS):
            client.prot_p()
        for rest in (None, 1, SIZE - 300 * KIB, SIZE - 7, SIZE):
            got = bytearray()
            client.retrbinary("RETR /uploads/big.bin", got.extend, rest=rest)
            if got != DATA[rest or 0:]:
                report(False, f"{label}: RETR from {rest}", len(got))
        report(True, f"{label}: RETR, whole and from anywhere")
        client.close()


def check_file_changes(nvrd):
    """What was opened is sent, as long as it is there."""
    for what, change in (("deleted", lambda file: file.unlink()), ("replaced", lambda file: (nvrd.folder / "other").rename(file))):
        (nvrd.folder / "other").write_bytes(b"other")
        client = ask(nvrd, nvrd.put("changing.bin").name, 64 * KIB)
        with client, client.makefile("rb") as stream:
            first = stream.read(1000)
            change(nvrd.uploads / "changing.bin")
            rest = stream.read(first.index(b"\r\n\r\n") + 4 + SIZE - len(first))
        report((first + rest).endswith(DATA), f"all of a file that is {what} meanwhile")
    file = nvrd.put("changing.bin")
    client = ask(nvrd, file.name, 64 * KIB)
    with client, client.makefile("rb") as stream:
        got = stream.read(1000)
        os.truncate(file, 30 << 20)
        while piece := stream.read(1 << 20):
            got += piece
    got = got.partition(b"\r\n\r\n")[2]
    report(len(got) == 30 << 20 and DATA.startswith(got), "of a file that is cut meanwhile what is left, and the connection ends", len(got))
    report(wait_for(lambda: "became shorter" in nvrd.log(), 5), "and the log says so")


def check_clients_that_stall(nvrd):
    before = nvrd.resident()
    clients = [ask(nvrd, receive=16 * KIB) for _ in range(STALLED)]
    wait_for(lambda: nvrd.open_files() >= STALLED, 20)
    report(get(f"http://{nvrd.http}")[0] == DATA, f"beside {STALLED} clients that take nothing another one is served")
    grown = nvrd.resident() - before
    report(grown < STALLED * 200 * KIB, "nothing of what they wait for is in memory", grown)
    with clients[0].makefile("rb") as stream:
        report(read_answer(stream) == DATA, "one of them goes on, and gets all")
    for client in clients[::2]:  # by a reset, and by an end
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for client in clients:
        client.close()
    report(wait_for(lambda: nvrd.open_files() == 0, 30), "when they go no file of theirs stays open", nvrd.open_files())


def check_cold_disk(nvrd):
    file = nvrd.put("cold.bin")
    with open(file, "rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    report(get(f"http://{nvrd.http}", "uploads/cold.bin")[0] == DATA, "a file that is not in the page cache")
    for scheme, address in (("http", nvrd.http), ("https", nvrd.https)):
        nvrd.cold.touch()
        fetch = subprocess.Popen(["curl", "-sSk", f"{scheme}://{address}/uploads/cold.bin"], stdout=subprocess.PIPE)
        wait_for(lambda: nvrd.open_files() >= 1, 10)
        report(b"nvrd_" in nvrd.get("/metrics"), f"{scheme}: while the disk keeps a file waiting others are answered")
        nvrd.cold.unlink()
        report(fetch.communicate(timeout=60)[0] == DATA, f"{scheme}: and then it comes, all of it")
    # the client goes while its bytes are being fetched
    nvrd.cold.touch()
    client = ask(nvrd, "cold.bin")
    wait_for(lambda: nvrd.open_files() >= 1, 10)
    client.close()
    nvrd.get("/metrics")
    nvrd.cold.unlink()
    report(wait_for(lambda: nvrd.open_files() == 0, 10), "a client that goes meanwhile leaves nothing open")


def check_they_are_given_up(nvrd, stalled):
    for server, reason in (("http", "too_slow"), ("ftp-data", "idle")):
        line = f'nvrd_connections_closed_total{{server="{server}",reason="{reason}"}}'
        report(wait_for(lambda: nvrd.metric(line) == 1, 120), f"{server}: who takes nothing for a minute is given up")
    for client in stalled:
        client.close()


def stall(nvrd):
    """Clients that take nothing for as long as they may, by HTTP and by FTP."""
    control = ftplib.FTP(timeout=60)
    control.connect("127.0.0.1", nvrd.ftp)
    control.login("anonymous", "x")
    return ask(nvrd, receive=16 * KIB), control, control.transfercmd("RETR /uploads/big.bin")


nvrd = Server()
stalled = stall(nvrd)
check_whole_and_ranges(f"http://{nvrd.http}", "plain")
check_whole_and_ranges(f"https://{nvrd.https}", "TLS")
check_one_after_the_other(nvrd)
check_recording(nvrd)
check_ftp(nvrd)
check_file_changes(nvrd)
check_they_are_given_up(nvrd, stalled)
check_clients_that_stall(nvrd)
check_cold_disk(nvrd)
report(nvrd.stop() == 0, "nvrd ends as it should")
finish()
