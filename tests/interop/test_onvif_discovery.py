#!/usr/bin/env python3
"""From nothing to recording in three steps: a camera is switched on, it is in /discovered/, it is copied into the configuration."""
import base64
import http.client
import pathlib
import tempfile

import media
from daemon import Camera, Nvrd, finish, report, skip, wait_for
from onvif_camera import OnvifCamera

ADMIN, VIEWER = "anna:secret", "vera:secret"
USERS = "anna: {password: secret, role: admin}\nvera: {password: secret, role: viewer}"


def ask(nvrd, method, path, body=None, user=ADMIN, **headers):
    """The status and the body of the answer."""
    client = http.client.HTTPConnection(nvrd.http, timeout=10)
    client.request(method, path, body, {"Authorization": "Basic " + base64.b64encode(user.encode()).decode(), **headers})
    answer = client.getresponse()
    return answer.status, answer.read().decode()


def names(nvrd, path="/discovered/", user=ADMIN):
    status, body = ask(nvrd, "PROPFIND", path, user=user, Depth="1")
    return [part.split("<")[0] for part in body.replace("D:", "").split("href>")[1::2]] if status == 207 else []


def main():
    with tempfile.TemporaryDirectory() as folder:
        rtsp = Camera(f"main=file:{media.make('onvif-main', 60, size='1280x720', bitrate='800k')}", options=("--user", "cam:pass"))
        camera = OnvifCamera({"main": rtsp.url("main")}, "cam", "pass")
        early = OnvifCamera({"main": rtsp.url("main")}, "cam", "pass")
        early.switch_on()
        nvrd = Nvrd({"other": {"source": '"test:"', "record": "off"}}, users=USERS, extra="onvif: {discover: [lo]}", login=("anna", "secret"))
        path = f"/discovered/simulated-one-127-0-0-1-{camera.port}.yaml"
        before = f"/discovered/simulated-one-127-0-0-1-{early.port}.yaml"
        report(wait_for(lambda: before in names(nvrd), 20), "a camera that was there before answers", (names(nvrd), nvrd.log()[-1500:]))
        report(path not in names(nvrd), "the other one is off")
        camera.switch_on()
        report(wait_for(lambda: path in names(nvrd), 20), "it is switched on, and there", (names(nvrd), nvrd.log()[-1500:]))
        report("/discovered/" in names(nvrd, "/"), "the root names the folder")
        status, text = ask(nvrd, "GET", path)
        report(status == 200 and f'source: "onvif://127.0.0.1:{camera.port}/onvif/device_service"' in text and "S1" in text and "profiles: T" in text,
               "its file is a block of a camera", (status, text))
        report(names(nvrd, user=VIEWER) == [] and ask(nvrd, "GET", path, user=VIEWER)[0] in (403, 404) and "/discovered/" not in names(nvrd, "/", VIEWER), "which only admins see")
        refused = [ask(nvrd, "PUT", path, "source: 'test:'")[0], ask(nvrd, "DELETE", path)[0], ask(nvrd, "COPY", "/config/nvrd.yaml", Destination=f"http://{nvrd.http}{path}")[0],
                   ask(nvrd, "MKCOL", "/discovered/x")[0], ask(nvrd, "MOVE", path, Destination=f"http://{nvrd.http}/config/cameras/x.yaml")[0]]
        report(all(status >= 400 for status in refused), "and nobody changes", refused)
        copied = ask(nvrd, "COPY", path, Destination=f"http://{nvrd.http}/config/cameras/porch.yaml")
        report(copied[0] == 201, "it is copied into the configuration", copied)
        report(wait_for(lambda: "camera porch: wrong user or password" in nvrd.log(), 20), "where it wants its password", nvrd.log()[-1500:])
        status, shown = ask(nvrd, "GET", "/config/cameras/porch.yaml")
        report(status == 200 and "onvif://127.0.0.1" in shown, "the file is there", (status, shown))
        put = ask(nvrd, "PUT", "/config/cameras/porch.yaml", shown.replace("onvif://", "onvif://cam:pass@"))
        report(put[0] in (200, 204), "which is put in", put)
        report(wait_for(lambda: nvrd.files("porch"), 30), "and it records", nvrd.log()[-1500:])
        camera.switch_off()
        report(wait_for(lambda: path not in names(nvrd), 10) and before in names(nvrd), "it says farewell, and is not there any more", names(nvrd))
        report(ask(nvrd, "GET", path)[0] == 404, "nor is its file")
        report(nvrd.metric("nvrd_discovery_devices") == 1, "one is left")
        early.speaker.sendto(b"no message", ("239.255.255.250", 3702))
        report(wait_for(lambda: nvrd.metric("nvrd_discovery_refused_total") >= 1, 10), "what is no message is counted")
        report(nvrd.stop() == 0, "nvrd ends well")
        problems = camera.problems(pathlib.Path(folder))
        if problems is None:
            skip("what is asked is valid", "NVRD_ONVIF does not name the validator's folder")
        else:
            report(problems == "", "what it is asked is valid", problems)
        rtsp.stop()
    finish()


main()
