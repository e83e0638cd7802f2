#!/usr/bin/env python3
"""Real RTSP servers as cameras: GStreamer's by TLS, through HTTP, with other codecs; and those of servers.py."""
import re
import shutil
import subprocess
import tempfile

import media
import servers
from daemon import Camera, Nvrd, finish, report, wait_for

FRAMES = 150
VIDEO = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1 ! x264enc tune=zerolatency key-int-max=25 ! rtph264pay name=pay0 pt=96"
SOUND = "audiotestsrc is-live=true wave=ticks ! audioconvert ! audioresample !"
MOUNTS = {
    # name: pipeline, codec of the picture, codec of the sound in the file (None: left out)
    "mjpeg": ("( videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 ! jpegenc ! rtpjpegpay name=pay0 pt=26 )", "mjpeg", None),
    "pcmu": (f"( {VIDEO} {SOUND} audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay1 pt=0 )", "h264", "pcm_mulaw"),
    "pcma": (f"( {VIDEO} {SOUND} audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8 )", "h264", "pcm_alaw"),
    "l16": (f"( {VIDEO} {SOUND} audio/x-raw,rate=16000,channels=1 ! rtpL16pay name=pay1 pt=97 )", "h264", "pcm_s16be"),
    "opus": (f"( {VIDEO} {SOUND} audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay name=pay1 pt=97 )", "h264", "opus"),
    "latm": (f"( {VIDEO} {SOUND} audio/x-raw,rate=48000,channels=2 ! avenc_aac ! rtpmp4apay name=pay1 pt=97 )", "h264", "aac"),
    "g726": (f"( {VIDEO} {SOUND} audio/x-raw,rate=8000,channels=1 ! avenc_g726 bitrate=32000 ! rtpg726pay name=pay1 pt=97 )", "h264", None),
    "toaac": (f"( {VIDEO} {SOUND} audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay1 pt=0 )", "h264", "aac"),
}


def certificate(folder, name):
    pem, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=camera",
                    "-keyout", key, "-out", pem], check=True, capture_output=True)
    print_of = subprocess.run(["openssl", "x509", "-in", pem, "-noout", "-fingerprint", "-sha256"], check=True, capture_output=True, text=True).stdout
    pem.write_text(pem.read_text() + key.read_text())
    return pem, "sha256:" + print_of.strip().rpartition("=")[2]


def streams(path):
    out = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=codec_type,codec_name", "-of", "csv=p=0", str(path)],
                         capture_output=True, text=True).stdout.split()
    return {kind: codec for codec, kind in (line.split(",")[:2] for line in out)}


def files_to_publish(folder, source):
    """What is sent into servers, by the name of its path."""
    hevc = media.make("hevc", 60, codec=media.H265, size="640x360", audio=False, bitrate="500k")
    files = {"aac": source, "hevc": hevc, "opus": folder / "opus.mkv", "pcma": folder / "pcma.mkv"}
    for name, sound in (("opus", ["-c:a", "libopus", "-ac", "2"]), ("pcma", ["-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1"])):
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", str(source), "-t", "60", "-c:v", "copy", *sound, str(files[name])], check=True)
    return files


def check_packets(name, files, source):
    """What was recorded is a piece of the file without a hole, picture and sound, byte for byte."""
    report(len(files) == 1, f"{name}: one recording", files)
    for kind in ("v:0", "a:0"):
        sent = [p[3] for p in media.packets(source, kind)]
        got = media.packets(files[0], kind)
        if sent:
            report(got and media.run_of([p[3] for p in got], sent) >= 0, f"{name}: {len(got)} packets of {kind} are a run of what was sent")
        if kind == "v:0":
            steps = [b[1] - a[1] for a, b in zip(got, got[1:])]
            report(all(abs(step - 0.04) < 0.0005 for step in steps), f"{name}: a picture each 40 ms", steps)


def check_b_frames(path, source):
    """Presentation times in decoding order, frame by frame, against the file that the camera played."""
    def times(file):
        out = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts,dts,flags", "-of", "csv=p=0", str(file)],
                             capture_output=True, text=True, check=True).stdout.split()
        return [line.split(",") for line in out]

    got, sent = times(path), times(source)
    report(all(int(b[1]) > int(a[1]) for a, b in zip(got, got[1:])), "b-frames: DTS rises")
    report(all(int(p[0]) >= int(p[1]) for p in got), "b-frames: no picture is shown before it is decoded")
    frame = (int(sent[-1][1]) - int(sent[0][1])) / (len(sent) - 1)
    order = [round((int(p[0]) - int(sent[0][0])) / frame) for p in sent]
    steps = [b - a for a, b in zip(order, order[1:])]
    ticks = [(int(b[0]) - int(a[0])) for a, b in zip(got, got[1:])]
    unit = 3600 if max(ticks) > 1000 else 40
    mine = [t / unit for t in ticks]
    found = next((at for at in range(len(steps) - len(mine) + 1) if all(abs(s - m) < 0.002 for s, m in zip(steps[at:], mine))), None)
    report(found is not None and any(s < 0 for s in steps), "b-frames: PTS are those of the source, frame by frame", (mine[:20], steps[:20]))


def main():
    folder = media.pathlib.Path(tempfile.mkdtemp(prefix="nvrd-test-"))
    source = media.make("small", 120, size="640x360", bitrate="500k")
    bframes = folder / "b.mp4"
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-t", "60", "-c:v", "libx264",
                    "-preset", "veryfast", "-bf", "3", "-g", "50", "-b:v", "300k", str(bframes)], check=True)
    pem, fingerprint = certificate(folder, "camera")
    _, other = certificate(folder, "other")
    plain = Camera(f"a=file:{source}", f"b=file:{bframes}:silent")
    others = Camera(*(f"{name}={row[0]}" for name, row in MOUNTS.items()))
    login = Camera(f"a=file:{source}", options=("--user", "anna:secret"))
    # a mount each: PLAY of one reader moves a shared one back for the others
    tls = Camera(*(f"{name}=file:{source}" for name in "abc"), options=("--tls", str(pem)))
    secure = tls.url("a").replace("rtsp:", "rtsps:")
    files = files_to_publish(folder, source)
    found = servers.vlc(files) | servers.perl(files) | servers.mediamtx(files, folder, pem) | servers.go2rtc(files, folder) | servers.live555(files, folder)
    cameras = {
        "pinned": {"source": f'"{secure}"', "tls_fingerprint": f'"{fingerprint}"'},
        "unchecked": {"source": f'"{tls.url("b").replace("rtsp:", "rtsps:")}"', "tls_verify": "no"},
        "checked": {"source": f'"{secure}"'},
        "mispinned": {"source": f'"{secure}"', "tls_fingerprint": f'"{other}"'},
        "tunnel": {"source": f'"{plain.url("a").replace("rtsp:", "rtsp+http:")}"'},
        "tunnel-login": {"source": f'"{login.url("a", "anna:secret").replace("rtsp:", "rtsp+http:")}"'},
        "tunnel-tls": {"source": f'"{tls.url("c").replace("rtsp:", "rtsp+https:")}"', "tls_verify": "no"},
        "bframes": {"source": f'"{plain.url("b")}"'},
    }
    cameras |= {name: {"source": f'"{others.url(name)}"'} for name in MOUNTS}
    cameras["toaac"]["audio"] = "aac"
    cameras |= {name: options for name, (options, _) in found.items()}
    nvrd = Nvrd(cameras, segment="1h")
    refused = ("checked", "mispinned")
    good = [name for name in cameras if name not in refused]

    def frames(name):
        return nvrd.metric(f'nvrd_camera_frames_total{{camera="{name}",kind="video"}}')

    wait_for(lambda: all(frames(name) >= FRAMES for name in good), 60)
    for name in good:
        report(frames(name) >= FRAMES, f"{name}: pictures arrive", [l for l in nvrd.log().splitlines() if f"camera {name}:" in l][-4:])
    for name, words in (("checked", "self-signed certificate"), ("mispinned", "fingerprint")):
        report(nvrd.metric(f'nvrd_camera_failures_total{{camera="{name}",reason="untrusted"}}') >= 1, f"{name}: is not trusted")
        lines = [l for l in nvrd.log().splitlines() if f"camera {name}:" in l and words in l]
        report(len(lines) == 1, f"{name}: one line says why", nvrd.log()[-1500:])
    report(len([l for l in nvrd.log().splitlines() if "camera g726:" in l and "audio: aac" in l]) == 1, "g726: one line says that its sound is left out",
           [l for l in nvrd.log().splitlines() if "g726" in l])
    for name, status in (("vlc", 461), ("perl-aac", 400)):
        if name in found:
            lines = [l for l in nvrd.log().splitlines() if f"camera {name}:" in l]
            report(any(f"refuses this transport ({status}): trying UDP" in l for l in lines), f"{name}: its {status} leads to UDP", lines)
    report("secret" not in nvrd.log(), "no password is in the log")
    report(nvrd.stop() == 0, "SIGTERM ends it")

    for name in good:
        files = nvrd.files(name)
        messages = [m for f in files for m in media.decode_messages(f).splitlines() if "Guessed Channel Layout" not in m]
        report(files and not messages, f"{name}: decodes without a message", (files, messages[:3]))
    for name, (_, picture, sound) in MOUNTS.items():
        got = streams(nvrd.files(name)[0])
        report(got == {"video": picture} | ({"audio": sound} if sound else {}), f"{name}: {picture} and {sound or 'no sound'}", got)
    check_b_frames(nvrd.files("bframes")[0], bframes)
    for name, (_, file) in found.items():
        if file:
            check_packets(name, nvrd.files(name), file)
    for process in (plain, others, login, tls):
        process.stop()
    shutil.rmtree(folder, ignore_errors=True)
    finish()


main()
