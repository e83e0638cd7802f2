#!/usr/bin/env python3
"""Cameras that are ONVIF devices of their own: each at its address, alone, and somebody else than nvrd and the others."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

import own_network
from daemon import HERE, Nvrd, end, finish, report, skip, spawn, wait_for
from onvif_soap import Soap, problems
from prober import TYPES, Prober

USERS = """anna: {password: "secret", role: admin}
pat: {password: "porch", role: viewer, cameras: [porch]}"""
CAMERAS = ("porch", "yard", "shed")
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="nvrd-onvif-"))
TOPICS = "<tev:InitialTerminationTime>PT30S</tev:InitialTerminationTime>"
SETUP = "<trp:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP</tt:Protocol></tt:Transport></trp:StreamSetup>"


class Device:
    """What one of them says to a user."""

    def __init__(self, address, user="anna", password="secret"):
        self.address, self.soap = address, Soap(address, user, password, FOLDER)

    def identity(self):
        information = self.soap.call("tds:GetDeviceInformation")
        return (information.one("SerialNumber"), self.soap.call("tds:GetNetworkInterfaces").one("HwAddress"), self.soap.call("tds:GetEndpointReference").one("GUID"))

    def profiles(self):
        return self.soap.call("trt:GetProfiles").tokens("Profiles")

    def recordings(self):
        return self.soap.call("trc:GetRecordings").all("RecordingToken")

    def found(self):
        search = self.soap.call("tse:FindRecordings", "<tse:Scope/><tse:KeepAliveTime>PT10S</tse:KeepAliveTime>").one("SearchToken")
        results = self.soap.call("tse:GetRecordingSearchResults", f"<tse:SearchToken>{search}</tse:SearchToken><tse:WaitTime>PT10S</tse:WaitTime>")
        return results.all("RecordingToken")

    def heard(self):
        """The cameras of which the first events tell."""
        point = "/" + self.soap.call("tev:CreatePullPointSubscription", TOPICS).one("Address").split("/", 3)[3]
        pulled = self.soap.call("tev:PullMessages", "<tev:Timeout>PT5S</tev:Timeout><tev:MessageLimit>100</tev:MessageLimit>", point)
        return {name for name in CAMERAS if f'"{name}"' in pulled.text}

    def get(self, path):
        request = urllib.request.Request(f"http://{self.address}{path}", headers={"Authorization": "Basic YW5uYTpzZWNyZXQ="})
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code


def addresses(nvrd):
    return dict(re.findall(r"onvif: (\w+) is a device at ([0-9.:]+)", nvrd.log()))


def check_identity(devices, is_alone):
    identities = {name: device.identity() for name, device in devices.items()}
    report(all(len({i[n] for i in identities.values()}) == 3 and all(i[n] for i in identities.values()) for n in range(3)), "each has a serial number, a hardware address and a name of its own",
           identities)
    report(all(int(identities[name][1][:2], 16) & 3 == 2 for name in ("porch", "yard")), "those of the cameras are administered locally, and of one host", identities)
    told = {name: devices[name].soap.call("tds:GetNetworkInterfaces").all("Address") for name in ("porch", "yard")}
    report(not is_alone or all(told[name] == [devices[name].address.split(":")[0]] for name in told), "each has its address and no other", told)
    names = {name: [s for s in device.soap.call("tds:GetScopes").all("ScopeItem") if "/name/" in s] for name, device in devices.items()}
    report(names["porch"] == ["onvif://www.onvif.org/name/porch"] and names["all"] == ["onvif://www.onvif.org/name/nvrd"], "and is called as the camera is", names)
    return identities


def check_alone(devices):
    for name in ("porch", "yard"):
        device, other = devices[name], "yard" if name == "porch" else "porch"
        seen = (device.profiles(), device.recordings(), device.found(), device.heard())
        report(seen == ([name], [name], [name], {name}), f"{name} alone is among profiles, recordings, found recordings and events", seen)
        asked = (device.soap.call("trt:GetProfile", f"<trt:ProfileToken>{other}</trt:ProfileToken>").fault,
                 device.soap.call("trp:GetReplayUri", SETUP + f"<trp:RecordingToken>{other}</trp:RecordingToken>").fault)
        report(asked == ("NoProfile", "NoRecording"), f"{other} is not there", asked)
        gets = [device.get(path) for path in (f"/live/{name}/snapshot.jpg", f"/live/{other}/snapshot.jpg", "/recordings/", "/")]
        report(gets == [200, 404, 404, 404], "nor is its picture, nor the rest of nvrd", gets)
    report(devices["all"].profiles() == list(CAMERAS) and devices["all"].heard() == set(CAMERAS), "nvrd itself has them all")
    report(Device(devices["porch"].address, "pat", "porch").profiles() == ["porch"], "who may see a camera sees it there")
    pat = Device(devices["yard"].address, "pat", "porch")
    report((pat.profiles(), pat.recordings(), pat.heard()) == ([], [], set()), "and who may not, does not")


def check_npm(devices, identities):
    node = shutil.which("node")
    if not node or not any((pathlib.Path(p) / "onvif" / "package.json").is_file() for p in os.environ.get("NODE_PATH", "").split(":")):
        skip("npm's onvif", "node or the package is not there")
        return
    for name in ("porch", "yard"):
        process = spawn([node, HERE / "onvif_client.mjs", *devices[name].address.split(":"), "anna", "secret"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        said = {}
        while "snapshot" not in said and "error" not in said:
            line = process.stdout.readline()
            if not line:
                break
            row = json.loads(line)
            said[row["what"]] = row["value"]
        end(process)
        report(said.get("profiles") == [name] and said.get("information", {}).get("serialNumber") == identities[name][0] and said["stream"].endswith(f"/{name}"),
               f"npm's onvif connects to {name}", said)


def check_discovery(devices, identities):
    prober = Prober(own_network.FIRST)
    wanted = {identities[name][2]: name for name in devices}
    matches = {wanted.get(match.endpoint): match for match in prober.ask(TYPES, 3)}
    report(set(matches) == set(devices), "a Probe finds each", list(matches))
    report(all(matches[name].addresses == [f"http://{devices[name].address}/onvif/device_service"] for name in ("porch", "yard")), "at its own address",
           [match.text for match in matches.values()])
    scope = "onvif://www.onvif.org/name/yard"
    found = prober.ask(TYPES + f"<d:Scopes>{scope}</d:Scopes>")
    report([match.endpoint for match in found] == [identities["yard"][2]] and scope in found[0].scopes, "one by its name")
    for _ in range(400):
        prober.send("Probe", TYPES)
    soap = devices["all"].soap
    full = re.compile(r'nvrd_discovery_unanswered_total\{reason="full"\} [1-9]')
    report(wait_for(lambda: full.search(metrics(devices["all"].address)), 30) and soap.call("tds:GetScopes").status == 200, "of more answers than may wait, some are not given")
    numbers = []

    def is_answered():
        numbers.append(prober.send("Probe", TYPES))
        return any(len(prober.answers(number)) == 3 for number in numbers)

    report(wait_for(is_answered, 30), "and it answers again")
    prober.keep(FOLDER)
    return prober


def metrics(address):
    request = urllib.request.Request(f"http://{address}/metrics", headers={"Authorization": "Basic YW5uYTpzZWNyZXQ="})
    with urllib.request.urlopen(request, timeout=15) as answer:
        return answer.read().decode()


def main():
    is_alone = own_network.enter() and own_network.add_interface()
    first, second = (own_network.FIRST, own_network.SECOND) if is_alone else ("127.0.0.1", "127.0.0.2")
    nvrd = Nvrd(start=False, users=USERS, login=("anna", "secret"), extra=f'onvif:\n  devices: {{porch: "{first}:0", yard: "{second}:0"}}'
                + (f"\n  discover: [{own_network.INTERFACE}]\n  discoverable: yes" if is_alone else ""))
    nvrd.ports = ("0.0.0.0:0", "0.0.0.0:0")
    nvrd.configure({name: {"source": '"test:"'} for name in CAMERAS})
    nvrd.start()
    for name in CAMERAS:
        wait_for(lambda: nvrd.files(name), 30)
    devices = {name: Device(address) for name, address in {**addresses(nvrd), "all": nvrd.http}.items()}
    report(set(devices) == {"porch", "yard", "all"}, "two cameras are devices", nvrd.log()[-1500:])
    identities = check_identity(devices, is_alone)
    check_alone(devices)
    check_npm(devices, identities)
    prober = check_discovery(devices, identities) if is_alone else None
    if not prober:
        skip("they are found", "a network of its own cannot be made here")
    nvrd.file.write_text(nvrd.file.read_text().replace("yard: \"", "shed: \""))
    nvrd.reload()
    report(wait_for(lambda: "changes of onvif.devices need a restart" in nvrd.log(), 30), "other devices need a restart, which is said")
    report(nvrd.stop() == 0, "nvrd ends well")
    if prober:
        report(wait_for(lambda: {bye.endpoint for bye in prober.said("Bye")} == {i[2] for i in identities.values()}, 30), "each says farewell")
    nvrd.start()
    devices = {name: Device(address) for name, address in addresses(nvrd).items()}
    report(devices["porch"].identity() == identities["porch"] and devices["shed"].profiles() == ["shed"], "the same is the same after it, and the other one is there")
    nvrd.stop()
    wrong = problems(FOLDER)
    if wrong is None:
        skip("what they say is valid", "NVRD_ONVIF does not name the validator's folder")
    else:
        report(wrong == "", "what they say is valid", wrong)
    shutil.rmtree(FOLDER)
    finish()


main()
