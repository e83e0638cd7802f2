#!/usr/bin/env python3
"""Setting cameras' pictures by ONVIF: nvrd as the device that is asked, and as the client that asks the simulated camera, which tells what it was asked."""
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from daemon import HERE, Nvrd, finish, report, skip, wait_for
from onvif_camera import SETTINGS, OnvifCamera
from onvif_soap import Soap, check_messages
from scripted_camera import ScriptedCamera

USERS = """anna: {password: "secret", role: admin}
olga: {password: "open sesame", role: operator}
otto: {password: "gates", role: operator, cameras: [gate]}
vic: {password: "view", role: viewer}"""
PASSWORDS = {"anna": "secret", "olga": "open sesame", "otto": "gates", "vic": "view"}
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="nvrd-onvif-imaging-"))
PATIENCE = 30


def source(name):
    return f"<timg:VideoSourceToken>{name}</timg:VideoSourceToken>"


def settings(text):
    return f"<timg:ImagingSettings>{text}</timg:ImagingSettings>"


def focus(text):
    return f"<timg:Focus>{text}</timg:Focus>"


BRIGHTNESS = settings("<tt:Brightness>51</tt:Brightness>")
MOVE = focus("<tt:Relative><tt:Distance>0.1</tt:Distance></tt:Relative>")
VIEWER, OPERATOR = 1, 2
# ONVIF Imaging Service Specification: what there is, and its access class.
ROWS = [("GetServiceCapabilities", "", 0), *((name, source("dome"), VIEWER) for name in ("GetImagingSettings", "GetOptions", "GetMoveOptions", "GetStatus")),
        ("SetImagingSettings", source("dome") + BRIGHTNESS, OPERATOR), ("Move", source("dome") + MOVE, OPERATOR), ("Stop", source("dome"), OPERATOR)]


def names(camera):
    return [name for name, _ in camera.pictures]


def values(answer, names):
    return [answer.all(name) for name in names]


def check_roles(nvrd, dome):
    wrong = []
    for rank, user in enumerate((None, "vic", "olga", "anna")):
        client = Soap(nvrd.http, user, PASSWORDS.get(user), FOLDER)
        dome.pictures.clear()
        for name, body, least in ROWS:
            answer = client.call("timg:" + name, body, timeout=PATIENCE)
            expected = (200, "") if rank >= least else (400 if user else 401, "NotAuthorized")
            if (answer.status, answer.fault) != expected:
                wrong.append((user, name, answer.status, answer.fault, answer.text))
        if user == "vic":
            report(names(dome) == ["GetImagingSettings", "GetOptions", "GetMoveOptions", "GetStatus"], "a viewer looks and sets nothing", names(dome))
    report(not wrong, f"{len(ROWS)} operations are for nobody, viewers and operators as the access classes say", wrong)
    otto, anna = (Soap(nvrd.http, user, PASSWORDS[user], FOLDER) for user in ("otto", "anna"))
    answers = [otto.call("timg:GetImagingSettings", source(name)) for name in ("dome", "gate")]
    report([answer.fault for answer in answers] == ["NoSource", ""] and anna.call("timg:GetImagingSettings", source("nowhere")).fault == "NoSource", "of cameras that a user may not see, he is not told")
    for name in ("yard", "plain"):
        answer = anna.call("timg:SetImagingSettings", source(name) + BRIGHTNESS)
        report((answer.status, answer.fault, answer.all("Value")[1]) == (500, "NoImagingForSource", "ter:ActionNotSupported"), f"{name} has no imaging, and it is said", answer.text)
    addresses = anna.call("tds:GetServices", "<tds:IncludeCapability>true</tds:IncludeCapability>").all("XAddr") + anna.call("tds:GetCapabilities").all("XAddr")
    report(len([a for a in addresses if a.endswith("/imaging_service")]) == 2, "GetServices and GetCapabilities have the service", addresses)


def check_settings(nvrd, dome, gate):
    client = Soap(nvrd.http, "olga", PASSWORDS["olga"], FOLDER)
    dome.settings, dome.pictures = dict(SETTINGS), []
    answer = client.call("timg:GetImagingSettings", source("dome"))
    report(values(answer, ("Brightness", "ColorSaturation", "Contrast", "Sharpness", "IrCutFilter", "NearLimit", "AutoFocusMode", "MaxGain", "Priority", "Level", "CrGain", "CbGain", "Mode"))
           == [["50"], ["60.5"], ["70"], ["40"], ["AUTO"], ["-1"], ["MANUAL"], ["42"], ["FrameRate"], ["0.5"], ["10"], ["20"], ["OFF", "AUTO", "ON", "MANUAL"]], "the settings are the camera's", answer.text)
    new = settings("<tt:WhiteBalance><tt:Mode>AUTO</tt:Mode></tt:WhiteBalance><tt:Brightness>0.125</tt:Brightness><tt:WideDynamicRange><tt:Level>2e1</tt:Level><tt:Mode>OFF</tt:Mode>"
                   "</tt:WideDynamicRange><tt:Hue>3</tt:Hue>")
    answer = client.call("timg:SetImagingSettings", source("dome") + new + "<timg:ForcePersistence>1</timg:ForcePersistence>")
    expected = {"Brightness": "0.125", "WideDynamicRange/Mode": "OFF", "WideDynamicRange/Level": "20", "WhiteBalance/Mode": "AUTO", "ForcePersistence": "true"}
    report(answer.status == 200 and dome.pictures[1:] == [("SetImagingSettings", expected)], "the camera gets what is set", dome.pictures)
    answer = client.call("timg:GetImagingSettings", source("dome"))
    report(values(answer, ("Brightness", "Level", "Contrast", "Mode")) == [["0.125"], ["20"], ["70"], ["OFF", "AUTO", "OFF", "AUTO"]], "and tells it", answer.text)
    answer = client.call("timg:GetOptions", source("dome"))
    report(values(answer, ("Max", "IrCutFilterModes", "Mode")) == [["100", "99.5", "42"], ["ON", "OFF", "AUTO"], ["AUTO", "MANUAL"]], "options are the camera's", answer.text)
    answer = client.call("timg:GetImagingSettings", source("gate"))
    report(answer.status == 200 and values(answer, ("Brightness", "Contrast", "Gain", "Hue", "Sharpness")) == [["50"], [], [], [], ["40"]], "what a camera says wrongly is left out", answer.text)
    answer = client.call("timg:SetImagingSettings", source("dome") + settings("<tt:Brightness>101</tt:Brightness>"))
    report((answer.status, answer.fault) == (400, "SettingsInvalid") and "it is said" in answer.text, "the camera's fault comes back as it is", answer.text)


def check_focus(nvrd, dome):
    client = Soap(nvrd.http, "olga", PASSWORDS["olga"], FOLDER)
    dome.pictures.clear()
    client.call("timg:Move", source("dome") + focus("<tt:Continuous><tt:Speed>-5</tt:Speed></tt:Continuous>"))
    client.call("timg:Stop", source("dome"))
    report(dome.pictures == [("Move", {"Continuous/Speed": "-5"}), ("Stop", {})], "the focus is moved and stopped", dome.pictures)
    answer = client.call("timg:GetStatus", source("dome"))
    report(values(answer, ("Position", "MoveStatus")) == [["0.25"], ["IDLE"]], "where it is is told", answer.text)
    answer = client.call("timg:GetMoveOptions", source("dome"))
    report(answer.all("Max") == ["1", "7"], "and how it can be moved", answer.text)


def check_arguments(nvrd, dome):
    client = Soap(nvrd.http, "olga", PASSWORDS["olga"], FOLDER)
    dome.pictures.clear()
    wrong = {
        "no settings": ("SetImagingSettings", ""),
        "a brightness that is no number": ("SetImagingSettings", BRIGHTNESS.replace("51", "bright")),
        "one that is infinite": ("SetImagingSettings", BRIGHTNESS.replace("51", "INF")),
        "a filter that may be": ("SetImagingSettings", settings("<tt:IrCutFilter>PERHAPS</tt:IrCutFilter>")),
        "an exposure without its mode": ("SetImagingSettings", settings("<tt:Exposure><tt:Gain>1</tt:Gain></tt:Exposure>")),
        "a persistence that may be": ("SetImagingSettings", BRIGHTNESS + "<timg:ForcePersistence>perhaps</timg:ForcePersistence>"),
        "a move without a focus": ("Move", ""),
        "one without its distance": ("Move", focus("<tt:Relative/>")),
    }
    for what, (name, body) in wrong.items():
        report(client.call("timg:" + name, source("dome") + body).fault == "InvalidArgs", f"{what} is refused")
    report(not dome.pictures, "and the camera is not asked", dome.pictures)


def check_queue(nvrd, dome):
    client = Soap(nvrd.http, "vic", PASSWORDS["vic"], FOLDER)
    dropped = 'nvrd_camera_ptz_dropped_total{camera="dome"}'
    before = nvrd.metric(dropped)
    dome.holds = True
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        waiting = [pool.submit(client.as_user("vic", PASSWORDS["vic"]).call, "timg:GetStatus", source("dome"), timeout=60) for _ in range(24)]
        report(wait_for(lambda: nvrd.metric(dropped) > before, PATIENCE), "of 24 that wait some are refused", nvrd.metric(dropped))
        dome.release()
        faults = [call.result().fault for call in waiting]
    report(faults.count("OutofMemory") == nvrd.metric(dropped) - before and set(faults) <= {"OutofMemory", "Action", ""}, "and counted", faults)
    report(wait_for(lambda: client.call("timg:GetStatus", source("dome"), timeout=PATIENCE).status == 200, PATIENCE), "then it is asked again")
    dome.clock, dome.login = dome.clock - 86400, "token"
    report(wait_for(lambda: client.call("timg:GetStatus", source("dome"), timeout=PATIENCE).status == 200, PATIENCE), "also when its clock has become another")


def check_npm(nvrd, dome):
    node = shutil.which("node")
    if not node or not any((pathlib.Path(p) / "onvif" / "package.json").is_file() for p in os.environ.get("NODE_PATH", "").split(":")):
        skip("npm's onvif", "node or the package is not there")
        return
    dome.settings, dome.pictures = dict(SETTINGS), []
    host, port = nvrd.http.split(":")
    done = subprocess.run([node, HERE / "onvif_imaging.mjs", host, port, "olga", PASSWORDS["olga"]], stdout=subprocess.PIPE, text=True, timeout=120)
    said = {row["what"]: row["value"] for row in map(json.loads, done.stdout.splitlines())}
    if not report("end" in said and done.returncode == 0, "npm's onvif sets a picture", said.get("error") or said):
        return
    before, after = said["before"], said["after"]
    report((before["brightness"], before["contrast"], before["focus"]["autoFocusMode"], before["wideDynamicRange"]) == (50, 70, "MANUAL", {"mode": "ON", "level": 0.5}), "it reads the settings", before)
    report((after["brightness"], after["contrast"], after["sharpness"], after["irCutFilter"], after["exposure"]["exposureTime"]) == (33, 44.5, 7, "OFF", 20000), "and those that it has set", after)
    report(said["options"]["brightness"] == {"min": 0, "max": 100} and said["moves"]["continuous"]["speed"]["max"] == 7 and said["status"]["focusStatus20"]["moveStatus"] == "IDLE", "options and status, too", said)
    report(dome.pictures == [
        ("GetImagingSettings", {}), ("GetOptions", {}),
        ("SetImagingSettings", {"Brightness": "33", "Contrast": "44.5", "Exposure/Mode": "MANUAL", "Exposure/ExposureTime": "20000", "Focus/AutoFocusMode": "AUTO", "IrCutFilter": "OFF", "Sharpness": "7"}),
        ("GetImagingSettings", {}), ("GetMoveOptions", {}), ("Move", {"Continuous/Speed": "-3"}), ("Stop", {}), ("GetStatus", {})], "the camera gets the same", dome.pictures)


def main():
    rtsp = ScriptedCamera()
    url = f"rtsp://127.0.0.1:{rtsp.port}/stream"
    dome, gate, plain, late = OnvifCamera({"first": url}, "cam", "pass"), *(OnvifCamera({"only": url}) for _ in range(3))
    dome.imaging, gate.imaging, gate.ptz, late.imaging = "good", "broken", True, "good"
    gate.prefixes, gate.services, late.services = "odd", "media", "none"
    cameras = {"dome": {"source": f'"{dome.url(user="cam:pass")}"', "transport": "tcp", "record": "off"}, "yard": {"source": '"test:"', "record": "off"},
               **{name: {"source": f'"{url}"', "onvif": f'"{camera.url()}"', "transport": "tcp", "record": "off"} for name, camera in (("gate", gate), ("plain", plain), ("late", late))}}
    nvrd = Nvrd(cameras, users=USERS, extra="log: {level: debug}", login=("anna", "secret"))
    client = Soap(nvrd.http, "anna", PASSWORDS["anna"], FOLDER)
    report(wait_for(lambda: all(client.call("timg:GetStatus", source(name)).status == 200 for name in ("dome", "gate")), PATIENCE), "it is found out whose picture can be set", nvrd.log()[-3000:])
    report(wait_for(lambda: late.operations().count("GetServices") >= 2, PATIENCE) and client.call("timg:GetStatus", source("late")).fault == "NoImagingForSource", "of a camera that cannot be looked up it is not known")
    late.services = "all"
    check_roles(nvrd, dome)
    check_settings(nvrd, dome, gate)
    check_focus(nvrd, dome)
    check_arguments(nvrd, dome)
    check_queue(nvrd, dome)
    check_npm(nvrd, dome)
    report(wait_for(lambda: client.call("timg:GetStatus", source("late")).status == 200, 120), "it is looked up again until it is", nvrd.log()[-3000:])
    report(nvrd.stop() == 0, "it stops")
    check_messages("imaging", FOLDER, ROWS, {"dome": dome, "gate": gate})
    report("runtime error" not in nvrd.log() and "AddressSanitizer" not in nvrd.log(), "the sanitizers are silent", nvrd.log()[-3000:])
    shutil.rmtree(FOLDER, ignore_errors=True)
    finish()


main()
