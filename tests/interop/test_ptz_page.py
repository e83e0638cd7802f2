#!/usr/bin/env python3
"""
Moving cameras in the page: buttons, keys and touch in Chromium, and in Firefox; what the simulated camera is then asked; who may, and that a page of another
server may not. NVRD_SCREENSHOTS is a folder for pictures of the controls.
"""
import base64
import http.client
import http.server
import json
import os
import shutil
import subprocess
import threading

from daemon import HERE, Nvrd, finish, report, skip, wait_for
from onvif_camera import OnvifCamera
from onvif_soap import Soap, envelope

USERS = """olga: {password: "open sesame", role: operator}
vic: {password: "view", role: viewer}"""
PASSWORDS = {"olga": "open sesame", "vic": "view"}
MOVE = '<tptz:ContinuousMove><tptz:ProfileToken>dome</tptz:ProfileToken><tptz:Velocity><tt:PanTilt x="1" y="0"/></tptz:Velocity><tptz:Timeout>PT1S</tptz:Timeout></tptz:ContinuousMove>'
NAMES = ["gate", "<img src=x onerror=window.hacked=1>", *(f"place {n}" for n in range(3, 31))]
PRESETS = {str(n): (name, (0.0, 0.0, 0.0)) for n, name in enumerate(NAMES, 1)}


class Desk(http.server.ThreadingHTTPServer):
    """What a script in a browser's test asks of the camera: GET / is a page of another server, POST / forgets what the camera was asked, GET /moves tells it."""
    daemon_threads = True

    def __init__(self, camera):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *words):
                pass

            def answer(self, kind, text):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(text.encode())

            def do_GET(self):
                self.answer(*(("application/json", json.dumps(camera.moves)) if self.path == "/moves" else ("text/html", "<!doctype html><title>another</title>")))

            def do_POST(self):
                camera.moves.clear()
                camera.presets = dict(PRESETS)
                self.answer("text/plain", "")

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


def post(nvrd, path, fields, body=""):
    """Status and fields of the answer."""
    connection = http.client.HTTPConnection(nvrd.http, timeout=30)
    try:
        connection.request("POST", path, body, fields)
        answer = connection.getresponse()
        return answer.status, answer.headers
    finally:
        connection.close()


def basic(user):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{PASSWORDS[user]}".encode()).decode()}


def start(dome, **options):
    nvrd = Nvrd({"dome": {"source": '"test:"', "onvif": f'"{dome.url()}"', "record": "off"}, "yard": {"source": '"test:"', "record": "off"}}, users=USERS, **options)
    client = Soap(nvrd.http)
    base = "/nvr" if options else ""
    found = wait_for(lambda: "dome" in client.post(f"{base}/onvif/ptz_service", envelope("<tptz:GetNodes/>"), basic("olga")).text, 30)
    report(found, "it is found out that the camera can be moved", nvrd.log()[-2000:])
    return nvrd


def check_foreign(nvrd, dome):
    """The cookie stands for the password, unless the browser says that the page is another server's."""
    here = f"http://{nvrd.http}"
    rows = [("olga", {}, 200), ("olga", {"Origin": here}, 200), ("olga", {"Origin": here, "Sec-Fetch-Site": "same-origin"}, 200), ("vic", {"Origin": here}, 400),
            ("olga", {"Origin": "http://127.0.0.1:1"}, 401), ("olga", {"Origin": "null"}, 401), ("olga", {"Origin": here, "Sec-Fetch-Site": "same-site"}, 401), ("olga", {"Sec-Fetch-Site": "cross-site"}, 401)]
    cookies = {user: post(nvrd, "/login", basic(user))[1]["Set-Cookie"].partition(";")[0] for user in PASSWORDS}
    soap = {"Content-Type": "application/soap+xml"}
    wrong = []
    for user, fields, expected in rows:
        dome.moves.clear()
        status, answer = post(nvrd, "/onvif/ptz_service", {"Cookie": cookies[user], **soap, **fields}, envelope(MOVE))
        if (status, answer["Session-User"], bool(dome.moves)) != (expected, None if expected == 401 else user, expected == 200):
            wrong.append((user, fields, status, answer["Session-User"], dome.moves))
    report(not wrong, f"who has logged in to the page moves a camera as his role says, and no other page does in his name: {len(rows)} requests", wrong)
    status, answer = post(nvrd, "/onvif/ptz_service", {"X-Requested-With": "nvrd", **soap}, envelope(MOVE))
    report((status, answer["WWW-Authenticate"]) == (401, 'Session realm="nvrd"'), "the page's scripts are asked for no password", (status, answer["WWW-Authenticate"]))
    wait_for(lambda: dome.moves[-1:] and dome.moves[-1][0] == "Stop", 10)


def check_views(nvrd, desk, browser, url, only=()):
    job = {"browser": browser, "url": url, "desk": f"http://127.0.0.1:{desk.server_port}/", "only": only, "shots": os.environ.get("NVRD_SCREENSHOTS")}
    done = subprocess.run(["node", str(HERE / "ptz_views.mjs")], input=json.dumps(job), capture_output=True, text=True, timeout=400)
    if done.returncode:
        report(False, f"{browser}: cameras can be moved in the page", done.stderr[-2000:])
    for line in done.stdout.splitlines():
        result = json.loads(line)
        report(result["holds"], f"{browser}: {result['name']}", result["detail"])


def main():
    dome = OnvifCamera({"main": "rtsp://127.0.0.1:1/x"})
    dome.ptz, dome.presets = True, dict(PRESETS)
    desk = Desk(dome)
    nvrd = start(dome)
    check_foreign(nvrd, dome)
    browsers = [name for name, command in (("chromium", "chromium"), ("firefox", os.environ.get("FIREFOX", "firefox-esr"))) if shutil.which(command) and shutil.which("node")]
    for name in browsers:
        check_views(nvrd, desk, name, f"http://{nvrd.http}/")
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-1000:])
    if "chromium" in browsers:
        nvrd = start(dome, extra="http: {base_path: /nvr}")
        check_views(nvrd, desk, "chromium", f"http://{nvrd.http}/nvr/", ["hold"])
        report(nvrd.stop() == 0, "below another path: SIGTERM ends it", nvrd.log()[-1000:])
    else:
        skip("moving cameras in the page", "chromium or node is not installed")
    finish()


main()
