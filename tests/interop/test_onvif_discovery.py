#!/usr/bin/env python3
"""
From nothing to recording in three steps: a camera is switched on, it is in /discovered/, it is copied into the configuration.
Then nvrd itself is what is found: by another one, by npm's onvif, and by what is asked here.
"""
import base64
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import media
import own_network
from daemon import HERE, Camera, Nvrd, finish, report, skip, wait_for
from onvif_camera import OnvifCamera
from onvif_soap import Soap, problems
from prober import TYPES, Prober

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


def check_finding():
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


# --- nvrd is found ---

SCOPE = "onvif://www.onvif.org/"
RULES = "http://schemas.xmlsoap.org/ws/2005/04/discovery/"


def scopes(text, rule=""):
    return TYPES + (f'<d:Scopes MatchBy="{RULES}{rule}">' if rule else "<d:Scopes>") + text + "</d:Scopes>"


def check_answers(nvrd, prober):
    soap = Soap(nvrd.http, "anna", "secret")
    match, *more = prober.ask(TYPES)
    report(not more and match.endpoint == soap.call("tds:GetEndpointReference").one("GUID"), "it answers a Probe by the name that GetEndpointReference says", match.text)
    report(match.scopes == soap.call("tds:GetScopes").all("ScopeItem") and {SCOPE + s for s in ("Profile/Streaming", "Profile/T", "Profile/G", "name/Gate%20house", "location/East")}
           < set(match.scopes), "with the scopes that GetScopes says", match.text)
    report(match.addresses == [f"http://{own_network.FIRST}:{nvrd.http.split(':')[1]}/onvif/device_service"], "and an address of the network on which it was asked", match.text)
    report(soap.call("tds:GetDiscoveryMode").one("DiscoveryMode") == "Discoverable" and 'DiscoveryBye="true"' in soap.call("tds:GetServiceCapabilities").text, "it says so")
    second = Prober(own_network.SECOND).ask(TYPES)[0]
    report(second.addresses == [f"http://{own_network.SECOND}:{nvrd.http.split(':')[1]}/onvif/device_service"], "or of the other network", second.text)
    report(second.sequence[0] == match.sequence[0] and second.sequence[1] > match.sequence[1], "each message has the next number", (match.sequence, second.sequence))
    for body in ("", scopes(f"{SCOPE}Profile {SCOPE}name"), scopes(f"ONVIF://WWW.onvif.org/Profile/G", "rfc3986"), scopes(f"{SCOPE}Profile/T", "strcmp0"),
                 '<d:Types xmlns:x="http://www.onvif.org/ver10/device/wsdl">x:Device</d:Types>'):
        report(len(prober.ask(body)) == 1, f"it is meant by {body or 'a Probe for anybody'}")
    others = ('<d:Types xmlns:x="urn:x">x:NetworkVideoTransmitter</d:Types>', scopes(f"{SCOPE}Prof"), scopes(f"{SCOPE}Profile {SCOPE}name/other"), scopes(f"{SCOPE}Profile", "strcmp0"),
              scopes(f"{SCOPE}Profile", "ldap"))
    numbers = [prober.send("Probe", body) for body in others]
    numbers += [prober.send("Resolve", "<a:EndpointReference><a:Address>urn:uuid:1</a:Address></a:EndpointReference>"), prober.send("Probe", TYPES, (own_network.FIRST, 3702))]
    found = prober.resolve(match.endpoint)
    report(len(found) == 1 and found[0].action == "ResolveMatches" and found[0].addresses == match.addresses, "a Resolve is answered", found)
    for _ in range(3):  # by then an answer would have come
        prober.ask(TYPES)
    report(not any(prober.answers(number) for number in numbers), "for other types, scopes and names there is no answer, nor for what is sent to its own address")


def check_foreign(nvrd, prober):
    prober.probe_from("198.51.100.7")
    report(wait_for(lambda: nvrd.metric('nvrd_discovery_unanswered_total{reason="foreign"}') == 1, 30), "who asks from another network is not answered")


def check_npm(prober):
    node = shutil.which("node")
    if not node or not any((pathlib.Path(p) / "onvif" / "package.json").is_file() for p in os.environ.get("NODE_PATH", "").split(":")):
        skip("npm's onvif", "node or the package is not there")
        return
    match = prober.ask(TYPES)[0]
    found = subprocess.run([node, HERE / "onvif_discovery.mjs", own_network.INTERFACE], capture_output=True, text=True, timeout=60)
    report([json.loads(line) for line in found.stdout.splitlines()] == [match.addresses], "npm's onvif finds it", found.stdout + found.stderr)


def shown(nvrd, other, name):
    """The file that the first one has of the other."""
    found = [path for path in names(nvrd) if path.startswith(f"/discovered/{name}") and path.endswith(f"-{other.http.split(':')[1]}.yaml")]
    return found[0] if found else None


def check_two(nvrd, prober):
    """The other one is told of it, takes it for a camera, and hears when it goes."""
    other = reachable("other", "")
    path = wait_for(lambda: shown(other, nvrd, "gate-house"), 30)
    report(path, "another nvrd is told of it", (names(other), other.log()[-1500:]))
    report(wait_for(lambda: shown(nvrd, other, "nvrd"), 30), "and the other way round", names(nvrd))
    report(not shown(nvrd, nvrd, "") and not shown(other, other, ""), "neither finds itself", (names(nvrd), names(other)))
    copied = ask(other, "COPY", path, Destination=f"http://{other.http}/config/cameras/gate.yaml")
    put = ask(other, "PUT", "/config/cameras/gate.yaml", ask(other, "GET", path)[1].replace("onvif://", "onvif://anna:secret@"))
    report(copied[0] == 201 and put[0] in (200, 204), "it is copied into the configuration, and a password with it", (copied, put))
    report(wait_for(lambda: other.files("gate"), 30), "the other one records from it", other.log()[-1500:])
    endpoint = prober.resolve(prober.ask(scopes(f"{SCOPE}name/Gate%20house"))[0].endpoint)[0].endpoint
    nvrd.file.write_text(nvrd.file.read_text().replace("Gate house", "Barn"))
    nvrd.reload()
    report(wait_for(lambda: any(SCOPE + "name/Barn" in hello.scopes for hello in prober.said("Hello", endpoint)), 30), "a new name is told of at once")
    report(wait_for(lambda: shown(other, nvrd, "barn") and not shown(other, nvrd, "gate-house"), 30), "and heard", names(other))
    hellos = [int(hello.one("MetadataVersion")) for hello in prober.said("Hello", endpoint)]
    report(hellos[0] < hellos[-1], "as a later version", hellos)
    before = len(prober.said("Bye", endpoint))
    report(nvrd.stop() == 0 and wait_for(lambda: len(prober.said("Bye", endpoint)) == before + 1, 30), "it says farewell")
    report(wait_for(lambda: not shown(other, nvrd, ""), 30), "which is heard", names(other))
    report(other.stop() == 0, "both end well")


def reachable(camera, options):
    """One that is found on that interface."""
    nvrd = Nvrd(start=False, users=USERS, extra=f"onvif: {{discover: [{own_network.INTERFACE}], discoverable: yes{options}}}", login=("anna", "secret"))
    nvrd.ports = ("0.0.0.0:0", "0.0.0.0:0")
    nvrd.configure({camera: {"source": '"test:"', "record": "off"}})
    nvrd.start()
    return nvrd


def check_being_found(folder):
    prober = Prober(own_network.FIRST)
    nvrd = reachable("gate", ', name: "Gate house", location: East')
    report(wait_for(lambda: prober.said("Hello"), 30), "nvrd says hello", nvrd.log()[-1500:])
    check_answers(nvrd, prober)
    check_foreign(nvrd, prober)
    check_npm(prober)
    check_two(nvrd, prober)
    prober.keep(folder)
    wrong = problems(folder)
    if wrong is None:
        skip("what it says is valid", "NVRD_ONVIF does not name the validator's folder")
    else:
        report(wrong == "", "what it says is valid", wrong)


def main():
    if own_network.enter() and own_network.add_interface():
        with tempfile.TemporaryDirectory() as folder:
            check_being_found(pathlib.Path(folder))
    else:
        skip("nvrd is found", "a network of its own cannot be made here")
    check_finding()
    finish()


main()
