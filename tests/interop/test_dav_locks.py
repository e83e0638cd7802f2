#!/usr/bin/env python3
"""Locks: they keep recordings from retention, live on over a restart and a kill, and belong to who took them."""
import base64
import http.client
import re
import shutil
import signal

from daemon import Nvrd, finish, report, wait_for

USERS = "adam: {password: secret, role: admin}\nolga: {password: secret, role: operator}\notto: {password: secret, role: operator}\nvera: {password: secret, role: viewer}"
LOCKINFO = '<lockinfo xmlns="DAV:"><lockscope><{}/></lockscope><locktype><write/></locktype><owner>the insurance case</owner></lockinfo>'


def ask(nvrd, user, method, path, headers=(), body=""):
    connection = http.client.HTTPConnection(nvrd.http, timeout=20)
    login = {"Authorization": "Basic " + base64.b64encode(f"{user}:secret".encode()).decode()}
    try:
        connection.request(method, path, body=body or None, headers={**dict(headers), **login})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer
    finally:
        connection.close()


def take(nvrd, user, path, scope="exclusive", **headers):
    status, body, answer = ask(nvrd, user, "LOCK", path, headers, LOCKINFO.format(scope))
    return status, (answer.getheader("Lock-Token") or "").strip("<>"), body


def fill(nvrd, n):
    """So many closed recordings from long ago; the first two are the oldest."""
    wait_for(lambda: len(nvrd.files("porch")) > 1, 40, "a closed segment")
    nvrd.stop()
    source = nvrd.files("porch")[0]
    folder = nvrd.store / "recordings" / "porch" / "2020-01-01"
    folder.mkdir()
    for i in range(n):
        shutil.copy(source, folder / f"00-00-{i:02}+0000.mp4")
    return [f"/recordings/porch/2020-01-01/00-00-{i:02}+0000.mp4" for i in range(n)]


def listed(nvrd, folder="/recordings/porch/2020-01-01/"):
    _, body, _ = ask(nvrd, "adam", "PROPFIND", folder, {"Depth": "1"})
    return set(re.findall(r"<D:displayname>([^<]+\.mp4)<", body.decode()))


def check_retention(nvrd, paths):
    status, token, body = take(nvrd, "olga", paths[0], Timeout="Infinite, Second-4100000000")
    report(status == 200 and token.startswith("urn:uuid:"), "an operator locks a recording", body)
    report(b"the insurance case" in body and b"Second-31536000" in body, "for a year at most, and the owner is shown", body)
    status, body, _ = ask(nvrd, "otto", "DELETE", paths[0])
    report(status == 423 and b"lock-token-submitted" in body, "nobody deletes it without the token", (status, body))
    status, _, _ = ask(nvrd, "otto", "DELETE", paths[0], {"If": f"(<{token}>)"})
    report(status == 423, "nor with somebody else's token")
    nvrd.stop(signal.SIGKILL)
    nvrd.start()
    _, body, _ = ask(nvrd, "otto", "PROPFIND", paths[0], {"Depth": "0"})
    report(token.encode() in body, "after a kill the lock is still there", body)
    nvrd.storage = ("reserve: 1MB", "max_size: 1KB")
    nvrd.configure({"porch": {"source": '"upload:"'}})
    nvrd.reload()
    name = paths[0].rpartition("/")[2]
    report(wait_for(lambda: listed(nvrd) == {name}, 40), "retention deletes all that are too many but the one that is locked", listed(nvrd))
    nvrd.stop()
    file = nvrd.store / paths[0].lstrip("/")
    other = file.with_name("00-00-50+0000.mp4")
    shutil.copy(file, other)
    nvrd.start()
    report(wait_for(lambda: not other.exists(), 40) and file.exists() and listed(nvrd) == {name}, "also after a restart")
    status, _, _ = ask(nvrd, "otto", "UNLOCK", paths[0], {"Lock-Token": f"<{token}>"})
    report(status == 403, "somebody else does not unlock it")
    status, _, _ = ask(nvrd, "olga", "UNLOCK", paths[0], {"Lock-Token": f"<{token}>"})
    report(status == 204, "who took it does")
    report(wait_for(lambda: not file.exists() and not listed(nvrd), 40), "and then it goes")


def check_day(nvrd):
    """A day goes recording by recording, but for those that are locked, read or written."""
    day = nvrd.store / "recordings" / "porch" / "2020-01-02"
    url = "/recordings/porch/2020-01-02/"
    source = next(p for p in nvrd.files("porch") if "2020" not in str(p))
    nvrd.stop()
    day.mkdir()
    for i in range(12):
        shutil.copy(source, day / f"00-00-{i:02}+0000.mp4")
    nvrd.start()
    report(wait_for(lambda: len(listed(nvrd, url)) == 12, 40), "a day of twelve recordings", listed(nvrd, url))
    locked = url + "00-00-03+0000.mp4"
    status, token, body = take(nvrd, "olga", locked, Timeout="Second-600")
    report(status == 200, "one is locked", body)
    status, body, _ = ask(nvrd, "vera", "DELETE", url)
    report(status == 403 and len(listed(nvrd, url)) == 12, "a viewer deletes none", (status, body))
    status, body, _ = ask(nvrd, "otto", "DELETE", url)
    failed = re.findall(r"<D:href>([^<]+)</D:href><D:status>HTTP/1.1 (\d+)", body.decode())
    report(status == 207 and failed == [(locked, "423")], "an operator deletes all others, and is told of that one", (status, body))
    report(listed(nvrd, url) == {"00-00-03+0000.mp4"} and len(list(day.iterdir())) == 1, "which is still there", listed(nvrd, url))
    status, _, _ = ask(nvrd, "olga", "UNLOCK", locked, {"Lock-Token": f"<{token}>"})
    status, body, _ = ask(nvrd, "otto", "DELETE", url.rstrip("/"))
    report(status == 204 and not day.exists(), "unlocked it goes, and the day with it", (status, body))
    status, body, _ = ask(nvrd, "otto", "DELETE", url)
    report(status == 404, "then there is nothing of that name", (status, body))
    status, body, _ = ask(nvrd, "adam", "DELETE", "/recordings/porch/")
    report(status == 403, "a camera is not deleted", (status, body))


def check_uploads(nvrd):
    folder = "/uploads/case/"
    ask(nvrd, "olga", "MKCOL", folder)
    ask(nvrd, "olga", "PUT", folder + "a.txt", (), "one")
    status, token, _ = take(nvrd, "olga", folder)
    report(status == 200, "a collection is locked")
    for method, path, headers, body in (("PUT", "new.txt", {}, "x"), ("PUT", "a.txt", {}, "x"), ("MKCOL", "sub", {}, ""), ("DELETE", "a.txt", {}, ""), ("MOVE", "a.txt", {"Destination": "/uploads/b.txt"}, ""),
                                        ("PROPPATCH", "a.txt", {}, '<propertyupdate xmlns="DAV:"><remove><prop><x xmlns="u"/></prop></remove></propertyupdate>')):
        status, _, _ = ask(nvrd, "otto", method, folder + path, headers, body)
        report(status == 423, f"others' {method} in it is 423", status)
    status, _, _ = ask(nvrd, "otto", "COPY", folder + "a.txt", {"Destination": "/uploads/b.txt"})
    report(status == 201, "copying out of it is fine")
    status, _, _ = ask(nvrd, "otto", "COPY", "/uploads/b.txt", {"Destination": folder + "a.txt"})
    report(status == 423, "copying into it is not")
    status, _, _ = ask(nvrd, "olga", "PUT", folder + "new.txt", {"If": f"</uploads/case> (<{token}>)"}, "x")
    report(status == 201, "who has the token writes, with a tagged list")
    status, _, _ = ask(nvrd, "olga", "PUT", folder + "new.txt", {"If": f'(<{token}> ["no such tag"]) (Not <DAV:no-lock> <{token}>)'}, "y")
    report(status == 204, "one of several lists is enough")
    status, _, _ = ask(nvrd, "olga", "PUT", folder + "new.txt", {"If": f'(<{token}> ["no such tag"])'}, "y")
    report(status == 412, "if none holds it is 412")
    _, _, answer = ask(nvrd, "olga", "HEAD", folder + "a.txt")
    tag = answer.getheader("ETag")
    status, _, _ = ask(nvrd, "olga", "PUT", folder + "new.txt", {"If": f"<http://{nvrd.http}{folder}a.txt> ([{tag}]) <{folder}> (<{token}>)"}, "z")
    report(status == 204, "the ETag of another resource counts")
    status, other, _ = take(nvrd, "otto", folder + "unmapped.txt")
    report(status == 423, "under it nobody locks anything")
    nvrd.stop()
    nvrd.start()
    status, _, _ = ask(nvrd, "otto", "DELETE", folder)
    report(status == 423, "after a restart it is still locked")
    status, _, _ = ask(nvrd, "adam", "UNLOCK", folder, {"Lock-Token": f"<{token}>"})
    report(status == 204, "an admin unlocks what others forgot")
    status, first, _ = take(nvrd, "olga", folder + "a.txt", "shared")
    status2, second, _ = take(nvrd, "otto", folder + "a.txt", "shared")
    report(status == status2 == 200 and first != second, "two share a lock")
    status, _, _ = take(nvrd, "adam", folder + "a.txt")
    report(status == 423, "and keep off an exclusive one")
    status, _, _ = ask(nvrd, "otto", "DELETE", folder, {"If": f"</uploads/case/a.txt> (<{second}>)"})
    report(status == 204, "one token of several shared locks is enough")
    ask(nvrd, "olga", "MKCOL", folder)
    status, _, _ = ask(nvrd, "adam", "PUT", folder + "a.txt", (), "x")
    report(status == 201, "locks end with their resource")
    status, token, _ = take(nvrd, "olga", folder + "empty.txt", Timeout="Second-1")
    report(status == 201 and (nvrd.store / "uploads/case/empty.txt").read_bytes() == b"", "a lock on nothing makes an empty file")
    report(wait_for(lambda: ask(nvrd, "otto", "PUT", folder + "empty.txt", (), "x")[0] == 204, 20), "and a lock ends with its time")


def check_habits(nvrd):
    """What Explorer and Finder do when a file is copied there (quirk C3)."""
    path = "/uploads/photo.jpg"
    status, _, answer = ask(nvrd, "olga", "OPTIONS", "/", {"User-Agent": "Microsoft-WebDAV-MiniRedir/10.0.19045", "translate": "f"})
    report(status == 200 and "2" in answer.getheader("DAV", "") and answer.getheader("MS-Author-Via") == "DAV", "OPTIONS of the root tells of locks", answer.headers)
    status, body, _ = ask(nvrd, "olga", "PROPFIND", "/uploads/", {"Depth": "1,noroot", "Translate": "f"})
    report(status == 207 and b"<D:href>/uploads/</D:href>" not in body, "Depth: 1,noroot leaves the collection itself out", body)
    for probe in ("/uploads/._photo.jpg", "/uploads/.DS_Store", "/uploads/desktop.ini"):
        report(ask(nvrd, "olga", "PROPFIND", probe, {"Depth": "0"})[0] == 404, f"{probe} is probed for")
    status, _, _ = ask(nvrd, "olga", "PUT", path, {"Content-Length": "0", "Translate": "f"})
    report(status == 201, "an empty file is put")
    status, token, _ = take(nvrd, "olga", path, Timeout="Second-3600", Translate="f", Depth="infinity")
    report(status == 200, "then it is locked")
    status, _, _ = ask(nvrd, "olga", "PUT", path, {"If": f"(<{token}>)", "Translate": "f"}, "the picture")
    report(status == 204, "then it is put")
    win32 = '<?xml version="1.0" encoding="utf-8" ?><D:propertyupdate xmlns:D="DAV:" xmlns:Z="urn:schemas-microsoft-com:"><D:set><D:prop>' \
            "<Z:Win32CreationTime>Sat, 21 Nov 2026 10:00:00 GMT</Z:Win32CreationTime><Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>"
    status, body, _ = ask(nvrd, "olga", "PROPPATCH", path, {"If": f"(<{token}>)"}, win32)
    report(status == 207 and b"200 OK" in body and b"403" not in body, "then it gets its times", body)
    status, body, _ = ask(nvrd, "olga", "PROPPATCH", path, {"If": f"(<{token}>)"}, win32.replace("<Z:Win32C", "<D:getetag>x</D:getetag><Z:Win32C"))
    report(status == 207 and b"cannot-modify-protected-property" in body and b"424 " in body and b"200 OK" not in body, "with a live property among them none is changed", body)
    status, _, _ = ask(nvrd, "olga", "UNLOCK", path, {"Lock-Token": f"<{token}>"})
    _, body, _ = ask(nvrd, "olga", "PROPFIND", path, {"Depth": "0"})
    report(status == 204 and b"Sat, 21 Nov 2026 10:00:00 GMT</Win32CreationTime>" in body, "and is unlocked", body)
    status, _, _ = ask(nvrd, "olga", "PUT", "/uploads/._photo.jpg", (), "resource fork")
    report(status == 201, "a file of Finder's own is taken")


def main():
    nvrd = Nvrd({"porch": {"source": '"test:"'}}, segment="5s", users=USERS, storage=("reserve: 1MB",))
    paths = fill(nvrd, 5)
    nvrd.configure({"porch": {"source": '"upload:"'}})
    nvrd.start()
    report(wait_for(lambda: len(listed(nvrd)) == 5, 30), "five old recordings are there")
    check_day(nvrd)
    check_retention(nvrd, paths)
    check_uploads(nvrd)
    check_habits(nvrd)
    report(nvrd.stop() == 0, "nvrd ends as it should")
    finish()


main()
