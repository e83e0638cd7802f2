#!/usr/bin/env python3
"""What goes wrong at people's homes: each gives one clear line with the camera's name and the cause, and a metric."""
import os
import socket
import subprocess

import media
from daemon import NVRD, Camera, Nvrd, finish, report, skip, wait_for


def run(*words):
    return subprocess.run([NVRD, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)


def check_cameras():
    silent = media.make("small", 120, size="640x360", bitrate="500k")
    camera = Camera(f"a=file:{silent}", "audio=( audiotestsrc is-live=true ! avenc_aac ! rtpmp4gpay name=pay0 )",
                    "vp8=( videotestsrc is-live=true ! vp8enc deadline=1 ! rtpvp8pay name=pay0 )", options=("--user", "anna:right"))
    mute = socket.create_server(("127.0.0.1", 0))  # accepts and never answers
    cases = {
        "unknown": ("rtsp://no-such-host.invalid/x", "host_unknown", "the host name is unknown"),
        "refused": ("rtsp://127.0.0.1:1/x", "refused", "connection refused"),
        "password": (camera.url("a", "anna:wrong"), "unauthorized", "wrong user or password"),
        "path": (camera.url("nowhere", "anna:right"), "not_found", "does not know this path"),
        "novideo": (camera.url("audio", "anna:right"), "no_video", "no video track"),
        "codec": (camera.url("vp8", "anna:right"), "unsupported", "no codec that can be recorded"),
        "mute": (f"rtsp://127.0.0.1:{mute.getsockname()[1]}/x", "timeout", "no answer in time"),
    }
    nvrd = Nvrd({name: {"source": f'"{url}"'} for name, (url, _, _) in cases.items()} | {"good": {"source": '"test:"'}})
    for name, (_, reason, words) in cases.items():
        series = f'nvrd_camera_failures_total{{camera="{name}",reason="{reason}"}}'
        report(wait_for(lambda: nvrd.metric(series) >= 1, 20), f"{name}: counted as {reason}", nvrd.log()[-1500:])
        lines = [line for line in nvrd.log().splitlines() if f"camera {name}:" in line and words in line]
        report(len(lines) == 1, f"{name}: one line says so", lines or nvrd.log()[-1500:])
        if name == "password":  # cameras lock out who tries too often
            seconds = float(lines[0].rpartition("trying again in ")[2].split()[0])
            report(120 <= seconds <= 900, f"{name}: it goes on trying after minutes", lines)
            continue
        report(wait_for(lambda: nvrd.metric(f'nvrd_camera_connects_total{{camera="{name}"}}') >= 2, 20), f"{name}: it goes on trying")
    report("right" not in nvrd.log() and "anna:wrong" not in nvrd.log(), "no password is in the log")
    report(nvrd.metric('nvrd_camera_up{camera="good"}') == 1, "the good camera is not disturbed")
    report(nvrd.stop() == 0, "SIGTERM ends it")
    camera.stop()


def check_start():
    nvrd = Nvrd({"porch": {"source": '"test:"'}}, start=False)
    text = nvrd.file.read_text()
    report(run("-c", nvrd.file, "--check").returncode == 0, "--check passes a right file")
    for broken, expected in (("segment: 10s", "segmnt: 10s"), ("source:", "sauce:"), ("127.0.0.1:0", "127.0.0.1:x")):
        nvrd.file.write_text(text.replace(broken, expected, 1))
        done = run("-c", nvrd.file, "--check")
        report(done.returncode == 1 and f"{nvrd.file}:" in done.stderr, f"--check refuses {expected!r} with its line", done.stderr)
    done = run("-c", "/nonexistent/nvrd.yaml")
    report(done.returncode == 1 and "No such file" in done.stderr, "a missing file is named", done.stderr)
    nvrd.file.write_text(text.replace(str(nvrd.store), "/proc/nowhere"))
    done = run("-c", nvrd.file)
    report(done.returncode == 1 and "storage.path /proc/nowhere" in done.stderr, "an unreachable store refuses to start", done.stderr)
    taken = socket.create_server(("127.0.0.1", 0))
    nvrd.file.write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}", 1))
    done = run("-c", nvrd.file)
    report(done.returncode == 1 and "listen.http" in done.stderr and "in use" in done.stderr, "a taken port refuses to start", done.stderr)
    nvrd.remove()


def check_full_disk():
    """A store on a small tmpfs fills up; recording goes on when there is room again."""
    probe = Nvrd(start=False)
    mount = probe.folder / "small"
    mount.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", mount], capture_output=True).returncode:
        probe.remove()
        return skip("full disk", "needs a tmpfs of its own")
    try:
        nvrd = Nvrd({"porch": {"source": '"test:"'}}, store=mount / "store", segment="10s")
        ballast = mount / "ballast"
        report(wait_for(lambda: nvrd.metric('nvrd_recorder_fragments_total{camera="porch"}') >= 3, 20), "it records on the small disk", nvrd.log()[-800:])
        with open(ballast, "wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(b"x" * 4096)
            except OSError:
                pass
        report(wait_for(lambda: nvrd.metric('nvrd_volume_errors_total{operation="write"}') >= 2, 30), "a full disk is counted", nvrd.log()[-800:])
        report(wait_for(lambda: nvrd.metric('nvrd_recorder_queue_bytes{camera="porch"}') > 0, 10), "what it does not take waits", nvrd.log()[-800:])
        lines = [line for line in nvrd.log().splitlines() if "camera porch:" in line and "No space left" in line]
        report(1 <= len(lines) <= 2, "and said in a clear line", lines or nvrd.log()[-800:])
        report(nvrd.process.poll() is None, "it does not end")
        ballast.unlink()
        before = nvrd.metric('nvrd_recorder_fragments_total{camera="porch"}')
        report(wait_for(lambda: nvrd.metric('nvrd_recorder_fragments_total{camera="porch"}') > before + 2, 20), "it records again when there is room", nvrd.log()[-800:])
        report(nvrd.stop() == 0, "SIGTERM ends it")
        for path in nvrd.files("porch"):
            report(not media.decode_messages(path), f"{path.name} is whole", media.decode_messages(path))
    finally:
        subprocess.run(["umount", "-l", mount])
        probe.remove()


check_start()
check_cameras()
check_full_disk()
finish()
