#!/usr/bin/env python3
"""
The page's login: the cookie as curl and Python's cookie jar have it, plain and by TLS; who may use it and until when; guesses; restarts; two nvrd on one host; and the form in Chromium, with
live pictures, recordings and logout by the cookie. NVRD_SCREENSHOTS is a folder for pictures of the form.
"""
import base64
import http.client
import http.cookies
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

from daemon import HERE, Nvrd, finish, report, skip, wait_for
from machine_clock import MachineClock

CAMERAS = {"porch": {"source": '"test:"'}, "garden": {"source": '"upload:"'}}
SILENT = {"porch": {"source": '"upload:"'}}


def users(anna="sécret", more="nas: {password: pw-nas, cameras: [porch]}"):
    return "\n".join([f'anna: {{password: "{anna}", role: admin}}', more, "eve: {password: pw-eve}", "olga:", "  password: pw-olga", "  role: operator", "  app_passwords:",
                      "  - {name: phone, password: pw-phone, scope: [dav, live, metrics]}"])


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def ask(nvrd, method, path, headers=None, body=None, tls=False):
    """Status, fields and body."""
    if tls:
        connection = http.client.HTTPSConnection(nvrd.https, timeout=30, context=ssl._create_unverified_context())
    else:
        connection = http.client.HTTPConnection(nvrd.http, timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def log_in(nvrd, user, password, tls=False):
    """The cookie, as http.cookies reads it."""
    status, fields, _ = ask(nvrd, "POST", "/login", basic(user, password), tls=tls)
    if status != 204:
        raise RuntimeError(f"{user} cannot log in: {status}")
    return next(iter(http.cookies.SimpleCookie(fields["Set-Cookie"]).values()))


def cookie_name(nvrd):
    return "nvrd-session-" + nvrd.http.rpartition(":")[2]


def sent(morsel, **more):
    return {"Cookie": f"{morsel.key}={morsel.value}", **{name.replace("_", "-"): value for name, value in more.items()}}


def metric(nvrd, line):
    text = ask(nvrd, "GET", "/metrics", basic("anna", "sécret"))[2].decode()
    return next((float(row.rpartition(" ")[2]) for row in text.splitlines() if row.startswith(line + " ")), 0.0)


def reload(nvrd):
    applied = nvrd.log().count("nvrd.yaml: applied")
    nvrd.configure(CAMERAS)
    nvrd.reload()
    wait_for(lambda: nvrd.log().count("nvrd.yaml: applied") > applied, 20, "a reload")


def check_cookie(nvrd):
    for tls, name, secure in ((False, cookie_name(nvrd), ""), (True, "__Host-nvrd-session-" + nvrd.https.rpartition(":")[2], True)):
        morsel = log_in(nvrd, "anna", "sécret", tls)
        got = (morsel.key, morsel["path"], morsel["httponly"], morsel["samesite"], morsel["secure"], morsel["domain"], int(morsel["max-age"]) > 86400)
        report(got == (name, "/", True, "Strict", secure, "", True), f"the cookie {'by TLS' if tls else 'without TLS'} has the attributes that it should", got)
        report(re.fullmatch("[0-9a-f]{64}", morsel.value), "it holds 256 bits and nothing else", morsel.value)
        report(ask(nvrd, "GET", "/metrics", sent(morsel), tls=tls)[0] == 200, "it stands for the password")
        report(ask(nvrd, "GET", "/metrics", sent(morsel), tls=not tls)[0] == 401, f"{'by TLS' if not tls else 'without TLS'} it is another one")
    report(len({log_in(nvrd, "anna", "sécret").value for _ in range(3)}) == 3, "no two are the same")
    report(morsel.value not in nvrd.log(), "and none is in the log")


def check_curl(nvrd):
    """curl's cookie engine judges the attributes itself; by TLS with the name's prefix."""
    jar = nvrd.folder / "jar"
    for url in (f"http://{nvrd.http}", f"https://{nvrd.https}"):
        words = ["curl", "-sS", "-k", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", "-b", jar, "-c", jar]
        steps = [("log in", ["-u", "anna:sécret", "-X", "POST", f"{url}/login"], "204"), ("use it", [f"{url}/recordings/"], "200"),
                 ("log out", ["-X", "DELETE", f"{url}/login"], "204"), ("not any more", [f"{url}/recordings/"], "401")]
        jar.unlink(missing_ok=True)
        got = [(name, subprocess.run([*words, *more], capture_output=True, text=True).stdout) for name, more, _ in steps]
        report(got == [(name, status) for name, _, status in steps], f"curl with a jar at {url.partition(':')[0]}", got)
        report("nvrd-session" not in jar.read_text(), "and nothing is left in it", jar.read_text())
    digest = subprocess.run(["curl", "-sS", "-m", "20", "-D", "-", "-o", "/dev/null", "--digest", "-u", "anna:sécret", "-X", "POST", f"http://{nvrd.http}/login"], capture_output=True, text=True).stdout
    report(f"Set-Cookie: {cookie_name(nvrd)}=" in digest, "a password shown by Digest is as good", digest)


def check_two(nvrd, other):
    """Two nvrd on one host, with one jar: cookies know no ports."""
    jar = nvrd.folder / "both"
    curl = ["curl", "-sS", "-k", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", "-b", jar, "-c", jar]
    for urls in ((f"http://{nvrd.http}", f"http://{other.http}"), (f"https://{nvrd.https}", f"https://{other.https}")):
        jar.unlink(missing_ok=True)
        got = [subprocess.run([*curl, *more, url + path], capture_output=True, text=True).stdout
               for more, path in ((["-u", "olga:pw-olga", "-X", "POST"], "/login"), ([], "/recordings/")) for url in urls]
        report(got == ["204", "204", "200", "200"], f"curl is logged in to two nvrd on one host by {urls[0].partition(':')[0]}", got)
        got = [subprocess.run([*curl, *more, url + path], capture_output=True, text=True).stdout
               for more, path, url in ((["-X", "DELETE"], "/login", urls[0]), ([], "/recordings/", urls[0]), ([], "/recordings/", urls[1]))]
        report(got == ["204", "401", "200"], "who logs out of one is not logged out of the other", got)


def check_rights(nvrd):
    nas = log_in(nvrd, "nas", "pw-nas")
    got = [ask(nvrd, method, path, sent(nas), body)[0] for method, path, body in (
        ("GET", "/live/porch/index.m3u8", None), ("GET", "/live/garden/index.m3u8", None), ("PUT", "/uploads/porch/a.txt", "x"), ("GET", "/config/", None))]
    report(got == [200, 404, 403, 403], "a cookie gives what its user has, and no more", got)
    status, fields, _ = ask(nvrd, "POST", "/login", basic("olga", "pw-phone"))
    report(status == 403 and not fields["Set-Cookie"], "an application password cannot log in", status)
    status, fields, _ = ask(nvrd, "POST", "/login")
    report(status == 401 and "Basic" in ",".join(fields.get_all("WWW-Authenticate")), "without a password one is asked for", fields)


def check_foreign(nvrd):
    """What a page elsewhere makes a browser send."""
    olga = log_in(nvrd, "olga", "pw-olga")
    here = f"http://{nvrd.http}"
    rows = [({}, True), ({"Origin": here}, True), ({"Origin": here, "Sec_Fetch_Site": "same-origin"}, True),
            ({"Origin": "http://evil.example"}, False), ({"Origin": "null"}, False), ({"Origin": f"https://{nvrd.http}"}, False), ({"Origin": f"http://{nvrd.https}"}, False),
            ({"Sec_Fetch_Site": "cross-site"}, False), ({"Sec_Fetch_Site": "same-site", "Origin": here}, False)]
    wrong = []
    for headers, may in rows:
        for method, path, body, good in (("PUT", "/uploads/porch/f.txt", "x", (201, 204)), ("PROPPATCH", "/uploads/porch/f.txt", '<propertyupdate xmlns="DAV:"/>', (207, 400)),
                                         ("MKCOL", "/uploads/porch/folder", None, (201,)), ("DELETE", "/uploads/porch/folder", None, (204,)),
                                         ("POST", "/live/porch/whep", "", (400, 415)), ("DELETE", "/uploads/porch/f.txt", None, (204,))):
            status = ask(nvrd, method, path, sent(olga, **headers), body)[0]
            if status not in (good if may else (403,)):
                wrong.append((headers, method, status))
        if ask(nvrd, "GET", "/recordings/", sent(olga, **headers))[0] != 200:
            wrong.append((headers, "GET"))
    report(not wrong, "what changes something counts only for pages of this server", wrong)
    status = ask(nvrd, "DELETE", "/login", sent(olga, Origin="http://evil.example"))[0]
    report((status, ask(nvrd, "GET", "/recordings/", sent(olga))[0]) == (403, 200), "nobody else logs one out", status)
    status, fields, _ = ask(nvrd, "POST", "/login", {**basic("olga", "pw-olga"), "Origin": "http://evil.example"})
    report(status == 403 and not fields["Set-Cookie"], "or in", status)
    status, fields, _ = ask(nvrd, "OPTIONS", "/login", {"Origin": "http://evil.example", "Access-Control-Request-Method": "DELETE"})
    report(not any(name.lower().startswith("access-control") for name in fields.keys()), "and no browser is told that others may ask", fields)


def check_clients(nvrd):
    """Who is no browser with the page is asked as ever."""
    for method, path in (("GET", "/recordings/"), ("PROPFIND", "/"), ("OPTIONS", "/"), ("GET", "/live/porch/index.m3u8"), ("GET", "/metrics")):
        status, fields, _ = ask(nvrd, method, path)
        schemes = [value.split()[0] for value in fields.get_all("WWW-Authenticate") or []]
        report(status == 401 and schemes == ["Digest", "Digest", "Digest", "Basic"] and not fields["Set-Cookie"], f"{method} {path} is asked for Digest or Basic", (status, schemes))
    status, fields, _ = ask(nvrd, "GET", "/metrics", {"X-Requested-With": "nvrd"})
    report(status == 401 and fields.get_all("WWW-Authenticate") == ['Session realm="nvrd"'], "the page's scripts for neither: browsers show no dialog", fields.get_all("WWW-Authenticate"))
    status, fields, page = ask(nvrd, "GET", "/")
    report(status == 200 and b"page.js" in page and "form-action 'none'" in fields["Content-Security-Policy"], "the page itself is everybody's", status)
    report(ask(nvrd, "GET", "/", basic("anna", "wrong"))[0] == 401, "but a wrong password is wrong there, too")


def check_end(nvrd):
    before = metric(nvrd, 'nvrd_login_sessions_ended_total{reason="changed"}')
    anna, nas, olga = log_in(nvrd, "anna", "sécret"), log_in(nvrd, "nas", "pw-nas"), log_in(nvrd, "olga", "pw-olga")

    def seen():
        return [ask(nvrd, "GET", "/recordings/", sent(one))[0] for one in (anna, nas, olga)]

    reload(nvrd)
    report(seen() == [200, 200, 200], "a reload ends no session", seen())
    nvrd.users = users(more="nas: {password: other, cameras: [porch]}")
    reload(nvrd)
    report(seen() == [200, 401, 200], "another password ends those of its user", seen())
    nvrd.users = users(more="")
    reload(nvrd)
    nvrd.users = users()
    reload(nvrd)
    report(seen() == [200, 401, 200], "and what was before does not bring them back", seen())
    nvrd.users = users(anna="other")
    reload(nvrd)
    nvrd.users = users()
    reload(nvrd)
    report(seen() == [401, 401, 200], "nor for an admin", seen())
    report(metric(nvrd, 'nvrd_login_sessions_ended_total{reason="changed"}') > before, "it is counted")
    lines = [json.loads(line) for line in nvrd.log().splitlines()]
    ask(nvrd, "DELETE", "/login", sent(olga))
    more = [json.loads(line) for line in nvrd.log().splitlines()][len(lines):]
    report([(line["audit"], line["user"]) for line in more if "audit" in line] == [("logout", "olga")], "who logs out is a line of the audit", more)
    report(seen() == [401, 401, 401], "and then the cookie is worth nothing", seen())


def check_bounds(nvrd):
    first = log_in(nvrd, "nas", "pw-nas")
    olga = log_in(nvrd, "olga", "pw-olga")
    for _ in range(40):
        log_in(nvrd, "nas", "pw-nas")
    report(ask(nvrd, "GET", "/recordings/", sent(first))[0] == 401, "of more sessions than one may have the first ends")
    report(ask(nvrd, "GET", "/recordings/", sent(olga))[0] == 200, "and nobody else's")
    report(metric(nvrd, 'nvrd_login_sessions_ended_total{reason="full"}') >= 9, "it is counted")
    report(metric(nvrd, "nvrd_login_sessions") <= 64, "and so are those that there are")


def check_guesses(nvrd):
    eve = log_in(nvrd, "eve", "pw-eve")
    answers = [ask(nvrd, "POST", "/login", {**basic("eve", f"guess{n}"), "X-Requested-With": "nvrd"}) for n in range(8)]
    statuses = [status for status, *_ in answers]
    report(statuses[0] == 401 and statuses[-1] == 429 and int(answers[-1][1]["Retry-After"]) >= 1, "who guesses has to wait", statuses)
    report(ask(nvrd, "POST", "/login", basic("eve", "pw-eve"))[0] == 429, "the right password has to wait, too")
    report(ask(nvrd, "GET", "/recordings/", sent(eve))[0] == 200, "who is logged in does not")
    report(metric(nvrd, 'nvrd_auth_limited_total{server="http"}') >= 2, "it is counted")
    wrong = [ask(nvrd, "GET", "/recordings/", {"Cookie": f"{cookie_name(nvrd)}={n:064x}"})[0] for n in range(30)]
    report(set(wrong) == {401} and ask(nvrd, "POST", "/login", basic("olga", "pw-olga"))[0] == 204, "cookies that are nobody's lock nobody out")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def restart(nvrd, number=signal.SIGTERM):
    nvrd.stop(number)
    nvrd.configure(SILENT)
    nvrd.start()


def statuses(nvrd, *cookies):
    return [ask(nvrd, "GET", "/recordings/", sent(one))[0] for one in cookies]


def check_restart():
    """Who is logged in is so after a restart, however it came about."""
    clock = MachineClock()
    nvrd = Nvrd(users=users(), start=False, environment=clock.environment)
    nvrd.ports = (f"127.0.0.1:{free_port()}", "127.0.0.1:0")
    nvrd.configure(SILENT)
    clock.say(0, True)
    nvrd.start()
    file, jar = nvrd.store / "nvrd.sessions", nvrd.folder / "jar"

    def lines():
        return file.read_text().splitlines() if file.exists() else []

    report(not file.exists(), "who has no sessions has no file of them")
    anna, nas, olga = log_in(nvrd, "anna", "sécret"), log_in(nvrd, "nas", "pw-nas"), log_in(nvrd, "olga", "pw-olga")
    subprocess.run(["curl", "-sS", "-m", "20", "-o", "/dev/null", "-c", jar, "-u", "olga:pw-olga", "-X", "POST", f"http://{nvrd.http}/login"])
    report(wait_for(lambda: len(lines()) == 5, 10), "sessions are written when they begin", lines())
    report(file.stat().st_mode & 0o7777 == 0o600, "for nvrd alone", oct(file.stat().st_mode))
    secrets = [*(one.value.encode() for one in (anna, nas, olga)), *(bytes.fromhex(one.value) for one in (anna, nas, olga)), "sécret".encode(), b"pw-nas", b"pw-olga"]
    found = [path for path in nvrd.store.rglob("*") if path.is_file() and any(secret in path.read_bytes() for secret in secrets)]
    report(not found, "no token and no password is in any file of the store", found)
    for number, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGKILL, "SIGKILL")):
        restart(nvrd, number)
        report(statuses(nvrd, anna, nas, olga) == [200, 200, 200], f"after {name} and a start everybody is still logged in", statuses(nvrd, anna, nas, olga))
        report(metric(nvrd, "nvrd_login_sessions") == 4, "and counted", metric(nvrd, "nvrd_login_sessions"))
    got = subprocess.run(["curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", "-b", jar, f"http://{nvrd.http}/recordings/"], capture_output=True, text=True).stdout
    report(got == "200", "also curl with its jar", got)
    ask(nvrd, "DELETE", "/login", sent(olga))
    wait_for(lambda: len(lines()) == 4, 10, "the logout to be written")
    restart(nvrd, signal.SIGKILL)
    report(statuses(nvrd, anna, nas, olga) == [200, 200, 401], "who has logged out stays so", statuses(nvrd, anna, nas, olga))
    nvrd.users = users(more="nas: {password: other, cameras: [porch]}")
    restart(nvrd)
    report(statuses(nvrd, anna, nas) == [200, 401], "a password that was changed while nvrd was stopped ends the session", statuses(nvrd, anna, nas))
    nvrd.users = users()
    restart(nvrd)
    report(statuses(nvrd, anna, nas) == [200, 401], "and the old one does not bring it back", statuses(nvrd, anna, nas))
    nvrd.users = users(more="")
    nas = log_in(nvrd, "nas", "pw-nas")
    restart(nvrd)
    nvrd.users = users()
    restart(nvrd)
    report(statuses(nvrd, anna, nas) == [200, 401], "nor does a user who was gone", statuses(nvrd, anna, nas))
    check_restart_clock(nvrd, clock, anna)
    check_restart_file(nvrd, file)
    report(nvrd.stop() == 0, "SIGTERM ends it")


def check_restart_clock(nvrd, clock, anna):
    nvrd.stop(signal.SIGKILL)
    clock.say(-round(time.time()) * 1000000, False)  # as a machine without a battery
    nvrd.start()
    report(statuses(nvrd, anna) == [200], "a machine that starts in 1970 keeps who is logged in", nvrd.log()[-1000:])
    clock.say(0, True)
    report(statuses(nvrd, anna) == [200], "also when its clock is set")
    nvrd.stop()
    clock.say(8 * 86400 * 1000000, True)
    nvrd.start()
    report(statuses(nvrd, anna) == [401], "who does not come for a week is logged out, though nvrd did not run")
    clock.say(0, True)


def check_restart_file(nvrd, file):
    def warnings():
        return [line for line in nvrd.log().splitlines() if "nvrd.sessions" in line]

    report(not warnings(), "nothing of this is worth a warning", warnings())
    nvrd.stop()
    file.write_bytes(os.urandom(4096))
    nvrd.start()
    report(wait_for(lambda: file.read_bytes().startswith(b"nvrd-sessions-1 "), 10) and len(warnings()) == 1, "a broken file is replaced, and said once", warnings())
    trap = nvrd.store / "nvrd.sessions.new"  # which cannot be written then, by nobody
    trap.mkdir()
    olga, nas = log_in(nvrd, "olga", "pw-olga"), log_in(nvrd, "nas", "pw-nas")
    report(wait_for(lambda: len(warnings()) == 2, 10) and statuses(nvrd, olga, nas) == [200, 200], "a disk that takes nothing costs nobody his login", warnings())
    trap.rmdir()
    nvrd.stop()
    nvrd.start()
    report(statuses(nvrd, olga, nas) == [200, 200] and len(warnings()) == 3, "what could not be written is at the end", warnings())


def check_views(nvrd, url, other):
    if not shutil.which("chromium") or not shutil.which("node"):
        skip("the form", "chromium or node is not installed")
        return
    job = {"url": url, "other": other, "stranger": "guest-of-" + url.partition(":")[0], "shots": os.environ.get("NVRD_SCREENSHOTS")}
    done = subprocess.run(["node", str(HERE / "login_views.mjs")], input=json.dumps(job), capture_output=True, text=True, timeout=400)
    if done.returncode:
        report(False, "the form can be used", done.stderr[-2000:])
    for line in done.stdout.splitlines():
        result = json.loads(line)
        report(result["holds"], f"{url.partition(':')[0]}: {result['name']}", result["detail"])


def main():
    nvrd = Nvrd(CAMERAS, users=users(), extra="log: {format: json}", https=True, segment="4s", listen=('webrtc: "127.0.0.1:0"',))
    report(wait_for(lambda: metric(nvrd, 'nvrd_recorder_segments_total{camera="porch"}') > 1, 60), "the camera is recorded")
    check_cookie(nvrd)
    check_curl(nvrd)
    other = Nvrd(CAMERAS, users=users(), https=True)
    check_two(nvrd, other)
    check_rights(nvrd)
    check_foreign(nvrd)
    check_clients(nvrd)
    check_end(nvrd)
    check_bounds(nvrd)
    check_views(nvrd, f"http://{nvrd.http}/", f"http://{other.http}/")
    check_views(nvrd, f"https://{nvrd.https}/", f"https://{other.https}/")
    other.stop()
    check_guesses(nvrd)
    check_restart()
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-2000:])
    finish()


main()
