#!/usr/bin/env python3
"""Who gets in: passwords kept by scrypt, application passwords and their scopes, the price of wrong ones, and the audit of it all."""
import base64
import http.client
import itertools
import json
import re
import select
import socket
import subprocess

from daemon import NVRD, Nvrd, finish, report, wait_for

APP = {  # name of the application password, which is "pw-" and that: its scopes
    "app-dav": "dav", "app-dav-read": "dav:read", "app-live": "live", "app-rtsp": "rtsp", "app-publish": "rtsp:publish", "app-metrics": "metrics",
    "app-ftp": "ftp", "app-two": "live, metrics",
}
SEARCH = """<searchrequest xmlns="DAV:"><basicsearch><select><allprop/></select><from><scope><href>/recordings/</href>
<depth>infinity</depth></scope></from></basicsearch></searchrequest>"""
# What is asked for, in this order: method, path, headers, body, and the scopes any of which is enough.
ASKED = [
    ("GET", "/metrics", {}, "", {"metrics"}),
    ("GET", "/live/porch/index.m3u8", {}, "", {"live"}),
    ("GET", "/", {}, "", {"dav", "dav:read"}),
    ("PROPFIND", "/", {"Depth": "1"}, "", {"dav", "dav:read"}),
    ("PROPFIND", "/recordings/porch/", {"Depth": "0"}, "", {"dav", "dav:read"}),
    ("SEARCH", "/recordings/", {"Content-Type": "text/xml"}, SEARCH, {"dav", "dav:read"}),
    ("OPTIONS", "/uploads/porch/", {}, "", {"dav", "dav:read"}),
    ("PUT", "/uploads/porch/{}.txt", {}, "hello", {"dav"}),
    ("MKCOL", "/uploads/porch/{}", {}, "", {"dav"}),
    ("COPY", "/uploads/porch/kept.txt", {"Destination": "/uploads/porch/{}.copy"}, "", {"dav"}),
    ("MOVE", "/uploads/porch/{}.txt", {"Destination": "/uploads/porch/{}.moved"}, "", {"dav"}),
    ("DELETE", "/uploads/porch/{}.moved", {}, "", {"dav"}),
    ("GET", "/nothing", {}, "", set()),
    ("DESCRIBE", "/porch", {}, "", {"rtsp"}),
]


def hashed(*options, password="secret"):
    return subprocess.run([NVRD, "--hash-password", "anna", *options], input=password + "\n", capture_output=True, text=True, check=True).stdout.strip()


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode("latin-1")).decode()}


def users(anna):
    lines = [f'anna: {{password: "{anna}", role: admin}}', "bob: {password: pw-bob}", "eve: {password: pw-eve}", "olga:", "  password: pw-olga", "  role: operator", "  app_passwords:"]
    lines += [f"  - {{name: {name}, password: pw-{name}, scope: [{scope}]}}" for name, scope in APP.items()]
    lines += ["  - {name: old, password: pw-old, scope: [metrics], expires: 2020-01-01}", "  - {name: new, password: pw-new, scope: [metrics], expires: 2999-01-01}"]
    lines += ["vera:", "  password: pw-vera", "  cameras: [porch]", "  app_passwords:", "  - {name: all, password: pw-all, scope: [dav, ftp, live, rtsp, metrics]}"]
    return "\n".join(lines)


def ask(nvrd, method, path, headers, body="", connection=None):
    """Status, fields and body, on a new connection unless one is given."""
    mine = connection or http.client.HTTPConnection(nvrd.http, timeout=30)
    try:
        mine.request(method, path, body=body or None, headers=headers)
        answer = mine.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        if not connection:
            mine.close()


def describe(nvrd, path, headers):
    """The status of a DESCRIBE, with the same headers."""
    host, _, port = nvrd.rtsp.rpartition(":")
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"DESCRIBE rtsp://{nvrd.rtsp}{path} RTSP/1.0\r\nCSeq: 1\r\n{fields}\r\n".encode())
        answer = connection.recv(65536).decode()
    return int(answer.split()[1]), answer


def status_of(nvrd, method, path, headers, body=""):
    return describe(nvrd, path, headers)[0] if method == "DESCRIBE" else ask(nvrd, method, path, headers, body)[0]


def audit(nvrd):
    return [line for line in map(json.loads, nvrd.log().splitlines()) if "audit" in line]


def metric(nvrd, line):
    text = ask(nvrd, "GET", "/metrics", basic("bob", "pw-bob"))[2].decode()
    return next((float(row.rpartition(" ")[2]) for row in text.splitlines() if row.startswith(line + " ")), 0.0)


def check_scopes(nvrd):
    wrong, n = [], 0
    (nvrd.store / "uploads" / "porch" / "kept.txt").write_text("x")
    for name, (method, path, headers, body, enough) in itertools.product(APP, ASKED):
        path, headers = path.format(name), {key: value.format(name) for key, value in headers.items()}
        may = not enough.isdisjoint(APP[name].split(", "))
        status = status_of(nvrd, method, path, {**headers, **basic("olga", "pw-" + name)}, body)
        n += 1
        if may != (status < 300) or (not may and status != 403):
            wrong.append(f"{name} {method} {path}: {status}")
    report(not wrong, f"{n} combinations of application password, method and area are as the table says", "\n".join(wrong))
    wrong = []
    for name, (path, scopes) in itertools.product(APP, (("/metrics", {"metrics"}), ("/recordings/", {"dav", "dav:read"}))):
        may = not scopes.isdisjoint(APP[name].split(", "))
        status = subprocess.run(["curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", "--digest", "-u", f"olga:pw-{name}", f"http://{nvrd.http}{path}"], capture_output=True, text=True).stdout
        if status != ("200" if may else "403"):
            wrong.append(f"{name} {path}: {status}")
    report(not wrong, "and by Digest", "\n".join(wrong))
    for method, path, expected in (("PUT", "/uploads/porch/v.txt", 403), ("GET", "/live/garden/index.m3u8", 404), ("DESCRIBE", "/garden", 404), ("GET", "/live/porch/index.m3u8", 200)):
        status = status_of(nvrd, method, path, basic("vera", "pw-all"), "x" if method == "PUT" else "")
        report(status == expected, f"an application password gives no more than its user's role and cameras: {method} {path} is {expected}", status)
    status = ask(nvrd, "GET", "/metrics", basic("olga", "pw-all"))[0]
    report(status == 401, "it is good with its own user's name only", status)
    report([ask(nvrd, "GET", "/metrics", basic("olga", p))[0] for p in ("pw-old", "pw-new")] == [401, 200], "it is good until its day")
    report(any(line["audit"] == "login-failed" and "expired" in line["message"] for line in audit(nvrd)), "the log says that it has expired")
    for user, expected in (("olga:pw-app-rtsp", True), ("olga:pw-app-dav", False)):
        out = subprocess.run(["ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name", "-of", "csv=p=0", f"rtsp://{user}@{nvrd.rtsp}/porch"], capture_output=True, text=True, timeout=60)
        report(("h264" in out.stdout) == expected, f"ffprobe as {user} {'plays' if expected else 'does not play'}", out)


def check_scrypt(nvrd):
    report(ask(nvrd, "GET", "/metrics", basic("anna", "secret"))[0] == 200, "Basic with a password kept by scrypt")
    report(ask(nvrd, "PUT", "/uploads/porch/s.txt", basic("anna", "secret"), "x" * 300000)[0] == 201, "and with a body that is taken as it comes")
    report(ask(nvrd, "PROPFIND", "/uploads/", {**basic("anna", "secret"), "Depth": "0"}, '<propfind xmlns="DAV:"><allprop/></propfind>')[0] == 207, "and with one that is collected")
    status, answer = describe(nvrd, "/porch", basic("anna", "secret"))
    report(status == 200, "and over RTSP", answer)
    report(ask(nvrd, "GET", "/metrics", basic("anna", "Secret"))[0] == 401, "a wrong one is refused")
    curl = subprocess.run(["curl", "-sS", "-i", "-m", "20", "--digest", "-u", "anna:secret", f"http://{nvrd.http}/metrics"], capture_output=True, text=True).stdout
    offered = re.findall(r"(?i)^www-authenticate: (\w+)", curl.split("HTTP/1.1 401")[-1], re.M)
    report(offered == ["Basic"], "Digest cannot check it, and Basic alone is offered then", curl)
    report(any(line["audit"] == "login-failed" and "scrypt" in line["message"] for line in audit(nvrd)), "the log says why")


def check_crowd(nvrd):
    """Many logins at once: the one thread takes its time, and nobody else has to wait for it."""
    host, _, port = nvrd.http.rpartition(":")
    slow = []
    for i in range(14):
        connection = socket.create_connection((host, int(port)), timeout=60)
        login = basic(f"stranger{i}", "guess")["Authorization"]
        connection.sendall(f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {login}\r\nConnection: close\r\n\r\n".encode())
        slow.append(connection)
    report(all(ask(nvrd, "GET", "/metrics", basic("bob", "pw-bob"))[0] == 200 for _ in range(3)), "others are served")
    waiting = [c for c in slow if not select.select([c], [], [], 0)[0]]
    report(waiting, "before all of them are answered")
    statuses = [int(c.recv(65536).split()[1]) for c in slow]
    for connection in slow:
        connection.close()
    report(set(statuses) == {401, 429}, "what is too much is refused", statuses)
    report(metric(nvrd, 'nvrd_worker_queue_jobs{worker="login"}') == 0, "and nothing is left")
    # one that goes away in between
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {basic('anna', 'gone')['Authorization']}\r\n\r\n".encode())
    report(wait_for(lambda: metric(nvrd, 'nvrd_worker_queue_jobs{worker="login"}') == 0, 20) is not None, "who goes away in between does no harm")


def check_slow_down(nvrd):
    open_one = http.client.HTTPConnection(nvrd.http, timeout=30)
    report(ask(nvrd, "GET", "/metrics", basic("eve", "pw-eve"), connection=open_one)[0] == 200, "eve is logged in")
    curl = ["curl", "-sS", "-m", "20", "-o", "/dev/null", "-D", "-", "-u", "eve:wrong", f"http://{nvrd.http}/metrics"]
    answers = [subprocess.run(curl, capture_output=True, text=True).stdout for _ in range(6)]
    statuses = [answer.split()[1] for answer in answers]
    report(statuses == ["401"] * 5 + ["429"], "five wrong passwords are answered, the sixth has to wait", statuses)
    retry = re.findall(r"(?i)^retry-after: (\d+)", answers[-1], re.M)
    report(len(retry) == 1 and 1 <= int(retry[0]) <= 4, "and is told how long", answers[-1])
    report(ask(nvrd, "GET", "/metrics", basic("eve", "pw-eve"))[0] == 429, "the right one has to wait, too")
    status, answer = describe(nvrd, "/porch", basic("eve", "pw-eve"))
    report(status == 429 and "Retry-After: " in answer, "by RTSP as well", answer)
    report(ask(nvrd, "GET", "/metrics", basic("eve", "pw-eve"), connection=open_one)[0] == 200, "but not on the connection by which she has logged in")
    report(ask(nvrd, "GET", "/metrics", basic("bob", "pw-bob"))[0] == 200, "and nobody else")
    report(metric(nvrd, 'nvrd_auth_failures_total{server="http"}') >= 5 and metric(nvrd, 'nvrd_auth_limited_total{server="http"}') >= 2 and
           metric(nvrd, 'nvrd_auth_limited_total{server="rtsp"}') == 1, "both are counted")
    report(wait_for(lambda: ask(nvrd, "GET", "/metrics", basic("eve", "pw-eve"))[0] == 200, 20), "after a while she gets in again")
    for _ in range(20):
        ask(nvrd, "GET", "/metrics", {})
    report(ask(nvrd, "GET", "/metrics", basic("eve", "pw-eve"))[0] == 200, "requests without a password are no failures")
    open_one.close()


def check_audit(nvrd):
    before = len(audit(nvrd))
    login = basic("olga", "pw-olga")
    steps = [("PUT", "/uploads/porch/ab.txt", {}, "hello", "put", "/uploads/porch/ab.txt"),
             ("COPY", "/uploads/porch/ab.txt", {"Destination": "/uploads/porch/c.txt"}, "", "copy", "/uploads/porch/c.txt"),
             ("MOVE", "/uploads/porch/c.txt", {"Destination": "/uploads/porch/d.txt"}, "", "move", "/uploads/porch/c.txt to /uploads/porch/d.txt"),
             ("DELETE", "/uploads/porch/d.txt", {}, "", "delete", "/uploads/porch/d.txt")]
    for method, path, headers, body, _, _ in steps:
        ask(nvrd, method, path, {**headers, **login}, body)
    ask(nvrd, "DELETE", "/uploads/porch/nothing.txt", login)
    ask(nvrd, "DELETE", "/uploads/porch/ab.txt", basic("vera", "pw-vera"))
    lines = audit(nvrd)[before:]
    changes = [line for line in lines if not line["audit"].startswith("login")]
    report([(line["audit"], line["user"], line["address"], line["protocol"]) for line in changes] == [(step[4], "olga", "127.0.0.1", "http") for step in steps] and
           all(step[5] in line["message"] for step, line in zip(steps, changes)), "each change of files is a line, and what was refused is none", lines)
    report([line["user"] for line in lines if line["audit"] == "login"] == ["olga", "vera"], "a login is a line, not each request", lines)
    for name in ('eve"\n\x1b[31m', "a" * 400, "eve: address 10.0.0.1", "\xff\xfe"):
        ask(nvrd, "GET", "/metrics", basic(name, "hunter2"))
    nvrd.reload()
    report(wait_for(lambda: any(line["audit"] == "configuration" and line["protocol"] == "signal" for line in audit(nvrd)), 20), "a reload is a line")
    failed = [line["user"] for line in audit(nvrd) if line["audit"] == "login-failed"]
    report(all(re.fullmatch(r"[ -~]{0,64}", user) and ":" not in user and '"' not in user for user in failed), "names from the network are harmless", failed)
    found = [line for line in nvrd.log().splitlines() if any(secret in line for secret in ("hunter2", "pw-", "secret"))]
    report(not found, "no password is in the log", found)


def reload(nvrd):
    def lines():
        return len([line for line in audit(nvrd) if line["audit"] == "configuration"])

    before = lines()
    nvrd.reload()
    wait_for(lambda: lines() > before, 20, "a reload")


def say(address, text):
    """All that comes for these bytes, after which our end is shut."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(text.encode())
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while piece := connection.recv(65536):
            data += piece
    return data.decode(errors="replace")


def check_reload(nvrd):
    nvrd.users = users(hashed("--scrypt", password="other"))
    nvrd.configure(CAMERAS)
    reload(nvrd)
    report([ask(nvrd, "GET", "/metrics", basic("anna", p))[0] for p in ("secret", "other")] == [401, 200], "a reload forgets which password was right")
    # each of these is the first that has to wait for the worker
    login = f"Authorization: {basic('anna', 'other')['Authorization']}\r\n"
    get = f"GET /recordings/ HTTP/1.1\r\nHost: {nvrd.http}\r\n{login}"
    body = '<propfind xmlns="DAV:"><allprop/></propfind>'
    propfind = f"PROPFIND /uploads/ HTTP/1.1\r\nHost: {nvrd.http}\r\n{login}Depth: 0\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    for name, text, expected in (
            ("two at once, and the client's end is shut", f"{get}\r\n{get}\r\n", ["200", "200"]),
            ("with a body, and another one behind it", propfind + f"{get}Connection: close\r\n\r\n", ["207", "200"]),
            ("by HTTP/1.0", f"GET /metrics HTTP/1.0\r\n{login}\r\n", ["200"]),
            ("a body that is taken as it comes", f"PUT /uploads/porch/r.txt HTTP/1.1\r\nHost: {nvrd.http}\r\n{login}Content-Length: 5\r\n\r\nhello", ["201"])):
        reload(nvrd)
        answer = say(nvrd.http, text)
        report(re.findall(r"(?m)^HTTP/1\.1 (\d+)", answer) == expected, f"the first that asks after a reload: {name}", answer)
    reload(nvrd)
    out = subprocess.run(["curl", "-sS", "-m", "20", "-v", "-T", NVRD, "-H", "Expect: 100-continue", "-u", "anna:other", f"http://{nvrd.http}/uploads/porch/nvrd.txt"], capture_output=True, text=True)
    report("HTTP/1.1 100 Continue" in out.stderr and "HTTP/1.1 201" in out.stderr, "and one that waits to be told to go on", out.stderr[-2000:])
    reload(nvrd)
    options = f"OPTIONS rtsp://{nvrd.rtsp}/porch RTSP/1.0\r\nCSeq: 2\r\n\r\n"
    answer = say(nvrd.rtsp, f"DESCRIBE rtsp://{nvrd.rtsp}/porch RTSP/1.0\r\nCSeq: 1\r\n{login}\r\n{options}")
    report(re.findall(r"RTSP/1\.0 (\d+).*\r\nCSeq: (\d+)", answer) == [("200", "1"), ("200", "2")], "and over RTSP, in order", answer)


CAMERAS = {"porch": {"source": '"test:"'}, "garden": {"source": '"upload:"'}}


def main():
    plain, kept = hashed(), hashed("--scrypt")
    report(plain.startswith("$nvrd$1$") and kept.startswith("$scrypt$ln=15,r=8,p=1$"), "nvrd --hash-password makes both kinds", (plain, kept))
    nvrd = Nvrd(CAMERAS, users=users(kept), extra="log: {format: json}")
    report(wait_for(lambda: metric(nvrd, 'nvrd_camera_frames_total{camera="porch",kind="video"}') > 30, 60), "the camera plays")
    check_scrypt(nvrd)
    check_scopes(nvrd)
    check_slow_down(nvrd)
    check_audit(nvrd)
    check_reload(nvrd)
    check_crowd(nvrd)
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-2000:])
    finish()


main()
