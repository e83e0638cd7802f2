#!/usr/bin/env python3
"""Hostile paths, header fields, If lists, bodies and FTP commands: nothing from outside the tree, no crash, no memory."""
import base64
import concurrent.futures
import ftplib
import os
import re
import socket
import time

from daemon import NVRD, Nvrd, finish, report, skip, wait_for

USERS = 'anna: {password: "s3cret", role: admin}\ncam: {password: cam, role: operator, cameras: [porch]}'
LOGIN = "Authorization: Basic " + base64.b64encode(b"anna:s3cret").decode()
CANARY = b"what nobody may read"
FORBIDDEN = (CANARY, b"SQLite format 3", b"PRIVATE KEY", b"root:x:0:0", b"s3cret")
MEMORY_KIB = 32 << 10


# --- what is sent ---

UPS = [  # ways to write "..", and what comes behind it
    "../", "%2e%2e/", "%2e./", ".%2e/", "%2E%2E/", "..%2f", "%2e%2e%2f", "..%2F..%2f", "..%5c", "..\\", "%2e%2e%5c", "%252e%252e/", "%252e%252e%252f", "..;/", "..%00/",
    "..%00.mp4/", "%c0%ae%c0%ae/", "%c0%ae%c0%ae%c0%af", "%e0%80%ae%e0%80%ae/", "..%c0%af", "..%ef%bc%8f", "..%u2215", "%uff0e%uff0e/", "....//", "..././", ".../", "./../",
    "/../", "%2f../", "..%20/", "..%09/", "..%0d%0a/", "x/../../", "x%2f..%2f..%2f",
]
TARGETS = ["nvrd.db", "tls.pem", "nvrd.yaml", "secret.txt", "etc/passwd", "nvrd.store"]
ROOTS = ["/", "/recordings/", "/recordings/porch/", "/uploads/", "/uploads/porch/", "/live/porch/"]
LONG = ["/" + "a" * 9000, "/uploads/" + "a/" * 4000, "/uploads/porch/" + "a" * 256, "/uploads/porch/" + "%61" * 300, "/recordings/" + "%" * 100, "/%", "/%2", "/%zz", "*", "", "//", "///etc/passwd",
        "//etc/passwd", "http://other.example/etc/passwd", "file:///etc/passwd", "/uploads/porch/\x00", "/uploads/porch/a%00b", "/uploads/porch/link/secret.txt", "/uploads/porch/linked.txt",
        "/uploads/porch/.hidden", "/uploads/PORCH/a", "/UPLOADS/porch/a", "/uploads/porch/a.", "/uploads/porch/CON", "/uploads/porch/%ff%fe", "/uploads/porch/%ed%a0%80", "/nvrd.db",
        "/tls.pem", "/log", "/uploads", "/recordings/.upload/part.mp4", "/recordings/porch/2026-01-01/../../../nvrd.db", "/recordings/porch/20260101T000000Z--20250101T000000Z.mp4",
        "/recordings/porch/99999999T999999Z--99999999T999999Z.mp4", "/recordings/porch/20260101T000000Z--20260102T000000Z.mp4?origin=1", "/?" + "a=b&" * 2000, "/#" + "a" * 100]
PATHS = [root + up * depth + target for i, up in enumerate(UPS) for root, target, depth in
         ((ROOTS[(i + k) % len(ROOTS)], TARGETS[(i + 2 * k) % len(TARGETS)], 1 + 3 * (k % 3)) for k in range(6))] + LONG

FIELDS = ["Range: bytes=-", "Range: bytes=5-1", "Range: bytes=" + ",".join(f"{i}-{i}" for i in range(3000)), "Range: bytes=18446744073709551615-", "Range: bytes=0-18446744073709551616", "Range: lines=1-2",
          "Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: 1\r\nContent-Length: 2", "Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked",
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Host: a\r\nHost: b", "X: " + "a" * 60000, "\r\n".join(f"X-{i}: y" for i in range(5000)), "X : y", " X: y", "X\x00Y: z", "X: a\rb", ": x",
          "X" * 20000, "Depth: 2", "Depth: -1", "Depth: infinity, 0", "Overwrite: maybe", "Timeout: Second-99999999999999999999", "Timeout: " + "Infinite, " * 500, "Lock-Token: <", "Lock-Token: <urn:uuid:>",
          "Destination: ", "Destination: http://other.example/uploads/a", "Destination: /uploads/../nvrd.db", "Destination: /uploads/porch/%2e%2e/%2e%2e/x", "Destination: //", "Destination: \x7f", "Expect: 200-maybe",
          "If-Modified-Since: " + "9" * 400, "If-None-Match: " + '"a",' * 2000, "Authorization: Digest " + "a=b," * 1000, "Authorization: Basic " + "QUFB" * 5000, "Authorization: Digest username=\"anna\", nonce=\"x",
          "X-Forwarded-For: " + "1.2.3.4," * 2000, "Connection: " + "close," * 2000, "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"]
IFS = ["(", "()", "(<>", "(<a", "<", "<>", "<http://x", "([", "(Not", "(Not Not <a:b>)", "(<a:b>) (", "<a> <b> (<c:d>)", "((<a:b>))", '(["a)', "([" + "a" * 5000 + "])", "(<" + "a:" * 3000 + ">)", "(<a:b>)" * 2000,
       "</uploads/../nvrd.db> (<a:b>)", "<http://other.example/> (Not <DAV:no-lock>)", "</uploads/porch/" + "a" * 4000 + "> (<a:b>)", "Not (<a:b>)", "(<DAV:no-lock>) Not", "\x80\x81", "(<a:b>)\x00", "," * 100, "(W/[\"a\"])"]
LOL = '<!DOCTYPE x [<!ENTITY a "' + "lol" * 20 + '">' + "".join(f'<!ENTITY a{i} "{f"&a{i - 1 if i else str()};" * 20}">' for i in range(8)) + ']>'
BODIES = [LOL + '<propfind xmlns="DAV:"><prop><x>&a7;</x></prop></propfind>', '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><propfind xmlns="DAV:"><prop>&e;</prop></propfind>',
          '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><propfind xmlns="DAV:"><allprop/></propfind>', '<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><propfind xmlns="DAV:"/>',
          '<propfind xmlns="DAV:">' + "<a>" * 20000, '<propfind xmlns="DAV:"><prop>' + "".join(f"<a{i}/>" for i in range(20000)) + "</prop></propfind>", '<propfind xmlns="DAV:" ' + " ".join(f'a{i}="b"' for i in range(20000)) + "/>",
          "<", "\x00" * 100, '<?xml version="1.0" encoding="utf-7"?><x/>', '<?xml version="1.0" encoding="x"?><x/>', "<a:propfind/>", '<propfind xmlns="DAV:"><prop xmlns:a="' + "u" * 60000 + '"><a:b/></prop></propfind>',
          '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>', "\ufeff<propfind", "a" * 500000]
LINES = [b"GET / HTTP/9.9", b"GET  / HTTP/1.1", b"GET / HTTP/1.1 x", b"\x00\x01\x02\x03", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"G" * 9000, b"GET " + b"/" * 9000 + b" HTTP/1.1", b"PRI * HTTP/2.0",
         b"CONNECT 127.0.0.1:22 HTTP/1.1", b"TRACE / HTTP/1.1", b"OPTIONS * HTTP/1.1", b"get / http/1.1", b"GET /\thttp HTTP/1.1", b"POST / HTTP/1.1", b"\r\n" * 2000, b"GET / HTTP/1.0\nHost: x\n"]
CHUNKS = [b"ffffffffffffffff\r\n", b"-1\r\n", b"5;" + b"a" * 20000 + b"\r\n", b"5\r\nhelloX", b"0x5\r\nhello\r\n", b"5\nhello\n0\n\n", b"zz\r\n", b"1\r\na\r\n" * 2000 + b"0\r\n" + b"T: x\r\n" * 2000 + b"\r\n"]


def http(nvrd, data, seconds=5):
    """What comes back to these bytes."""
    host, _, port = nvrd.http.rpartition(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=seconds) as s:
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while len(answer) < 4 << 20:
                more = s.recv(1 << 16)
                if not more:
                    break
                answer += more
        except OSError:
            pass
    return answer


def request(method, path, *fields, body=b""):
    # as it is: NULs, line ends and all
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", LOGIN, "Connection: close", *fields]
    length = [] if any(f.startswith(("Content-Length", "Transfer-Encoding")) for f in fields) or not body else [f"Content-Length: {len(body)}"]
    return "\r\n".join(lines + length + ["", ""]).encode("utf-8", "surrogateescape") + body


def requests():
    for i, path in enumerate(PATHS):
        yield f"GET {path[:60]}", request("GET", path)
        method, fields, body = (("PROPFIND", ("Depth: 1",), b""), ("PUT", (), b"x"), ("MKCOL", (), b""), ("MOVE", ("Destination: /uploads/porch/moved",), b""), ("DELETE", (), b""),
                                ("COPY", ("Destination: /uploads/porch/copied",), b""))[i % 6]
        yield f"{method} {path[:60]}", request(method, path, *fields, body=body)
        yield f"COPY to {path[:60]}", request("COPY", "/uploads/porch/mine.txt", f"Destination: {path}", "Overwrite: T")
    for field in FIELDS:
        for method in ("GET", "PROPFIND", "PUT", "MOVE"):
            yield f"{method} with {field[:60]}", request(method, "/uploads/porch/mine.txt", field, body=b"x" if method == "PUT" else b"")
    for value in IFS:
        for method in ("PUT", "DELETE", "LOCK", "UNLOCK"):
            yield f"{method} with If: {value[:60]}", request(method, "/uploads/porch/mine.txt", f"If: {value}", body=b"x" if method == "PUT" else b"")
    for body in BODIES:
        for method in ("PROPFIND", "PROPPATCH", "LOCK", "SEARCH"):
            yield f"{method} of {body[:60]}", request(method, "/recordings/" if method == "SEARCH" else "/uploads/porch/mine.txt", "Depth: 0", body=body.encode("utf-8", "replace"))
    for line in LINES:
        yield f"the line {line[:60]}", line + b"\r\nHost: localhost\r\n\r\n"
    for chunk in CHUNKS:
        yield f"the chunk {chunk[:60]}", request("PUT", "/uploads/porch/chunked.bin", "Transfer-Encoding: chunked") + chunk


def commands():
    for up in UPS:
        path = up.replace("%00", "\0")
        for i, verb in enumerate(("CWD", "RETR", "STOR", "DELE", "MKD", "RMD", "RNFR", "SIZE", "MDTM", "MLST", "LIST", "NLST", "MLSD", "APPE", "HASH", "MFMT 20200101000000")):
            yield f"{verb} {path * 6}{TARGETS[i % len(TARGETS)]}".encode()
            yield f"{verb} {ROOTS[i % len(ROOTS)]}{path * (1 + i % 4)}{TARGETS[i % len(TARGETS)]}".encode()
    for target in ("127,0,0,2,0,22", "10,0,0,1,200,1", "127,0,0,1,0,22", "127,0,0,1,3,255", "256,0,0,1,9,9", "1,2,3", "", "127,0,0,1,99999,1", "-1,0,0,1,9,9", "127,0,0,1,31,144,", "0,0,0,0,31,144", "a,b,c,d,e,f"):
        yield b"PORT " + target.encode()
    for target in ("|1|10.0.0.1|5000|", "|1|127.0.0.1|22|", "|2|::1|5000|", "|2|fe80::1|5000|", "|3|x|1|", "|1|127.0.0.1|99999|", "||||", "|", "", "1127.0.0.115000", "|1|localhost|5000|", "|2|::ffff:10.0.0.1|5000|"):
        yield b"EPRT " + target.encode()
    yield from (b"REST " + n for n in (b"-1", b"99999999999999999999", b"x", b"1e9", b""))
    yield from (b"ALLO " + n for n in (b"-1", b"99999999999999999999", b"R", b""))
    yield from (b"TYPE " + n for n in (b"E", b"L 7", b"A T", b"I I", b"", b"\xff"))
    yield from (b"OPTS " + n for n in (b"MLST " + b"type;" * 500, b"HASH \x00", b"UTF8 NO", b"x" * 900, b"MLST " + b"%n" * 100))
    yield from (b"SITE EXEC %p", b"SITE CHMOD 777 /", b"SITE", b"XCWD ..", b"STOU", b"SMNT /", b"REIN", b"ACCT x", b"LANG ..", b"\xff\xf4\xff\xf2ABOR", b"\xff\xfb\x01", b"\x00\x00\x00", b"%s%s%s%n", b"A" * 4000, b"",
                b" ", b"CWD\tx", b"cwd ..", b"LIST -la -R --help", b"NLST *", b"LIST [", b"MLSD " + b"*" * 500, b"STAT ../..", b"PASS", b"USER anna", b"AUTH TLS\r\nUSER anna", b"PROT P", b"PBSZ 0", b"CCC", b"NLST -" + b"a" * 900)


# --- what must hold ---

def memory_kib(nvrd):
    with open(f"/proc/{nvrd.process.pid}/smaps_rollup") as stream:
        return int(re.search(r"Pss_Anon:\s+(\d+)", stream.read())[1])


def is_sanitized():
    with open(NVRD, "rb") as stream:
        return b"__asan_init" in stream.read()


def outside(nvrd):
    """All files of the test's folder that are in neither part of the tree, with their bytes; the catalogue and the log may grow."""
    skipped = (nvrd.store / "recordings", nvrd.store / "uploads")
    files = [p for p in nvrd.folder.rglob("*") if p.is_file() and not any(s in p.parents for s in skipped)]
    return {p: b"" if p.name.startswith(("nvrd.db", "log")) else p.read_bytes() for p in files}


def told(answers):
    return [(name, word) for name, answer in answers for word in FORBIDDEN if word in answer]


def check_http(nvrd, before):
    every = list(requests())
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda row: (row[0], http(nvrd, row[1])), every))
    report(nvrd.process.poll() is None, f"HTTP: nvrd lives after {len(every)} requests", nvrd.log()[-3000:])
    report(not told(answers), "HTTP: nothing was told that is not in the tree", told(answers)[:5])
    odd = [(name, answer[:200]) for name, answer in answers if answer and not re.match(rb"HTTP/1\.1 [1-5]\d\d ", answer)]
    report(not odd, "HTTP: each answer is one", odd[:5])
    broken = [(name, answer[:200]) for name, answer in answers if answer.startswith((b"HTTP/1.1 500", b"HTTP/1.1 502 ") ) and not name.startswith(("COPY to", "MOVE"))]
    report(not broken, "HTTP: none is nvrd's own fault", broken[:5])
    report(outside(nvrd) == before, "HTTP: nothing else in the store has changed", set(outside(nvrd)) ^ set(before))


END = b'" is where you are.\r\n'  # the answer to PWD
WITH_DATA = (b"RETR", b"STOR", b"APPE", b"LIST", b"NLST", b"MLSD")


def passive(session):
    """A data connection, at the end of which nothing is to be said."""
    session.sendall(b"EPSV\r\n")
    answer = b""
    while not (port := re.search(rb"229 .*\|\|\|(\d+)\|", answer)):
        more = session.recv(4096)
        if not more or b"421" in more:
            raise OSError("no data connection")
        answer += more
    data = socket.create_connection(("127.0.0.1", int(port[1])), timeout=5)
    data.shutdown(socket.SHUT_WR)
    return data


def ftp(nvrd, lines):
    """What comes back to these lines, each after the answer to the one before; a new session when one has ended."""
    answers, session = [], None
    for line in lines:
        if session is None:
            session = socket.create_connection(("127.0.0.1", nvrd.port), timeout=5)
            session.sendall(b"USER cam\r\nPASS cam\r\n")
            while b"230 " not in (greeting := session.recv(4096)):
                if not greeting:
                    break
        answer = b""
        try:
            data = passive(session) if line.split(b" ")[0] in WITH_DATA else None
            session.sendall(line + b"\r\nPWD\r\n")
            while not answer.endswith(END):
                more = session.recv(1 << 16)
                if not more:
                    break
                answer += more
            if data and b"150 " in answer:
                while more := data.recv(1 << 16):
                    answer += more
            if data:
                data.close()
        except OSError as error:
            answer += str(error).encode()
        answers.append((repr(line[:60]), answer))
        if END not in answer:
            session.close()
            session = None
    if session:
        session.close()
    return answers


def check_ftp(nvrd, before):
    every = list(commands())
    lanes = [every[i::8] for i in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [answer for lane in pool.map(lambda lines: ftp(nvrd, lines), lanes) for answer in lane]
    report(nvrd.process.poll() is None, f"FTP: nvrd lives after {len(every)} commands", nvrd.log()[-3000:])
    report(not told(answers), "FTP: nothing was told that is not in the tree", told(answers)[:5])
    mute = [answer for answer in answers if not re.match(rb"[1-5]\d\d[ -]", answer[1])]
    report(not mute, "FTP: each line has its answer", mute[:5])
    report(outside(nvrd) == before, "FTP: nothing else in the store has changed", set(outside(nvrd)) ^ set(before))


def flood(port, data):
    """Sends until nobody takes it any more, at most 8 MiB."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        try:
            for _ in range((8 << 20) // len(data)):
                s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while s.recv(1 << 16):
                pass
        except OSError:
            pass


def check_floods(nvrd):
    http_port = int(nvrd.http.rpartition(":")[2])
    generator = os.urandom(1 << 16)
    for name, port, data in (("a line without an end, HTTP", http_port, b"A" * 65536), ("a line without an end, FTP", nvrd.port, b"A" * 65536), ("noise, HTTP", http_port, generator), ("noise, FTP", nvrd.port, generator),
                             ("requests, one behind the other", http_port, request("GET", "/uploads/").replace(b"Connection: close\r\n", b"") * 100), ("commands, one behind the other", nvrd.port, b"HELP\r\n" * 5000)):
        flood(port, data)
        report(nvrd.process.poll() is None, name)


def check_slow(nvrd):
    """Many that send a byte now and then, or nothing: others are served meanwhile."""
    http_port = int(nvrd.http.rpartition(":")[2])
    slow = [(socket.create_connection(("127.0.0.1", port)), iter(data)) for port, data, n in
            ((http_port, request("GET", "/"), 100), (http_port, request("PUT", "/uploads/porch/slow.bin", "Content-Length: 100000") + b"x" * 1000, 50), (nvrd.port, b"USER cam\r\nPASS cam\r\nLIST\r\n" * 9, 12)) for _ in range(n)]
    good = 0
    for _ in range(20):
        for s, data in slow:
            try:
                s.sendall(bytes([next(data)]))
            except OSError:
                pass
        good += http(nvrd, request("GET", "/uploads/porch/mine.txt")).endswith(b"my own")
        client = ftplib.FTP(timeout=10)
        client.connect("127.0.0.1", nvrd.port)
        client.login("cam", "cam")
        good += client.size("mine.txt") == len("my own")
        client.close()
    report(good == 40, "beside 162 slow clients others are served", good)
    for s, _ in slow:
        s.close()


def main():
    nvrd = Nvrd({"porch": {"source": '"upload:"'}}, users=USERS, listen=('ftp: "127.0.0.1:0"', "ftp_passive: 40300-40400"))
    nvrd.port = int(re.findall(r"ftp://\S+:(\d+)/", nvrd.log())[-1])
    uploads = nvrd.store / "uploads" / "porch"
    wait_for(uploads.is_dir, 10, "the folder")
    for place in (nvrd.folder, nvrd.store):
        (place / "secret.txt").write_bytes(CANARY)
    (uploads / "mine.txt").write_bytes(b"my own")
    (uploads / "link").symlink_to(nvrd.folder)
    (uploads / "linked.txt").symlink_to(nvrd.folder / "secret.txt")
    report(http(nvrd, request("GET", "/uploads/porch/mine.txt")).endswith(b"my own"), "what is in the tree is told")
    before, memory = outside(nvrd), memory_kib(nvrd)
    check_http(nvrd, before)
    (uploads / "mine.txt").write_bytes(b"my own")
    check_ftp(nvrd, before)
    check_floods(nvrd)
    (uploads / "mine.txt").write_bytes(b"my own")
    check_slow(nvrd)
    if is_sanitized():
        skip("memory", "the sanitizer's own memory is in the way")
    else:
        grown = memory_kib(nvrd) - memory
        report(grown < MEMORY_KIB, f"memory grew by {grown} KiB")
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-3000:])
    report("s3cret" not in nvrd.log(), "no password is in the log")
    nvrd.remove()
    finish()


main()
