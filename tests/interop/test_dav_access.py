#!/usr/bin/env python3
"""Who may do what in the tree: every method, role, area and camera; and what never leaves the store, whoever asks."""
import base64
import http.client
import itertools
import os
import re
import shutil
import socket
import tempfile
import pathlib

from daemon import Nvrd, finish, report, wait_for

# User: role, and whether the camera "garden" is hidden from him.
USERS = {"adam": ("admin", False), "olga": ("operator", False), "vera": ("viewer", False), "oskar": ("operator", True), "viktor": ("viewer", True)}
LOCKINFO = '<lockinfo xmlns="DAV:"><lockscope><shared/></lockscope><locktype><write/></locktype></lockinfo>'
PROPPATCH = '<propertyupdate xmlns="DAV:"><set><prop><note xmlns="urn:test">x</note></prop></set></propertyupdate>'
SEARCH = '<searchrequest xmlns="DAV:"><basicsearch><select><allprop/></select><from><scope><href></href><depth>0</depth></scope></from></basicsearch></searchrequest>'
# Method: headers, body, and the status in recordings and in uploads: for a viewer, for who may write; and in the configuration: for others, for an
# admin. A hidden camera is 404.
TABLE = {
    "GET": ({}, "", (200, 200), (200, 200), (403, 200)),
    "HEAD": ({}, "", (200, 200), (200, 200), (403, 200)),
    "OPTIONS": ({}, "", (200, 200), (200, 200), (200, 200)),
    "PROPFIND": ({"Depth": "0"}, "", (207, 207), (207, 207), (403, 207)),
    "SEARCH": ({}, SEARCH, (207, 207), (405, 405), (405, 405)),
    "PROPPATCH": ({}, PROPPATCH, (403, 403), (403, 207), (405, 405)),
    "MKCOL": ({}, "", (403, 403), (403, 201), (405, 405)),
    "PUT": ({}, "hello", (403, 403), (403, 201), (403, 201)),
    "PATCH": ({}, "hello", (403, 403), (403, 405), (405, 405)),
    "COPY": ({"Destination": "{}.yaml"}, "", (403, 403), (403, 201), (403, 201)),
    "MOVE": ({"Destination": "{}.yaml"}, "", (403, 403), (403, 201), (405, 405)),
    "LOCK": ({"Timeout": "Second-60"}, LOCKINFO, (403, 200), (403, 200), (403, 200)),
    "UNLOCK": ({"Lock-Token": "<urn:uuid:nothing>"}, "", (403, 409), (403, 409), (403, 409)),
    "DELETE": ({}, "", (403, 204), (403, 204), (403, 204)),
    "POST": ({}, "hello", (405, 405), (405, 405), (405, 405)),
}
NEW = ("MKCOL", "PUT")  # methods whose target is not there yet


def ask(nvrd, user, method, path, headers=(), body=""):
    """Status and body, as an honest client asks."""
    connection = http.client.HTTPConnection(nvrd.http, timeout=20)
    login = {"Authorization": "Basic " + base64.b64encode(f"{user}:secret".encode()).decode()} if user else {}
    try:
        connection.request(method, path, body=body or None, headers={**dict(headers), **login})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer
    finally:
        connection.close()


def say(nvrd, request):
    """All that comes for these very bytes, or None when nothing comes."""
    host, _, port = nvrd.http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            data = b""
            while piece := connection.recv(65536):
                data += piece
            return data
        except ConnectionError:
            return b""


def recordings_for_all(nvrd):
    """Enough closed recordings of both cameras: copies, which the next start finds."""
    report(wait_for(lambda: all(nvrd.metric(f'nvrd_recorder_segments_total{{camera="{c}"}}') >= 1 for c in ("porch", "garden")), 40), "both cameras have recorded")
    nvrd.stop()
    made = {}
    for camera in ("porch", "garden"):
        source = nvrd.files(camera)[0]
        folder = nvrd.store / "recordings" / camera / "2020-01-01"
        folder.mkdir()
        for i in range(len(USERS) * len(TABLE) + 1):
            shutil.copy(source, folder / f"00-{i // 60:02}-{i % 60:02}+0000.mp4")
        made[camera] = sorted(f"/recordings/{camera}/2020-01-01/{p.name}" for p in folder.iterdir())
    nvrd.start()
    wanted = len(made["porch"]) + len(made["garden"])
    report(wait_for(lambda: nvrd.metric("nvrd_catalogue_segments") >= wanted, 40), "their copies were found")
    return made


def check_matrix(nvrd, recordings):
    wrong, n = [], 0
    cameras = nvrd.folder / "cameras"
    cameras.mkdir()

    def check(user, method, target, path, body, expected, is_new, becomes):
        """One combination; `path` is where the target is on the disk."""
        nonlocal n
        headers = TABLE[method][0]
        status, answer, _ = ask(nvrd, user, method, target, {k: v.format(becomes) for k, v in headers.items()}, body)
        n += 1
        if status != expected:
            wrong.append(f"{user} ({USERS[user][0]}) {method} {target}: {status}, expected {expected}: {answer[:100]}")
        if path.exists() != (status == 201 if is_new else method not in ("DELETE", "MOVE") or status >= 300):
            wrong.append(f"{user} {method} {target}: {status}, and afterwards it is {'there' if path.exists() else 'not there'}")

    for user, camera, method in itertools.product(USERS, ("porch", "garden"), TABLE):
        role, is_bound = USERS[user]
        _, body, in_recordings, in_uploads, _ = TABLE[method]
        hidden = is_bound and camera == "garden"
        target = recordings[camera].pop()
        check(user, method, target, nvrd.store / target.lstrip("/"), body, 404 if hidden else in_recordings[role != "viewer"], False, target)
        target = f"/uploads/{camera}/{user}-{method.lower()}.txt"
        if method not in NEW:
            (nvrd.store / target.lstrip("/")).write_text("x")
        check(user, method, target, nvrd.store / target.lstrip("/"), body, 404 if hidden else in_uploads[role != "viewer"], method in NEW, target)
    for user, method in itertools.product(USERS, TABLE):
        name = f"{user}-{method.lower()}"
        path = cameras / f"{name}.yaml"
        if method not in NEW:
            path.write_text("source: 'upload:'\n")
        body = "source: 'upload:'\n" if method == "PUT" else TABLE[method][1]
        check(user, method, f"/config/cameras/{name}.yaml", path, body, TABLE[method][4][USERS[user][0] == "admin"], method in NEW, f"/config/cameras/{name}-2")
        for left in cameras.iterdir():
            left.unlink()
    report(not wrong, f"{n} combinations of method, role, area and camera are as the table says", "\n".join(wrong))
    crossings = [("oskar", "/uploads/porch/a.txt", "/uploads/garden/a.txt", 403), ("oskar", "/uploads/porch/a.txt", "/uploads/new/a.txt", 403),
                 ("oskar", "/uploads/porch/a.txt", "/recordings/garden/2020-01-01/23-00-00+0000.mp4", 403),
                 ("olga", recordings["porch"][0], "/uploads/porch/b.mp4", 403), ("olga", "/uploads/porch/a.txt", "/recordings/porch/2020-01-01/23-00-00+0000.mp4", 403),
                 ("olga", "/uploads/porch/a.txt", "http://elsewhere.example/uploads/a.txt", 502), ("olga", "/uploads/porch/a.txt", "/uploads/nowhere/a.txt", 409),
                 ("olga", "/uploads/porch/a.txt", "/uploads/porch/a.txt", 403), ("olga", "/uploads/porch", "/uploads/porch/in/itself", 403),
                 ("olga", "/uploads", "/uploads/porch/all", 403)]
    for method, (user, source, target, expected) in itertools.product(("COPY", "MOVE"), crossings):
        (nvrd.store / "uploads" / "porch" / "a.txt").write_text("x")
        status, answer, _ = ask(nvrd, user, method, source, {"Destination": target})
        report(status == expected, f"{method} {source} to {target} by {user} is {expected}", (status, answer))
    _, listing, _ = ask(nvrd, "oskar", "PROPFIND", "/uploads/", {"Depth": "1"})
    report(b"/uploads/porch/" in listing and b"garden" not in listing, "who is bound to a camera sees its folder alone", listing)
    for camera, expected in (("porch", 207), ("garden", 404)):
        status, answer, _ = ask(nvrd, "oskar", "PROPFIND", f"/recordings/{camera}/{nvrd.files(camera)[-1].parent.name}/index.m3u8", {"Depth": "0"})
        report(status == expected, f"the playlist of {camera}: {expected}", (status, answer))
    for method, path in (("DELETE", "/uploads/"), ("DELETE", "/recordings/porch/"), ("MOVE", "/uploads/"), ("LOCK", "/uploads/"), ("LOCK", "/recordings/porch/")):
        status, answer, _ = ask(nvrd, "adam", method, path, {"Destination": "/uploads/x"}, LOCKINFO if method == "LOCK" else "")
        report(status in (403, 404), f"{method} {path} is nobody's", (status, answer))
    status, answer, _ = ask(nvrd, "olga", "PUT", recordings["porch"][0], (), "x")
    report(status == 403 and b"recordings are as the camera made them" in answer, "why a recording cannot be written is said", answer)


# --- hostile paths ---

DOTS = ("..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "..%00", "..%c0%af", "%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae", "..%5c", "..\\", ".. ", "..;", "...", "%uff0e%uff0e", "\u2025", "..%2f..", "..%2F")
SECRETS = ("secret.txt", "nvrd.db", "store/nvrd.db", "etc/passwd", "nvrd.yaml")
NAMES = (".nvrd-part-x", ".NVRD-PART-x", ".nvrd-part-", "a%00b", "a%0ab", "a%0d%0aX:y", "%ff%fe", "%ed%a0%80", "%f5%80%80%80", "%c3%28", "a" * 256, "%c3%a4" * 128, "%7f", "%c2%85", "%1b[2J",
         "con%2f..%2f..", "a/" * 40 + "b", "%zz", "%", "%0", "%e4%b8", "link-file", "link-folder/secret.txt", "link-folder/new", "link-up/nvrd.db", "fifo", "link-folder")
PREFIXES = ("/Uploads/porch/a.txt", "/UPLOADS/porch/a.txt", "/uploads%2fporch%2fa.txt", "//uploads//..//..//secret.txt", "/uploads/./../../secret.txt", "/uploads/../nvrd.db", "/nvrd.db", "/uploads/../../secret.txt",
            "/recordings/../nvrd.db", "/recordings/porch/../../nvrd.db", "/recordings/.upload/part.mp4", "/uploads/..", "/uploads/porch/..%2f..%2f..%2fsecret.txt", "\\uploads\\..\\secret.txt", "uploads/porch", "",
            "/recordings/PORCH/2020-01-01/", "/recordings/porch/2020-01-01/../../../../secret.txt", "/uploads/porch/%2e%2e/%2e%2e/%2e%2e/secret.txt", "file:///etc/passwd", "http://[::1/uploads", "/uploads/?/../../x", "/uploads/#/../x")


def hostile_paths():
    yield from PREFIXES
    for dots, secret in itertools.product(DOTS, SECRETS):
        yield f"/uploads/porch/{dots}/{dots}/{dots}/{secret}"
    for name in NAMES:
        yield f"/uploads/porch/{name}"


def hostile_headers():
    for uri in ("..", "/uploads/../../x", "http://127.0.0.1/../x", "file:///tmp/x", "//evil/uploads/x", "http://", "/uploads/porch/.nvrd-part-x", "/uploads/porch/%00", "/uploads/porch/link-folder/x", "/uploads/porch/" + "y" * 300, "\x01", "x" * 8000):
        yield "COPY", [("Destination", uri)]
        yield "MOVE", [("Destination", uri)]
    for condition in ("", "(", "()", "(<", "(<>)", "([])", "(Not)", "<x>", "<x> <y> (<z>)", "(<a>) <b>", "((<a>))", "([W/\"x)", "(<" + "a" * 7000 + ">)", "(<a>)" * 1000, "<http://evil/../../x> ([\"a\"])", "<../../x> (<DAV:no-lock>)", "(\xff)", "Not (<a>)"):
        yield "PUT", [("If", condition)]
        yield "DELETE", [("If", condition)]
    for name, value in (("Depth", "-1"), ("Depth", "2"), ("Depth", "1, 1"), ("Depth", "9" * 3000), ("Overwrite", "x"), ("Timeout", "Second-" + "9" * 900), ("Timeout", ", , ,"), ("Lock-Token", "urn:uuid:x"), ("Lock-Token", "<>"), ("Lock-Token", "<a> <b>"),
                        ("Content-Range", "bytes 0-0/1"), ("Content-Length", "-1"), ("Content-Length", "99999999999999999999"), ("Transfer-Encoding", "gzip"), ("Transfer-Encoding", "chunked, chunked"), ("Expect", "nonsense"), ("If-Match", '"' * 500), ("If-None-Match", "W/")):
        for method in ("COPY", "LOCK", "UNLOCK", "PUT", "DELETE", "PROPFIND"):
            yield method, [(name, value)]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(f'<!ENTITY {chr(98 + i)} "{("&" + chr(97 + i) + ";") * 10}">' for i in range(9)) + "]>"
BODIES = (BOMB + '<propfind xmlns="DAV:"><prop><x>&j;</x></prop></propfind>', '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><propertyupdate xmlns="DAV:"><set><prop><n xmlns="u">&e;</n></prop></set></propertyupdate>',
          '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype><owner>&e;</owner></lockinfo>',
          "<a>" * 100000, "<propfind xmlns='DAV:'><prop>" + "<x/>" * 20000 + "</prop></propfind>", '<propertyupdate xmlns="DAV:"><set><prop><n>' + "x" * 900000 + "</n></prop></set></propertyupdate>", "\xff\xfe<\x00", '<?xml version="1.0" encoding="UTF-7"?><propfind/>',
          '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>')


def snapshot(folder):
    return {str(p): (p.read_bytes() if p.is_file() and not p.is_symlink() else None) for p in sorted(folder.rglob("*"))}


def check_hostile(nvrd, outside):
    uploads = nvrd.store / "uploads" / "porch"
    (uploads / "a.txt").write_text("mine")
    (uploads / "link-folder").symlink_to(outside)
    (uploads / "link-file").symlink_to(outside / "secret.txt")
    (uploads / "link-up").symlink_to("../..")
    os.mkfifo(uploads / "fifo")
    login = "Authorization: Basic " + base64.b64encode(b"adam:secret").decode()
    before, others = snapshot(outside), {p.name for p in nvrd.store.iterdir()}
    leaked, odd, n = [], [], 0

    def send(method, path, headers=(), body=""):
        nonlocal n
        data = body.encode("utf-8", "surrogateescape")
        lines = [f"{method} {path} HTTP/1.1", f"Host: {nvrd.http}", login, "Connection: close", *(f"{k}: {v}" for k, v in headers)]
        if not any(k in ("Content-Length", "Transfer-Encoding") for k, _ in headers):
            lines.append(f"Content-Length: {len(data)}")
        answer = say(nvrd, "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + data)
        n += 1
        # what is not found is told by its name, which is not a leak: the words inside are
        if b"the crown jewels" in answer or b"SQLite format" in answer or b"root:x:" in answer:
            leaked.append((method, path[:100], headers))
        status = re.match(rb"HTTP/1.1 (\d+)", answer)
        if answer and (not status or int(status[1]) >= 500 and int(status[1]) not in (501, 502, 505, 507)):
            odd.append((method, path[:100], str(headers)[:100], answer[:200]))

    for path in hostile_paths():
        for method in ("GET", "PUT", "PROPFIND", "MKCOL", "LOCK"):
            send(method, path, [("Depth", "1")] if method == "PROPFIND" else [], {"PUT": "x", "LOCK": LOCKINFO}.get(method, ""))
        send("COPY", "/uploads/porch/a.txt", [("Destination", path)])
        send("COPY", path, [("Destination", "/uploads/porch/stolen.txt")])
        send("DELETE", path)
        (uploads / "a.txt").write_text("mine")
    for method, headers in hostile_headers():
        send(method, "/uploads/porch/a.txt", headers, "x" if method == "PUT" else "")
        (uploads / "a.txt").write_text("mine")
    for body, method in itertools.product(BODIES, ("PROPFIND", "PROPPATCH", "LOCK")):
        send(method, "/uploads/porch/a.txt", [("Depth", "0")], body)
    for junk in (b"\x00" * 70000, b"PUT /uploads/porch/z HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + login.encode() + b"\r\n\r\nfffffffffffffffff\r\n", b"LOCK " + b"/" * 70000,
                 b"PUT /uploads/porch/z HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n" + login.encode() + b"\r\n\r\nshort", b"DELETE /uploads/porch/a.txt HTTP/1.1\r\n\r\n" * 100):
        say(nvrd, junk)
        n += 1
    report(n >= 150, f"{n} hostile requests")
    report(not leaked, "none got what is outside the store, or not of the tree", leaked)
    report(not odd, "all were answered or refused as they should be", "\n".join(map(str, odd[:20])))
    report(snapshot(outside) == before, "what links lead to is as it was")
    report({p.name for p in nvrd.store.iterdir()} == others, "nothing new stands beside the tree", [p.name for p in nvrd.store.iterdir()])
    strange = [p for p in nvrd.store.rglob("*") if p.name.lower().startswith(".nvrd-part-") or len(p.name.encode()) > 255]
    report(wait_for(lambda: not [p for p in nvrd.store.rglob("*") if p.name.lower().startswith(".nvrd-part-")], 10), "no name of ours was given to anything, and nothing half made is left", strange)
    report(not (uploads / "z").exists(), "a file that did not come whole is not there")
    status, _, _ = ask(nvrd, "adam", "GET", "/uploads/porch/a.txt")
    report(status == 200 and nvrd.process.poll() is None, "and nvrd serves on")


def main():
    users = "\n".join(f'{user}: {{password: "secret", role: {role}{", cameras: [porch]" if bound else ""}}}' for user, (role, bound) in USERS.items())
    # metrics are asked for without a password while the cameras record, so the users come later
    nvrd = Nvrd({"porch": {"source": '"test:"'}, "garden": {"source": '"test:"'}}, segment="5s", storage=("reserve: 1MB",))
    outside = pathlib.Path(tempfile.mkdtemp(prefix="nvrd-outside-"))
    try:
        (outside / "secret.txt").write_text("the crown jewels")
        recordings = recordings_for_all(nvrd)
        nvrd.stop()
        nvrd.users = users
        nvrd.configure({"porch": {"source": '"upload:"'}, "garden": {"source": '"upload:"'}})
        nvrd.start()
        check_matrix(nvrd, recordings)
        check_hostile(nvrd, outside)
        report(nvrd.stop() == 0, "nvrd ends as it should")
    finally:
        shutil.rmtree(outside)
    finish()


main()
