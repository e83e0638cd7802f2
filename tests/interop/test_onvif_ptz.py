#!/usr/bin/env python3
"""Moving cameras by ONVIF: nvrd as the device that is asked, and as the client that asks the simulated camera, which tells what it was asked."""
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from daemon import HERE, Nvrd, finish, report, skip, wait_for
from onvif_camera import OnvifCamera
from onvif_soap import Soap, check_messages
from scripted_camera import ScriptedCamera

USERS = """anna: {password: "secret", role: admin}
olga: {password: "open sesame", role: operator}
otto: {password: "gates", role: operator, cameras: [gate]}
vic: {password: "view", role: viewer}"""
PASSWORDS = {"anna": "secret", "olga": "open sesame", "otto": "gates", "vic": "view"}
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="nvrd-onvif-ptz-"))
PATIENCE = 30
SPACE = "http://www.onvif.org/ver10/tptz/"

PROFILE = "<tptz:ProfileToken>dome</tptz:ProfileToken>"
VELOCITY = '<tptz:Velocity><tt:PanTilt x="0.5" y="0"/></tptz:Velocity>'
ZOOM = '<tptz:Velocity><tt:Zoom x="-1"/></tptz:Velocity>'
SECOND = "<tptz:Timeout>PT1S</tptz:Timeout>"
FIVE = SECOND.replace("1S", "5S")  # enough to ask something else meanwhile
PRESET = "<tptz:PresetToken>1</tptz:PresetToken>"
VIEWER, OPERATOR = 1, 2
# ONVIF PTZ Service Specification: what there is, and its access class.
ROWS = [
    ("GetServiceCapabilities", "", 0), ("GetNodes", "", VIEWER), ("GetConfigurations", "", VIEWER),
    ("GetNode", "<tptz:NodeToken>dome</tptz:NodeToken>", VIEWER),
    ("GetConfiguration", "<tptz:PTZConfigurationToken>dome</tptz:PTZConfigurationToken>", VIEWER),
    ("GetConfigurationOptions", "<tptz:ConfigurationToken>dome</tptz:ConfigurationToken>", VIEWER),
    ("GetCompatibleConfigurations", PROFILE, VIEWER), ("GetPresets", PROFILE, VIEWER), ("GetStatus", PROFILE, VIEWER),
    ("SetPreset", PROFILE + "<tptz:PresetName>x</tptz:PresetName>", OPERATOR), ("GotoPreset", PROFILE + PRESET, OPERATOR), ("RemovePreset", PROFILE + PRESET, OPERATOR),
    ("SetHomePosition", PROFILE, OPERATOR), ("GotoHomePosition", PROFILE, OPERATOR),
    ("ContinuousMove", PROFILE + VELOCITY + SECOND, OPERATOR),
    ("RelativeMove", PROFILE + '<tptz:Translation><tt:PanTilt x="0.1" y="0.1"/></tptz:Translation>', OPERATOR),
    ("AbsoluteMove", PROFILE + '<tptz:Position><tt:PanTilt x="0.1" y="0.1"/></tptz:Position>', OPERATOR),
    ("Stop", PROFILE, OPERATOR),
]
# To a viewer no camera can be moved.
VIEWERS_FAULTS = {"GetNode": "NoEntity", "GetConfiguration": "NoConfig", "GetConfigurationOptions": "NoConfig", "GetPresets": "NoPTZProfile", "GetStatus": "NoPTZProfile"}


def names(camera):
    return [name for name, _ in camera.moves]


def forget(camera):
    camera.moves.clear()
    camera.presets = {"1": ("gate", (0.5, 0.25, 0.0))}


def saw(camera, moves):
    return wait_for(lambda: camera.moves == moves, PATIENCE)


# --- what there is, and who may ---

def check_roles(nvrd, dome):
    wrong = []
    for rank, user in enumerate((None, "vic", "olga", "anna")):
        client = Soap(nvrd.http, user, PASSWORDS.get(user), FOLDER)
        forget(dome)
        for name, body, least in ROWS:
            answer = client.call("tptz:" + name, body, timeout=PATIENCE)
            fault = "NotAuthorized" if rank < least else VIEWERS_FAULTS.get(name, "") if user == "vic" else ""
            expected = (400 if user else 401) if fault else 200, fault
            if (answer.status, answer.fault) != expected:
                wrong.append((user, name, answer.status, answer.fault, answer.text))
        if user == "vic":
            told = [client.call(name).tokens(kind) for name, kind in (("tptz:GetNodes", "PTZNode"), ("tptz:GetConfigurations", "PTZConfiguration"), ("trt:GetProfiles", "PTZConfiguration"))]
            report(not names(dome) and not any(told), "a viewer moves nothing, and is told of nothing that moves", (names(dome), told))
    report(not wrong, f"{len(ROWS)} operations are for nobody, viewers and operators as the access classes say", wrong)
    wait_for(lambda: names(dome)[-1:] == ["Stop"], PATIENCE)
    otto, anna = (Soap(nvrd.http, user, PASSWORDS[user], FOLDER) for user in ("otto", "anna"))
    report(otto.call("tptz:GetNodes").tokens("PTZNode") == ["gate"] and otto.call("tptz:Stop", PROFILE).fault == "NoProfile"
           and otto.call("tptz:GetNode", "<tptz:NodeToken>dome</tptz:NodeToken>").fault == "NoEntity", "of cameras that a user may not see, he is not told")
    report(anna.call("tptz:GetNodes").tokens("PTZNode") == ["dome", "gate"] and anna.call("tptz:GetConfigurations").tokens("PTZConfiguration") == ["dome", "gate"],
           "the cameras that can be moved are nodes, by `source` and by `onvif`")
    yard = PROFILE.replace("dome", "yard")
    report(anna.call("tptz:Stop", yard).fault == "NoPTZProfile" and not anna.call("tptz:GetCompatibleConfigurations", yard).tokens("PTZConfiguration"), "others are none")
    profiles, profiles2 = anna.call("trt:GetProfiles"), anna.call("tr2:GetProfiles", "<tr2:Type>PTZ</tr2:Type>")
    report(profiles.tokens("PTZConfiguration") == profiles2.tokens("PTZ") == ["dome", "dome", "gate"], "media profiles have the configuration, of both streams", (profiles.text, profiles2.text))
    node = anna.call("tptz:GetNode", "<tptz:NodeToken>dome</tptz:NodeToken>")
    report(node.one("MaximumNumberOfPresets") == "9" and node.one("HomeSupported") == "true" and sorted(node.all("URI")) == sorted(
        SPACE + name for name in ("PanTiltSpaces/PositionGenericSpace", "PanTiltSpaces/TranslationGenericSpace", "PanTiltSpaces/VelocityGenericSpace", "ZoomSpaces/VelocityGenericSpace")),
        "a node can what the camera's node can that its profile names", node.text)
    addresses = anna.call("tds:GetServices", "<tds:IncludeCapability>false</tds:IncludeCapability>").all("XAddr") + anna.call("tds:GetCapabilities").all("XAddr")
    report(len([a for a in addresses if a.endswith("/ptz_service")]) == 2, "GetServices and GetCapabilities have the service", addresses)


def check_arguments(nvrd, dome):
    client = Soap(nvrd.http, "olga", PASSWORDS["olga"], FOLDER)
    forget(dome)
    wrong = {
        "a move without velocity": ("ContinuousMove", ""),
        "a velocity that is no number": ("ContinuousMove", VELOCITY.replace("0.5", "fast")),
        "one that is infinite": ("ContinuousMove", VELOCITY.replace("0.5", "INF")),
        "a timeout that is none": ("ContinuousMove", VELOCITY + "<tptz:Timeout>soon</tptz:Timeout>"),
        "a position without its y": ("AbsoluteMove", '<tptz:Position><tt:PanTilt x="1"/></tptz:Position>'),
        "a preset without a name": ("GotoPreset", ""),
        "a token of 65 letters": ("GotoPreset", f"<tptz:PresetToken>{65 * 'a'}</tptz:PresetToken>"),
        "a stop that may be": ("Stop", "<tptz:Zoom>perhaps</tptz:Zoom>"),
    }
    for what, (name, body) in wrong.items():
        report(client.call("tptz:" + name, PROFILE + body).fault == "InvalidArgs", f"{what} is refused")
    report(not dome.moves, "and the camera is not asked", dome.moves)
    answer = client.call("tptz:GotoPreset", PROFILE + PRESET.replace("1", "nowhere"), timeout=PATIENCE)
    report((answer.status, answer.fault) == (400, "NoToken") and answer.all("Value")[1] == "ter:InvalidArgVal" and "it is said" in answer.text, "the camera's fault comes back as it is", answer.text)
    client.call("tptz:ContinuousMove", PROFILE + VELOCITY + "<tptz:Timeout>PT1H</tptz:Timeout>", timeout=PATIENCE)
    client.call("tptz:Stop", PROFILE, timeout=PATIENCE)
    report(dome.moves[1:] == [("ContinuousMove", {"Velocity": (0.5, 0), "Timeout": "PT10S"}), ("Stop", {})], "no move lasts for more than ten seconds", dome.moves)
    forget(dome)
    client.call("tptz:AbsoluteMove", PROFILE + f'<tptz:Position><tt:PanTilt x="-1e-1" y="+.5" space="{SPACE}x"/><tt:Zoom x="1"/></tptz:Position><tptz:Speed><tt:Zoom x="0.5"/></tptz:Speed>', timeout=PATIENCE)
    report(dome.moves == [("AbsoluteMove", {"Position": (-0.1, 0.5, 1), "Speed": (None, None, 0.5)})], "numbers of every form arrive", dome.moves)
    client.call("tptz:SetPreset", PROFILE + "<tptz:PresetName>&lt;here&gt; &amp; \u00fc</tptz:PresetName>", timeout=PATIENCE)
    report(dome.moves[-1] == ("SetPreset", {"PresetName": "<here> & \u00fc"}) and client.call("tptz:GetPresets", PROFILE, timeout=PATIENCE).all("Name") == ["gate", "&lt;here&gt; &amp; \u00fc"],
           "and names of all letters, there and back", dome.moves)
    report(f'space="{SPACE}x"'.encode() in b"".join(dome.messages[-3:]), "and spaces as they are named")


# --- what moves on is stopped ---

def check_dead_man(nvrd, dome):
    client = Soap(nvrd.http, "olga", PASSWORDS["olga"], FOLDER)
    pan, zoom = {"Velocity": (0.5, 0), "Timeout": "PT1S"}, {"Velocity": (None, None, -1), "Timeout": "PT1S"}
    pan_stops, zoom_stops = {"PanTilt": "true", "Zoom": "false"}, {"PanTilt": "false", "Zoom": "true"}

    def move(velocity, timeout=SECOND):
        return client.call("tptz:ContinuousMove", PROFILE + velocity + timeout, timeout=PATIENCE)

    forget(dome)
    report(move(VELOCITY).status == 200 and saw(dome, [("ContinuousMove", pan), ("Stop", pan_stops)]), "a move that nobody renews is stopped", dome.moves)
    forget(dome)
    move(VELOCITY, "")
    report(saw(dome, [("ContinuousMove", {"Velocity": (0.5, 0)}), ("Stop", pan_stops)]), "one without a timeout, too", dome.moves)
    forget(dome)
    move(VELOCITY, FIVE)
    client.call("tptz:Stop", PROFILE, timeout=PATIENCE)
    move(ZOOM)
    report(saw(dome, [("ContinuousMove", {**pan, "Timeout": "PT5S"}), ("Stop", {}), ("ContinuousMove", zoom), ("Stop", zoom_stops)]), "what the mover has stopped is not stopped again", dome.moves)
    forget(dome)
    move(VELOCITY, FIVE)
    move(ZOOM)
    both = {"PanTilt": "true", "Zoom": "true"}
    report(saw(dome, [("ContinuousMove", {**pan, "Timeout": "PT5S"}), ("ContinuousMove", zoom), ("Stop", both)]), "what moves in two ways ends with the first", dome.moves)
    forget(dome)
    move('<tptz:Velocity><tt:PanTilt x="1" y="1"/><tt:Zoom x="1"/></tptz:Velocity>', FIVE)
    move('<tptz:Velocity><tt:PanTilt x="0" y="0"/></tptz:Velocity>')
    wait_for(lambda: names(dome)[-1:] == ["Stop"], PATIENCE)
    report(names(dome) == ["ContinuousMove", "ContinuousMove", "Stop"] and dome.moves[-1][1] == zoom_stops, "no velocity is a stop, of that axis", dome.moves)
    forget(dome)
    move(VELOCITY, FIVE)
    client.call("tptz:GotoPreset", PROFILE + PRESET, timeout=PATIENCE)
    move(ZOOM)
    wait_for(lambda: names(dome)[-1:] == ["Stop"], PATIENCE)
    report(names(dome) == ["ContinuousMove", "GotoPreset", "ContinuousMove", "Stop"] and dome.moves[-1][1] == zoom_stops, "on its way to a preset it is not stopped", dome.moves)


# --- what waits ---

def check_queue(nvrd, dome):
    client = Soap(nvrd.http, "olga", PASSWORDS["olga"], FOLDER)
    dropped = 'nvrd_camera_ptz_dropped_total{camera="dome"}'

    def relative(x):
        return "RelativeMove", f'<tptz:Translation><tt:PanTilt x="{x}" y="0"/></tptz:Translation>'

    def ask(pool, name, body=""):
        """Sent, and on its way or waiting when this returns."""
        return pool.submit(client.as_user("olga", PASSWORDS["olga"]).call, "tptz:" + name, PROFILE + body, timeout=60)

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        forget(dome)
        before = nvrd.metric(dropped)
        dome.holds = True
        waiting = [ask(pool, *relative(0.1))]
        wait_for(lambda: dome.moves, PATIENCE)
        for n in (2, 3, 4):
            waiting.append(ask(pool, *relative(n / 10)))
            if n < 4:
                replaced = n - 2
                wait_for(lambda: nvrd.metric(dropped) == before + replaced, PATIENCE)
        report(wait_for(lambda: nvrd.metric(dropped) == before + 2, PATIENCE), "a newer move takes the place of one that waits, and it is counted", nvrd.metric(dropped))
        report(all(call.result().status == 200 for call in waiting[1:3]), "whoever asked for that is answered at once")
        dome.release()
        report(all(call.result().status == 200 for call in waiting) and saw(dome, [("RelativeMove", {"Translation": (0.1, 0)}), ("RelativeMove", {"Translation": (0.4, 0)})]),
               "the camera gets the newest", dome.moves)

        forget(dome)
        dome.holds = True
        waiting = [ask(pool, "GetStatus")]
        wait_for(lambda: dome.moves, PATIENCE)
        waiting += [ask(pool, "GetPresets"), ask(pool, *relative(0.5)), ask(pool, *relative(0.6))]
        wait_for(lambda: nvrd.metric(dropped) == before + 3, PATIENCE)  # one of them waits
        waiting.append(ask(pool, "Stop"))
        report(wait_for(lambda: nvrd.metric(dropped) == before + 4, PATIENCE), "a stop takes the place of a move", nvrd.metric(dropped))
        dome.release()
        report(all(call.result().status == 200 for call in waiting) and names(dome)[:2] == ["GetStatus", "Stop"] and sorted(names(dome)) == ["GetPresets", "GetStatus", "Stop"],
               "and goes first", dome.moves)

        forget(dome)
        dome.holds = True
        waiting = [ask(pool, "GetStatus")]
        wait_for(lambda: dome.moves, PATIENCE)
        waiting.append(ask(pool, "ContinuousMove", ZOOM + SECOND))
        waiting.append(ask(pool, *relative(0.5)))
        dome.release()
        report(all(call.result().status == 200 for call in waiting) and {"ContinuousMove", "RelativeMove"} < set(names(dome)) and nvrd.metric(dropped) == before + 4,
               "a move of another axis waits beside it", dome.moves)
        wait_for(lambda: names(dome)[-1:] == ["Stop"], PATIENCE)

        forget(dome)
        dome.holds = True
        first = ask(pool, "GetStatus")
        wait_for(lambda: dome.moves, PATIENCE)
        waiting = [ask(pool, "GetStatus") for _ in range(24)]
        report(wait_for(lambda: nvrd.metric(dropped) > before + 4, PATIENCE), "of 24 that wait some are refused")
        late = first.result()
        report((late.status, late.fault) == (500, "Action"), "a camera that does not answer is not waited for", late.text)
        dome.release()
        faults = [call.result().fault for call in waiting]
        report(faults.count("OutofMemory") == nvrd.metric(dropped) - before - 4 and set(faults) <= {"OutofMemory", "Action", ""}, "and counted", faults)
    report(wait_for(lambda: client.call("tptz:GetStatus", PROFILE, timeout=PATIENCE).status == 200, PATIENCE), "when it answers again, it is asked again")
    dome.clock, dome.login = dome.clock - 86400, "token"
    report(wait_for(lambda: client.call("tptz:GetStatus", PROFILE, timeout=PATIENCE).status == 200, PATIENCE), "also when its clock has become another")


# --- clients ---

def check_npm(nvrd, dome):
    node = shutil.which("node")
    if not node or not any((pathlib.Path(p) / "onvif" / "package.json").is_file() for p in os.environ.get("NODE_PATH", "").split(":")):
        skip("npm's onvif", "node or the package is not there")
        return
    forget(dome)
    host, port = nvrd.http.split(":")
    done = subprocess.run([node, HERE / "onvif_ptz.mjs", host, port, "olga", PASSWORDS["olga"]], stdout=subprocess.PIPE, text=True, timeout=120)
    said = {row["what"]: row["value"] for row in map(json.loads, done.stdout.splitlines())}
    if not report("end" in said and done.returncode == 0, "npm's onvif moves a camera", said.get("error") or said):
        return
    report("dome" in said["nodes"] and said["configurations"]["dome"]["nodeToken"] == "dome" and said["options"]["spaces"]["absolute"]["x"]["min"] == -1, "it reads nodes, configurations and options", said)
    report((said["status"]["position"]["x"], said["status"]["position"]["y"]) == (-0.5, 0.75), "and where the camera is", said["status"])
    report(str(said["presets"]["over there"]["$"]["token"]) == "2" and said["presets"]["gate"]["PTZPosition"]["panTilt"]["$"]["x"] == 0.5, "and its presets", said["presets"])
    report(dome.moves == [
        ("ContinuousMove", {"Velocity": (0.5, -0.25, 0), "Timeout": "PT5S"}), ("Stop", {"PanTilt": "true", "Zoom": "true"}), ("RelativeMove", {"Translation": (0.1, 0, 0)}),
        ("AbsoluteMove", {"Position": (-0.5, 0.75, 0.5), "Speed": (1, 1, 1)}), ("GetStatus", {}), ("SetPreset", {"PresetName": "over there"}), ("GetPresets", {}),
        ("GotoPreset", {"PresetToken": "1"}), ("RemovePreset", {"PresetToken": "1"}), ("SetHomePosition", {}), ("GotoHomePosition", {})], "the camera gets the same", dome.moves)


def check_another_nvrd(nvrd, gate):
    """Its camera is the one that its user may see."""
    gate.moves.clear()
    other = Nvrd({"far": {"source": f'"onvif://otto:gates@{nvrd.http}"', "record": "off"}})
    client = Soap(other.http, folder=FOLDER)
    report(wait_for(lambda: client.call("tptz:GetNodes").tokens("PTZNode") == ["far"], PATIENCE), "another nvrd can move the camera of this one", other.log()[-2000:])
    client.call("tptz:ContinuousMove", PROFILE.replace("dome", "far") + ZOOM, timeout=PATIENCE)
    report(wait_for(lambda: gate.moves == [("ContinuousMove", {"Velocity": (None, None, -1)})], PATIENCE), "and does", gate.moves)
    report(other.stop() == 0, "it stops")
    report(wait_for(lambda: names(gate)[:2] == ["ContinuousMove", "Stop"], PATIENCE), "and the camera with it", gate.moves)


# --- the end ---

def check_end(nvrd, dome, cameras):
    client = Soap(nvrd.http, "anna", PASSWORDS["anna"], FOLDER)
    forget(dome)
    client.call("tptz:ContinuousMove", PROFILE + VELOCITY, timeout=PATIENCE)
    nvrd.configure({name: options for name, options in cameras.items() if name != "dome"})
    nvrd.reload()
    report(wait_for(lambda: names(dome) == ["ContinuousMove", "Stop"], PATIENCE), "a camera that leaves the configuration is stopped", dome.moves)
    report(wait_for(lambda: client.call("tptz:GetNodes").tokens("PTZNode") == ["gate"], PATIENCE), "and is no node any more")
    nvrd.configure(cameras)
    nvrd.reload()
    report(wait_for(lambda: client.call("tptz:GetNodes").tokens("PTZNode") == ["dome", "gate"], PATIENCE), "until it comes back")
    forget(dome)
    client.call("tptz:ContinuousMove", PROFILE + VELOCITY, timeout=PATIENCE)
    report(nvrd.stop() == 0 and names(dome) == ["ContinuousMove", "Stop"], "when nvrd ends, it is stopped", dome.moves)


def main():
    rtsp = ScriptedCamera()
    url = f"rtsp://127.0.0.1:{rtsp.port}/stream"
    dome, gate = OnvifCamera({"second": url, "first": url}, "cam", "pass"), OnvifCamera({"only": url})
    dome.sizes = [(640, 360), (1280, 720)]
    dome.ptz = gate.ptz = True
    gate.prefixes, gate.services = "odd", "media"
    cameras = {"dome": {"source": f'"{dome.url(user="cam:pass")}"', "substream": f'"{url}"', "transport": "tcp", "record": "off"},
               "gate": {"source": f'"{url}"', "onvif": f'"{gate.url()}"', "transport": "tcp", "record": "off"}, "yard": {"source": '"test:"', "record": "off"}}
    nvrd = Nvrd(cameras, users=USERS, extra="log: {level: debug}", login=("anna", "secret"))
    client = Soap(nvrd.http, "anna", PASSWORDS["anna"], FOLDER)
    report(wait_for(lambda: len(client.call("tptz:GetNodes").tokens("PTZNode")) == 2, PATIENCE), "it is found out which cameras can be moved", nvrd.log()[-3000:])
    check_roles(nvrd, dome)
    check_arguments(nvrd, dome)
    check_dead_man(nvrd, dome)
    check_queue(nvrd, dome)
    check_npm(nvrd, dome)
    check_another_nvrd(nvrd, gate)
    check_end(nvrd, dome, cameras)
    check_messages("ptz", FOLDER, ROWS, {"dome": dome, "gate": gate})
    report("runtime error" not in nvrd.log() and "AddressSanitizer" not in nvrd.log(), "the sanitizers are silent", nvrd.log()[-3000:])
    shutil.rmtree(FOLDER, ignore_errors=True)
    finish()


main()
