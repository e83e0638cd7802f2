#!/usr/bin/python3
"""A second implementation of WebRTC plays WHEP: whep_peer.py URL FRAMES [pli] [sound] [leave]

Ends when that many pictures (and, with "sound", frames of sound) came, or after 30 s, and prints one JSON object. pli: asks for a
keyframe in the middle. leave: goes without DELETE. Debian's own Python has aiortc.
"""
import asyncio
import base64
import json
import sys
import time
import urllib.parse
import urllib.request

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

LONGEST = 30


def send(method, url, body=None, **headers):
    at = urllib.parse.urlsplit(url)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if at.username:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{at.username}:{at.password}".encode()).decode()
    bare = urllib.parse.urlunsplit(at._replace(netloc=at.netloc.rpartition("@")[2]))
    request = urllib.request.Request(bare, data=body, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=15) as answer:
        return answer.status, answer.headers, answer.read().decode()


async def read(track, seen):
    while True:
        frame = await track.recv()
        seen.setdefault("first", time.monotonic())
        seen["frames"] += 1
        if track.kind == "video":
            seen["size"] = [frame.width, frame.height]
            seen["times"].append(round(frame.time, 6))
        else:
            seen["loudest"] = max(seen["loudest"], int(abs(frame.to_ndarray().astype(int)).max()))


async def ask_for_keyframe(peer):
    receiver = next(r for r in peer.getReceivers() if r.track.kind == "video")
    await receiver._send_rtcp_pli(next(iter(receiver._RTCRtpReceiver__active_ssrc)))


async def play(url, frames, modes):
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    seen = {"video": {"frames": 0, "times": []}, "audio": {"frames": 0, "loudest": 0}}
    readers = []
    peer.addTransceiver("video", direction="recvonly")
    if "sound" in modes:  # aiortc cannot live with a medium that is refused
        peer.addTransceiver("audio", direction="recvonly")
    peer.on("track", lambda track: readers.append(asyncio.ensure_future(read(track, seen[track.kind]))))
    await peer.setLocalDescription(await peer.createOffer())
    begin = time.monotonic()
    status, headers, answer = send("POST", url, peer.localDescription.sdp.encode(), Content_Type="application/sdp")
    resource = urllib.parse.urljoin(url, headers["Location"])
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    asked_at = None
    while time.monotonic() < begin + LONGEST and peer.connectionState not in ("failed", "closed"):
        await asyncio.sleep(0.05)
        if "pli" in modes and asked_at is None and seen["video"]["frames"] > frames // 2:
            asked_at = seen["video"]["frames"]
            await ask_for_keyframe(peer)
        if seen["video"]["frames"] >= frames and ("sound" not in modes or seen["audio"]["frames"] >= frames):
            break
    first = seen["video"].pop("first", None)
    result = {"status": status, "state": peer.connectionState, "start": first and round(first - begin, 3), "asked_at": asked_at, **seen}
    if "leave" not in modes:
        result["deleted"] = send("DELETE", resource)[0]
    for reader in readers:
        reader.cancel()
    print(json.dumps(result), flush=True)
    await peer.close()


asyncio.run(play(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
