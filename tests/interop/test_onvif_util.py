#!/usr/bin/env python3
"""onvif-util (Debian's onvif-tools) connects to nvrd as to a camera. It finds cameras by multicast alone: in a network of its own, where this test answers for nvrd."""
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading

from daemon import Nvrd, finish, report, skip, wait_for

MATCH = """<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><s:Header><wsa:MessageID>urn:uuid:1</wsa:MessageID>
<wsa:RelatesTo>{}</wsa:RelatesTo><wsa:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsa:To>
<wsa:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</wsa:Action></s:Header><s:Body><d:ProbeMatches><d:ProbeMatch><wsa:EndpointReference>
<wsa:Address>urn:uuid:2</wsa:Address></wsa:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>onvif://www.onvif.org/name/nvrd onvif://www.onvif.org/hardware/nvrd
</d:Scopes><d:XAddrs>http://{}/onvif/device_service</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"""
COMMANDS = ("get rtsp", "get time", "get profiles", "get video", "get video options", "get network", "quit")
INSIDE = "NVRD_TEST_ONVIF_UTIL_INSIDE"


def answer_probes(address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", 3702))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4s", socket.inet_aton("239.255.255.250"), socket.inet_aton("127.0.0.1")))
    while True:
        probe, client = s.recvfrom(65536)
        number = re.search(rb"MessageID[^>]*>([^<]*)<", probe)
        s.sendto(MATCH.format(number[1].decode() if number else "", address).encode(), client)


def inside():
    for words in ("link set lo up", "link set lo multicast on", "addr add 10.9.9.1/24 dev lo", "route add 224.0.0.0/4 dev lo"):
        subprocess.run(["ip", *words.split()], check=True)
    nvrd = Nvrd({"porch": {"source": '"test:"'}}, users='anna: {password: "secret", role: admin}', login=("anna", "secret"))
    threading.Thread(target=answer_probes, args=(nvrd.http,), daemon=True).start()
    wait_for(lambda: nvrd.metric('nvrd_camera_frames_total{camera="porch",kind="video"}') > 0, 30)
    done = subprocess.run(["onvif-util", "-u", "anna", "-p", "secret", nvrd.http.split(":")[0]], capture_output=True, text=True, timeout=60, input="\n".join(COMMANDS) + "\n")
    said = done.stdout
    report("successfully connected" in said and "name:   nvrd" in said, "it connects, and has the device's name", said + done.stderr)
    report("Token 0: porch" in said and "Resolution: 640 x 360" in said, "profile and encoder", said)
    report("IP Address: 127.0.0.1" in said and "Time Offset: 0 seconds" in said and "ERROR" not in said, "network and time, without an error", said)
    url = re.search(r"rtsp://\S+", said)
    probe = subprocess.run(["ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name", "-of", "csv=p=0",
                            url[0].replace("rtsp://", "rtsp://anna:secret@") if url else "none"], capture_output=True, text=True, timeout=60)
    report("h264" in probe.stdout, "the stream, which ffprobe plays", (said, probe.stderr))
    nvrd.stop()
    finish()


def main():
    if os.environ.get(INSIDE):
        inside()
    if not shutil.which("onvif-util"):
        skip("onvif-util", "not installed")
        return
    own = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    if subprocess.run([*own, "true"], capture_output=True).returncode:
        skip("onvif-util", "a network of its own cannot be made here")
        return
    sys.exit(subprocess.run([*own, sys.executable, __file__], env={**os.environ, INSIDE: "1"}).returncode)


main()
