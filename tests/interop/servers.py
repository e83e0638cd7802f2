"""RTSP servers that nobody here wrote: VLC's, Debian's in Perl, live555's, MediaMTX and go2rtc.

Each function starts one and returns cameras as {name: (options, the file that it plays)}; {} when it is
not installed. The last three are looked for in PATH only: Debian 12 has no package of them.
"""
import os
import re
import shutil
import socket
import subprocess
import tempfile

from daemon import skip, spawn, wait_for

LOGIN = "anna:secret"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def udp_ports():
    """The first of many UDP ports that the kernel gives to nobody; the test's own by its process id."""
    return 10000 + os.getpid() % 200 * 100


def listens(port):
    socket.create_connection(("127.0.0.1", port), timeout=1).close()
    return True


def start(words, port, **options):
    """Whether the program is there and listens."""
    if not shutil.which(words[0]):
        skip(words[0], "not installed")
        return False
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options
    spawn(words, **options)
    return bool(wait_for(lambda: listens(port), 15, f"{words[0]} on port {port}"))


def publish(file, url, transport):
    """Sends a file's packets as they are to a server (ANNOUNCE and RECORD), at the speed of its pictures."""
    spawn(["ffmpeg", "-nostdin", "-v", "error", "-re", "-i", file, "-c", "copy", "-f", "rtsp", "-rtsp_transport", transport, url],
          stderr=subprocess.DEVNULL)


def vlc(files):
    """VLC's own RTSP server, which refuses TCP with a 461."""
    home = tempfile.mkdtemp(prefix="nvrd-test-")
    os.chmod(home, 0o777)
    port = free_port()
    words = ["cvlc", "--intf", "dummy", "--loop", str(files["aac"]), "--sout", f"#rtp{{sdp=rtsp://127.0.0.1:{port}/x}}", "--no-sout-audio"]
    if shutil.which("cvlc") and os.geteuid() == 0:
        words = ["runuser", "-u", "nobody", "--", "env", f"HOME={home}", *words]
    # not compared: it plays on from wherever it is
    return {"vlc": ({"source": f'"rtsp://127.0.0.1:{port}/x"'}, None)} if start(words, port) else {}


def perl(files):
    """RTSP::Server: by UDP only, says 400 to TCP, knows no keepalive, sends media before PLAY."""
    clients, sources = free_port(), free_port()
    words = ["perl", "-MAnyEvent", "-MRTSP::Server", "-e", "my $server = RTSP::Server->new_with_options; $server->listen; AnyEvent->condvar->recv",
             "--", "--clientport", clients, "--serverport", sources, "--client_listen_address", "127.0.0.1",
             "--source_listen_address", "127.0.0.1", "--rtp_start_port", udp_ports()]
    if subprocess.run([*words[:3], "-e", "1"], stderr=subprocess.DEVNULL).returncode:
        skip("RTSP::Server", "not installed")
        return {}
    if not start(words, sources):
        return {}
    cameras = {}
    for name, transport in (("aac", "auto"), ("hevc", "udp")):
        publish(files[name], f"rtsp://127.0.0.1:{sources}/{name}", "udp")
        cameras[f"perl-{name}"] = ({"source": f'"rtsp://127.0.0.1:{clients}/{name}"', "transport": transport}, files[name])
    return cameras


def mediamtx(files, folder, pem):
    """MediaMTX, which packs everything anew: by TCP, UDP, TLS, through HTTP, with Digest."""
    port, secure, udp = free_port(), free_port(), udp_ports() + 50
    settings = folder / "mediamtx.yml"
    settings.write_text("\n".join([
        *(f"{name}: no" for name in ("rtmp", "hls", "webrtc", "srt", "moq")),
        f"rtspAddress: 127.0.0.1:{port}", f"rtspsAddress: 127.0.0.1:{secure}",
        f"rtpAddress: 127.0.0.1:{udp}", f"rtcpAddress: 127.0.0.1:{udp + 1}",
        f"srtpAddress: 127.0.0.1:{udp + 2}", f"srtcpAddress: 127.0.0.1:{udp + 3}",
        "rtspTransports: [udp, tcp]", "rtspEncryption: optional", f"rtspServerKey: {pem}", f"rtspServerCert: {pem}",
        "rtspAuthMethods: [digest]", "authInternalUsers:", "- {user: any, permissions: [{action: publish}]}",
        "- {user: %s, pass: %s, permissions: [{action: read}]}" % tuple(LOGIN.split(":")), "paths:", "  all_others:", ""]))
    if not start(["mediamtx", settings], port):
        return {}
    plain, tls = f"://{LOGIN}@127.0.0.1:{port}/", f"://{LOGIN}@127.0.0.1:{secure}/"
    cameras = {}
    for name, file in files.items():
        publish(file, f"rtsp://127.0.0.1:{port}/{name}", "udp" if name == "hevc" else "tcp")
        for transport in ("tcp", "udp"):
            cameras[f"mediamtx-{name}-{transport}"] = ({"source": f'"rtsp{plain}{name}"', "transport": transport}, file)
    cameras["mediamtx-tls"] = ({"source": f'"rtsps{tls}aac"', "tls_verify": "no"}, files["aac"])
    cameras["mediamtx-tunnel"] = ({"source": f'"rtsp+http{plain}hevc"'}, files["hevc"])
    cameras["mediamtx-tunnel-tls"] = ({"source": f'"rtsp+https{tls}aac"', "tls_verify": "no"}, files["aac"])
    return cameras


def go2rtc(files, folder):
    """go2rtc, by TCP only, with Basic."""
    port = free_port()
    settings = folder / "go2rtc.yaml"
    user, _, password = LOGIN.partition(":")
    settings.write_text("\n".join([
        'api: {listen: ""}', 'webrtc: {listen: ""}', f'rtsp: {{listen: "127.0.0.1:{port}", username: {user}, password: {password}}}',
        "streams:", *(f"  {name}:" for name in files), ""]))
    if not start(["go2rtc", "-c", settings], port):
        return {}
    for name, file in files.items():
        publish(file, f"rtsp://{LOGIN}@127.0.0.1:{port}/{name}", "tcp")
    return {f"go2rtc-{name}": ({"source": f'"rtsp://{LOGIN}@127.0.0.1:{port}/{name}"'}, file) for name, file in files.items()}


def live555(files, folder):
    """live555's media server, which plays files of the folder in which it stands, from the start to each reader."""
    if not shutil.which("live555MediaServer"):
        skip("live555MediaServer", "not installed")
        return {}
    media = folder / "live555"
    media.mkdir()
    names = [name for name in files if name != "pcma"]  # it leaves that sound out
    for name in names:
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", files[name], "-c", "copy", media / f"{name}.mkv"], check=True)
    log = media / "log"
    with open(log, "w") as stream:
        spawn(["live555MediaServer"], cwd=media, stdout=stream, stderr=subprocess.STDOUT)
    told = wait_for(lambda: re.search(r"rtsp://[^/\s]*?(?::(\d+))?/<", log.read_text()), 15, "live555MediaServer")
    if not told:
        return {}
    return {f"live555-{name}-{transport}": ({"source": f'"rtsp://127.0.0.1:{told[1] or 554}/{name}.mkv"', "transport": transport}, files[name])
            for name in names for transport in ("tcp", "udp")}
