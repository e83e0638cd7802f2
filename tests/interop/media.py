"""Media for the tests, made once by ffmpeg, and what ffprobe says of files."""
import hashlib
import json
import os
import pathlib
import subprocess

CACHE = pathlib.Path(os.environ.get("NVRD_TEST_MEDIA", os.environ.get("TMPDIR", "/tmp") + "/nvrd-test-media"))

H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-x264-params", "scenecut=0"]
H265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "bframes=0:scenecut=0:log-level=error", "-tag:v", "hvc1"]


def run(*words, **options):
    """Runs a command that must succeed; returns its output."""
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, **options).stdout


def make(name, seconds, codec=None, size="1920x1080", fps=25, gop=50, audio=True, bitrate="4M"):
    """An MP4 of that many seconds; the same arguments give the same file."""
    codec = codec or H264
    key = hashlib.sha256(repr((name, seconds, codec, size, fps, gop, audio, bitrate)).encode()).hexdigest()[:12]
    path = CACHE / f"{name}-{key}.mp4"
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    words = ["ffmpeg", "-nostdin", "-v", "error", "-y",
             "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={fps}:duration={seconds},noise=alls=8:allf=t"]
    if audio:
        words += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}", "-c:a", "aac", "-b:a", "64k"]
    words += codec + ["-pix_fmt", "yuv420p", "-g", str(gop), "-b:v", bitrate, "-maxrate", bitrate, "-bufsize", bitrate]
    part = path.with_suffix(".part.mp4")
    run(*words, str(part))
    part.rename(path)
    return path


def packets(path, kind="v:0"):
    """The packets of a track: a list of (pts seconds, dts seconds, key, hash of the bytes)."""
    out = run("ffprobe", "-v", "error", "-select_streams", kind, "-show_packets", "-show_data_hash", "md5",
              "-show_entries", "packet=pts_time,dts_time,flags,data_hash", "-of", "json", str(path))
    return [(float(p["pts_time"]), float(p["dts_time"]), "K" in p["flags"], p["data_hash"])
            for p in json.loads(out).get("packets", [])]


def run_of(recorded, source):
    """Where the recorded hashes stand in the source as one piece without a hole; -1 when they do not."""
    for start in (i for i, h in enumerate(source) if h == recorded[0]):
        if source[start:start + len(recorded)] == recorded:
            return start
    return -1


def decode_messages(path):
    """What ffmpeg complains about when it decodes the whole file; "" when nothing. Each picture keeps its own time, and is not put into the ticks of a frame rate."""
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "warning", "-i", str(path), "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return done.stderr if done.stderr or done.returncode == 0 else f"exit status {done.returncode}"


def duration(path):
    return float(run("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(path)))
