"""What players show of an address: VLC, and ffmpeg as the one to compare with."""
import os
import shutil
import subprocess

import media


def decoded(address, *before):
    """The hashes of the pictures that ffmpeg decodes, in the order in which they are shown."""
    out = media.run("ffmpeg", "-nostdin", "-v", "error", *before, "-i", str(address), "-map", "0:v", "-fps_mode", "passthrough",
                    "-pix_fmt", "yuv420p", "-f", "framemd5", "-").decode()
    return [line.split(",")[5].strip() for line in out.splitlines() if not line.startswith("#")]


def vlc(address, start, stop, folder):
    """The hashes of the pictures of what VLC plays from one second to another; None without VLC."""
    return _vlc(address, folder, "--start-time", start, "--stop-time", stop)


def vlc_live(address, seconds, folder):
    """The same of something live, from where VLC begins."""
    return _vlc(address, folder, "--run-time", seconds)


def _vlc(address, folder, *options):
    if not shutil.which("cvlc"):
        return None
    folder.mkdir()
    folder.chmod(0o777)
    folder.parent.chmod(0o755)
    out = folder / "vlc.ts"
    words = ["cvlc", "--intf", "dummy", "--sout", f"#std{{access=file,mux=ts,dst={out}}}", *map(str, options),
             str(address), "vlc://quit"]
    if os.getuid() == 0:  # VLC refuses to be root
        words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *words]
    try:
        subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=90, env={**os.environ, "HOME": str(folder)})
    except subprocess.TimeoutExpired:
        return []
    try:
        return decoded(out) if out.exists() and out.stat().st_size else []
    except subprocess.CalledProcessError:  # it has written no picture
        return []
