#!/usr/bin/env python3
"""
Sound that is made on demand: G.711 becomes AAC in HLS and live.mp4, at the same time as the pictures; AAC becomes Opus in WebRTC; recordings
stay as they were, and when nobody listens nothing is made.
"""
import array
import concurrent.futures
import json
import pathlib
import shutil
import subprocess
import time

import llhls
import media
from daemon import HERE, Camera, Nvrd, finish, report, skip, wait_for

SECONDS = 8  # of what is looked at
APART_S = 0.05
RATE = 48000
WHEP = "WebRTC"


def flashes():
    """A file in which a flash and a tone begin each second, as long as a fifth of one: H.264, and sound that has not been coded."""
    path = media.CACHE / "flashes-2.mkv"
    if not path.exists():
        media.CACHE.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.mkv")
        media.run("ffmpeg", "-nostdin", "-v", "error", "-y",
                  "-f", "lavfi", "-i", "color=black:size=320x180:rate=25:duration=240,drawbox=color=white:t=fill:enable='lt(mod(t,1),0.2)'",
                  "-f", "lavfi", "-i", "aevalsrc='0.7*sin(2*PI*1000*t)*lt(mod(t,1),0.2)':sample_rate=8000:duration=240",
                  *media.H264, "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "pcm_s16le", str(part))
        part.rename(path)
    return path


def onsets(values, times, threshold, quiet):
    """When something begins after it has been quiet for so long."""
    found, last = [], None
    for value, at in zip(values, times):
        if abs(value) < threshold:
            continue
        if last is not None and at - last > quiet:
            found.append(at)
        last = at
    return found


def probe(path, kind, entries):
    out = media.run("ffprobe", "-v", "error", "-select_streams", kind, "-show_entries", entries, "-of", "json", str(path))
    return json.loads(out)


def seen_and_heard(path):
    """The instants at which flashes and tones begin, by the file's own times."""
    frames = json.loads(media.run("ffprobe", "-v", "error", "-f", "lavfi", f"movie={path},signalstats", "-show_entries",
                                  "frame=pts_time:frame_tags=lavfi.signalstats.YAVG", "-of", "json"))["frames"]
    seen = onsets([float(f["tags"]["lavfi.signalstats.YAVG"]) for f in frames], [float(f["pts_time"]) for f in frames], 128, 0.4)
    start = float(probe(path, "a:0", "packet=pts_time")["packets"][0]["pts_time"])
    samples = array.array("h", media.run("ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-map", "0:a:0", "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"))
    heard = onsets(samples, (start + i / RATE for i in range(len(samples))), 6000, 0.4)
    return seen, heard


def check_alignment(path, name):
    codec = probe(path, "a:0", "stream=codec_name,sample_rate").get("streams") or [{}]
    if not report(codec[0].get("codec_name") == "aac", f"{name}: ffprobe says that its sound is AAC", codec):
        return
    seen, heard = seen_and_heard(path)
    apart = [min((h - s for h in heard), key=abs) for s in seen[1:-1]] if heard else []
    print(f"# {name}: tones after flashes by {[round(1000 * a) for a in apart]} ms")
    report(len(apart) >= SECONDS - 4 and all(abs(a) < APART_S for a in apart), f"{name}: flash and tone are together", (seen, heard))
    times = [float(p["pts_time"]) for p in probe(path, "a:0", "packet=pts_time")["packets"]]
    steps = [round((b - a) * RATE) for a, b in zip(times, times[1:])]
    report(len(steps) > 100 and all(abs(step - 1024) <= 2 for step in steps), f"{name}: the sound has no hole", sorted(set(steps)))


def encoders(nvrd, codec):
    return nvrd.metric(f'nvrd_sound_encoders{{codec="{codec}"}}')


def threads(nvrd):
    return [path.read_text().strip() for path in pathlib.Path(f"/proc/{nvrd.process.pid}/task").glob("*/comm")]


def nobody_listens(nvrd, name):
    idle = wait_for(lambda: encoders(nvrd, "aac") + encoders(nvrd, "opus") == 0 and "sound" not in threads(nvrd), 60)
    report(idle, f"{name}: nobody listens, nothing is made, there is no thread for it", threads(nvrd))


def check_live_mp4(nvrd, name):
    path = nvrd.folder / f"{name}.mp4"
    subprocess.run(["curl", "-s", "-m", str(SECONDS + 2), "-o", path, f"http://{nvrd.http}/live/{name}/live.mp4"], check=False, timeout=60)
    check_alignment(path, f"live.mp4 of {name}")
    nobody_listens(nvrd, f"live.mp4 of {name}")


def check_hls(nvrd, name):
    index = nvrd.get(f"/live/{name}/index.m3u8").decode()
    report('CODECS="avc1.' in index and ',mp4a.40.2"' in index, "the multivariant playlist names AAC", index)
    path = nvrd.folder / f"{name}-hls.nut"
    media.run("ffmpeg", "-nostdin", "-v", "error", "-y", "-t", str(SECONDS), "-i", f"http://{nvrd.http}/live/{name}/media.m3u8", "-c", "copy", "-copyts", str(path))
    check_alignment(path, f"HLS of {name}")
    faults = []
    player = llhls.Player(f"http://{nvrd.http}/live/{name}/media.m3u8", SECONDS, faults, name)
    player.play()
    print(f"# strict player: {player.counts}")
    report(not faults and player.counts["audio"] > SECONDS and player.counts["parts"] > SECONDS, "a strict player finds nothing", "\n".join(faults[:20]))
    report(encoders(nvrd, "aac") == 1, "all of HLS has one encoder", encoders(nvrd, "aac"))


def check_change(nvrd, cameras, url):
    """The camera is set to AAC while somebody plays, and back."""
    faults = []
    player = llhls.Player(f"http://{nvrd.http}/live/pcmu/media.m3u8", 30, faults, "change")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        playing = pool.submit(player.play)
        wait_for(lambda: encoders(nvrd, "aac") == 1, 10)
        nvrd.configure({**cameras, "pcmu": {**cameras["pcmu"], "source": f'"{url}"'}})
        nvrd.reload()
        report(wait_for(lambda: player.counts["discontinuities"] == 1 and encoders(nvrd, "aac") == 0, 20), "the camera's own AAC needs no encoder any more")
        nvrd.configure(cameras)
        nvrd.reload()
        report(wait_for(lambda: player.counts["discontinuities"] == 2 and encoders(nvrd, "aac") == 1, 20), "when it sends G.711 again, there is one again")
        playing.result()
    print(f"# strict player: {player.counts}")
    report(not faults and player.counts["discontinuities"] >= 2 and player.counts["audio"] > 10, "a strict player follows", "\n".join(faults[:20]) or player.counts)


def check_browser(nvrd, path):
    words = ["node", HERE / "sound.mjs", f"http://{nvrd.http}/", path]
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    seen = json.loads(done.stdout) if done.returncode == 0 else {"errors": done.stderr[-1500:]}
    print(f"# {path}: {seen}")
    report(not seen["errors"] and seen["bytes"] > 0 and seen["loudest"] > 0.05, f"Chromium plays {path} with sound", seen)


# --- WebRTC ---

def whep_in_chromium(nvrd, name, made):
    words = ["node", HERE / "whep.mjs", f"http://{nvrd.http}/", f"/live/{name}/whep", "sound"]
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    seen = json.loads(done.stdout) if done.returncode == 0 else {"second": {}, "begun": {"text": ""}, "errors": done.stderr[-1500:]}
    report(seen["second"].get("energy", 0) > 0 and seen["second"]["frames"] > 30, f"{WHEP}: Chromium hears {name}", seen)
    report((" opus/48000" in seen["begun"]["text"]) == made, f"{WHEP}: {name} is {'made Opus' if made else 'sent as it is'}", seen["begun"]["text"])


def whep_in_aiortc(nvrd, name):
    words = ["/usr/bin/python3", HERE / "whep_peer.py", f"http://{nvrd.http}/live/{name}/whep", "100", "sound"]
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
    seen = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"audio": {}, "errors": done.stderr[-1500:]}
    report(seen["audio"].get("frames", 0) >= 100 and seen["audio"]["loudest"] > 1000, f"{WHEP}: aiortc hears {name}", seen)


def check_whep(nvrd):
    before = encoders(nvrd, "opus")
    if shutil.which("chromium") and shutil.which("node"):
        whep_in_chromium(nvrd, "pcmu", False)
        report(before == encoders(nvrd, "opus") == 0, f"{WHEP}: G.711 needs no encoder")
        whep_in_chromium(nvrd, "aac", True)
        whep_in_chromium(nvrd, "g726", True)
    else:
        skip(f"{WHEP} in Chromium", "chromium or node is not installed")
    if subprocess.run(["/usr/bin/python3", "-c", "import aiortc"], capture_output=True).returncode == 0:
        whep_in_aiortc(nvrd, "aac")
        whep_in_aiortc(nvrd, "pcmu")
    else:
        skip(f"{WHEP} by aiortc", "python3-aiortc is not installed")
    nobody_listens(nvrd, WHEP)


def main():
    # aiortc wants 20 ms of G.711 in each packet
    pictures = f"filesrc location={flashes()} ! matroskademux name=d d. ! queue ! h264parse ! rtph264pay config-interval=-1 name=pay0 pt=96 d. ! queue"
    camera = Camera(f"pcmu=( {pictures} ! audioconvert ! mulawenc ! rtppcmupay min-ptime=20000000 max-ptime=20000000 name=pay1 pt=0 )",
                    f"g726=( {pictures} ! audioconvert ! avenc_g726 bitrate=32000 ! rtpg726pay name=pay1 pt=97 )",
                    f"aac=( {pictures} ! audioconvert ! audioresample ! audio/x-raw,rate=48000 ! avenc_aac ! aacparse ! rtpmp4gpay name=pay1 pt=97 )")
    cameras = {name: {"source": f'"{camera.url(name)}"', "record": "continuous" if name == "pcmu" else "off"} for name in ("pcmu", "g726", "aac")}
    nvrd = Nvrd(cameras, listen=['webrtc: "127.0.0.1:0"'])
    for name in ("pcmu", "g726", "aac"):
        wait_for(lambda: nvrd.metric(f'nvrd_camera_up{{camera="{name}"}}') == 1, 30, name)
    nobody_listens(nvrd, "at the start")
    check_live_mp4(nvrd, "pcmu")
    check_live_mp4(nvrd, "g726")
    check_hls(nvrd, "pcmu")
    if shutil.which("chromium") and shutil.which("node"):
        check_browser(nvrd, "/live/pcmu/index.m3u8")
        check_browser(nvrd, "/live/pcmu/live.mp4")
    else:
        skip("Chromium", "chromium or node is not installed")
    if nvrd.get("/live/").decode().find("/whep\"") >= 0:
        check_whep(nvrd)
    else:
        skip(WHEP, "nvrd was built without libsrtp2")
    recorded = probe(nvrd.files("pcmu")[0], "a:0", "stream=codec_name").get("streams") or [{}]
    report(recorded[0].get("codec_name") == "pcm_mulaw", "what is recorded is what the camera sent", recorded)
    check_change(nvrd, cameras, camera.url("aac"))
    report(nvrd.metric('nvrd_sound_dropped_packets_total{stream="pcmu"}') == 0, "nothing was dropped")
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-1000:])
    camera.stop()
    finish()


main()
