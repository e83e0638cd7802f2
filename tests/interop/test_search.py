#!/usr/bin/env python3
"""SEARCH (RFC 5323) over recordings as they are made: what it finds is what PROPFIND and the disk say; by Python's XML and by cadaver; hostile bodies."""
import base64
import http.client
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

from daemon import Nvrd, finish, report, skip, wait_for

USERS = 'vera: {password: "secret", role: viewer}\nviktor: {password: "secret", role: viewer, cameras: [porch]}'
D, N = "{DAV:}", "{urn:nvrd:dav}"
PROPFIND = '<propfind xmlns="DAV:"><allprop/></propfind>'


def ask(nvrd, method, path, body, user="vera", **headers):
    login = base64.b64encode(f"{user}:secret".encode()).decode()
    connection = http.client.HTTPConnection(nvrd.http, timeout=20)
    try:
        connection.request(method, path, body=body, headers={"Authorization": "Basic " + login, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer
    finally:
        connection.close()


def element(name, *children, text=None):
    e = ET.Element(name if name.startswith("{") else D + name)
    e.text = text
    e.extend(children)
    return e


def compare(operator, name, literal):
    return element(operator, element("prop", element(name)), element("literal", text=literal))


def query(where=None, order=(), limit=None, scope="/recordings/", depth="infinity", select=None):
    """A searchrequest, written by Python's own XML."""
    parts = [element("select", select or element("allprop")), element("from", element("scope", element("href", text=scope), element("depth", text=depth)))]
    if where is not None:
        parts.append(element("where", where))
    if order:
        parts.append(element("orderby", *(element("order", element("prop", element(name)), element(direction)) for name, direction in order)))
    if limit is not None:
        parts.append(element("limit", element("nresults", text=str(limit))))
    return ET.tostring(element("searchrequest", element("basicsearch", *parts)), encoding="utf-8", xml_declaration=True)


def responses(body):
    """href -> properties with status 200, in the answer's order."""
    found = {}
    for response in ET.fromstring(body).iter(D + "response"):
        for propstat in response.findall(D + "propstat"):
            if " 200 " in propstat.findtext(D + "status"):
                found[response.findtext(D + "href")] = {p.tag: p.text or "" for p in propstat.find(D + "prop")}
    return found


def search(nvrd, user="vera", path="/recordings/", **parts):
    status, body, _ = ask(nvrd, "SEARCH", path, query(**parts), user)
    return responses(body) if status == 207 else {"status": {"": f"{status} {body[:200]}"}}


def walk(nvrd):
    """All recordings, by PROPFIND of each day."""
    found = {}
    for day in (nvrd.store / "recordings").glob("*/*-*-*"):
        status, body, _ = ask(nvrd, "PROPFIND", f"/recordings/{day.parent.name}/{day.name}/", PROPFIND, Depth="1")
        found.update({href: p for href, p in responses(body).items() if href.endswith(".mp4")} if status == 207 else {})
    return found


def check_found(nvrd):
    everything = walk(nvrd)
    report(len(everything) == len(nvrd.files("porch")) + len(nvrd.files("garden")) >= 6, "there are recordings of two cameras", everything.keys())
    by_start = sorted(everything, key=lambda h: (everything[h][N + "start"], everything[h][N + "camera"]))
    found = search(nvrd)
    # lock properties and times of open files are as they are when they are asked for
    report({h: found[h][N + "start"] for h in found} == {h: everything[h][N + "start"] for h in everything}, "SEARCH finds what PROPFIND shows", (found.keys(), everything.keys()))
    closed = [h for h in found if everything[h][N + "state"] == "closed"]
    report(closed and all(found[h] == everything[h] for h in closed), "with the same properties")
    found = search(nvrd, order=((N + "start", "ascending"), (N + "camera", "ascending")))
    report(list(found) == by_start, "in the order that is asked for", (list(found), by_start))
    middle = everything[by_start[len(by_start) // 2]][N + "start"]
    both = element("and", compare("eq", N + "camera", "porch"), compare("lt", N + "start", middle))
    expected = [h for h in by_start if everything[h][N + "start"] < middle and "/porch/" in h]
    found = search(nvrd, where=both, order=((N + "start", "descending"),))
    report(list(found) == expected[::-1], "by camera and time", (list(found), expected))
    found = search(nvrd, where=both, order=((N + "start", "descending"),), limit=1)
    report(list(found) == expected[-1:], "with a limit", list(found))
    large = compare("gt", "getcontentlength", str(sorted(int(p[D + "getcontentlength"]) for h, p in everything.items() if h in closed)[0]))
    found = search(nvrd, where=element("and", large, compare("eq", N + "state", "closed")), select=element("prop", element("getcontentlength")))
    expected = {h: {D + "getcontentlength": everything[h][D + "getcontentlength"]} for h in closed
                if int(everything[h][D + "getcontentlength"]) > min(int(everything[c][D + "getcontentlength"]) for c in closed)}
    report(expected.items() <= found.items(), "by size, with one property alone", (found, expected))
    found = search(nvrd, where=compare("like", "displayname", "%+0000_mp4"), scope=".", path="/recordings/porch/")
    report(found and all("/porch/" in h for h in found), "in the collection that is asked", list(found))
    report(set(search(nvrd, user="viktor", scope="/")) == {h for h in everything if "/porch/" in h}, "who is bound to a camera finds that one alone")
    status, body, _ = ask(nvrd, "SEARCH", "/", query(scope="/recordings/garden/"), "viktor")
    report(status == 409 and b"search-scope-valid" in body, "and another one does not exist for him", (status, body))


def check_cadaver(nvrd):
    if not shutil.which("cadaver"):
        skip("cadaver", "not installed")
        return
    home = nvrd.folder / "home"
    home.mkdir()
    host = nvrd.http.split(":")[0]
    (home / ".netrc").write_text(f"machine {host}\nlogin vera\npassword secret\n")
    (home / ".netrc").chmod(0o600)
    names = sorted(p.name for p in nvrd.files("porch"))
    commands = "set searchdepth infinity\nsearch getcontentlength > 0 and displayname like '%mp4'\nsearch displayname = nonsense\nquit\n"
    out = subprocess.run(["cadaver", f"http://{nvrd.http}/recordings/porch/"], input=commands, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, env={"HOME": str(home), "PATH": "/usr/bin:/bin"}).stdout
    first, _, second = out.partition("displayname = nonsense")
    found = re.findall(r"/recordings/porch/[-0-9]+/(\S+mp4) ", first)
    report(sorted(found) == names and f"Found {len(names)} results" in first, "cadaver's search finds them", out)
    report("succeeded" in second and "mp4" not in second, "and nothing of another name", out)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(f'<!ENTITY {chr(98 + i)} "{("&" + chr(97 + i) + ";") * 10}">' for i in range(9)) + "]>"
TAIL = query().decode().partition("?>")[2]
HOSTILE = {
    "a bomb of entities": (BOMB + TAIL.replace("infinity", "&j;"), 400),
    "an external entity": ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + TAIL.replace("/recordings/", "&e;"), 400),
    "an external subset": ('<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">' + TAIL, 400),
    "no XML": ("x" * 100000, 400),
    "too deep": ("<a>" * 100000, (400, 422)),
    "too many conditions": (query(where=element("and", *(element("is-collection") for _ in range(5000)))).decode(), 422),
    "a long literal": (query(where=compare("eq", N + "camera", "x" * 900000)).decode(), 422),
    "SQL for an instant": (query(where=compare("gt", N + "start", "0; DROP TABLE segments")).decode(), 422),
    "SQL for a camera": (query(where=compare("eq", N + "camera", "x' OR 1=1 --")).decode(), 207),
    "patterns that go back": (query(where=compare("like", N + "codec", "%a" * 120)).decode(), 207),
    "bytes that are no text": (b"\xff\xfe<\x00", 400),
    "nothing": ("", 400),
}


def check_hostile(nvrd):
    for name, (body, expected) in HOSTILE.items():
        status, answer, _ = ask(nvrd, "SEARCH", "/recordings/", body.encode() if isinstance(body, str) else body)
        report(status in (expected if isinstance(expected, tuple) else (expected,)) and b"root:" not in answer, f"{name}: {status}", answer[:300])
    report(search(nvrd, limit=1) and nvrd.process.poll() is None, "and nvrd serves on")


def main():
    camera = {"source": '"test:"'}
    nvrd = Nvrd({"porch": camera, "garden": camera}, segment="3s", environment={"TZ": "UTC"})
    report(wait_for(lambda: all(nvrd.metric(f'nvrd_recorder_segments_total{{camera="{c}"}}') >= 3 for c in ("porch", "garden")), 60), "both cameras have recorded")
    # nothing is recorded from now on: what is there stays as it is
    nvrd.stop()
    nvrd.users = USERS
    nvrd.configure({"porch": {"source": '"upload:"'}, "garden": {"source": '"upload:"'}})
    nvrd.start()
    _, _, answer = ask(nvrd, "OPTIONS", "/recordings/", "")
    report(answer.getheader("DASL") == "<DAV:basicsearch>" and "SEARCH" in answer.getheader("Allow"), "OPTIONS says so", answer.getheaders())
    check_found(nvrd)
    check_cadaver(nvrd)
    check_hostile(nvrd)
    report(nvrd.stop() == 0, "nvrd ends as it should")
    finish()


main()
