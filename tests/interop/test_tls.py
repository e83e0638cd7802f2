#!/usr/bin/env python3
"""HTTPS as curl, OpenSSL and Python see it: the certificate, its reload, what is no TLS, and the end of it all."""
import hashlib
import http.client
import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import warnings

from daemon import NVRD, Nvrd, finish, report, wait_for

USERS = "anna: {password: secret, role: admin}"
CAMERAS = {"porch": {"source": '"test:"', "record": "off"}}
warnings.simplefilter("ignore", DeprecationWarning)  # of the versions that are refused
HANDSHAKE_S = 15  # as server/base/connection.h has it


def run(*words):
    """What a command printed, both ways, and its status."""
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr, done.returncode


def certificate(folder, name, key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
    """A certificate from OpenSSL for localhost; its two files."""
    pem, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    run("openssl", "req", "-x509", "-newkey", *key, "-nodes", "-keyout", key_file, "-out", pem, "-days", "30",
        "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    return pem, key_file


def fingerprint_of(pem):
    """As `openssl x509` has it."""
    return run("openssl", "x509", "-in", pem, "-noout", "-fingerprint", "-sha256")[0].strip().rpartition("=")[2]


def at(address):
    host, _, port = address.rpartition(":")
    return host, int(port)


def context(least=ssl.TLSVersion.TLSv1_2, most=ssl.TLSVersion.TLSv1_3, ca=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        made.load_verify_locations(ca)
    else:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        made.set_ciphers("ALL:@SECLEVEL=0")
    made.minimum_version, made.maximum_version = least, most
    return made


def connect(nvrd, **options):
    return context(**options).wrap_socket(socket.create_connection(at(nvrd.https), 20), server_hostname="localhost")


def shown_by(nvrd):
    """The fingerprint of the certificate that a new connection is shown."""
    with connect(nvrd) as connection:
        digest = hashlib.sha256(connection.getpeercert(True)).hexdigest().upper()
    return ":".join(digest[i:i + 2] for i in range(0, 64, 2))


def ask(connection, path="/live/"):
    """A request on a connection that goes on; its status."""
    connection.request("GET", path, headers={"Authorization": "Basic YW5uYTpzZWNyZXQ="})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def keep(nvrd):
    made = http.client.HTTPSConnection(nvrd.https, context=context(), timeout=20)
    made.connect()
    return made


def check_made(nvrd):
    pem = nvrd.store / "tls.pem"
    report(stat.S_IMODE(pem.stat().st_mode) == 0o600, "the certificate made at first start is its owner's only")
    wanted = fingerprint_of(pem)
    report(f"TLS certificate sha256:{wanted}" in nvrd.log(), "its fingerprint is logged as openssl has it", nvrd.log())
    report(shown_by(nvrd) == wanted, "and it is the one that is shown")
    text, _ = run("openssl", "x509", "-in", pem, "-noout", "-text")
    names = [f"DNS:{name}" for name in ("localhost", socket.gethostname())] + ["IP Address:127.0.0.1"]
    report(all(name in text for name in names) and "CA:FALSE" in text, "it is for this machine, and no authority", text)
    output, _ = run("openssl", "s_client", "-connect", nvrd.https, "-CAfile", pem, "-verify_return_error", "-verify_hostname", "localhost", "-brief")
    report("Verification: OK" in output and "TLSv1.3" in output, "openssl verifies it", output)
    nvrd.stop()
    nvrd.start()
    report(shown_by(nvrd) == wanted, "it stays the same over a restart")


def curl(nvrd, *words, ca=None):
    trust = ["--cacert", ca] if ca else ["-k"]
    output, _ = run("curl", "-sS", "-m", "20", *trust, "-w", "\n%{http_code}", *words)
    return output


def check_use(nvrd):
    pem, url = nvrd.store / "tls.pem", f"https://{nvrd.https.replace('127.0.0.1', 'localhost')}"
    report(curl(nvrd, f"{url}/live/", ca=pem).endswith("401"), "without a password there is nothing")
    for scheme in ("--basic", "--digest"):
        output = curl(nvrd, scheme, "-u", "anna:secret", f"{url}/live/", ca=pem)
        report("porch/live.mp4" in output and output.endswith("200"), f"curl {scheme} is let in", output)
    big, back = nvrd.folder / "big", nvrd.folder / "back"
    big.write_bytes(os.urandom(30_000_000))
    output = curl(nvrd, "-u", "anna:secret", "-T", big, f"{url}/uploads/porch/big.bin")
    report(output.endswith("201"), "30 MB go up", output)
    output = curl(nvrd, "-u", "anna:secret", "-o", back, f"{url}/uploads/porch/big.bin")
    report(output.endswith("200") and back.read_bytes() == big.read_bytes(), "and come back the same", output[-200:])
    output = curl(nvrd, "-u", "anna:secret", "--tls-max", "1.2", "-r", "29999990-", "-o", back, f"{url}/uploads/porch/big.bin")
    report(output.endswith("206") and back.read_bytes() == big.read_bytes()[-10:], "a range by TLS 1.2", output[-200:])
    output = curl(nvrd, "-u", "anna:secret", "-X", "MOVE", "-H", f"Destination: {url}/uploads/porch/moved.bin", f"{url}/uploads/porch/big.bin")
    report(output.endswith("201"), "MOVE to an https Destination", output)
    output = curl(nvrd, "-u", "anna:secret", "-X", "MOVE", "-H", "Destination: https://elsewhere/uploads/porch/x.bin", f"{url}/uploads/porch/moved.bin")
    report(output.endswith("502"), "not to another server's", output)
    curl(nvrd, "-u", "anna:secret", "-X", "DELETE", f"{url}/uploads/porch/moved.bin")
    output = curl(nvrd, "-i", "-u", "anna:secret", f"{url}/live/")
    report("strict-transport-security" not in output.lower(), "no HSTS unless it is asked for", output)


def refused(nvrd, version):
    try:
        connect(nvrd, least=version, most=version).close()
    except (ssl.SSLError, ConnectionError) as error:
        return str(error)
    return None


def check_versions(nvrd):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        report(refused(nvrd, version), f"{version.name} is refused")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        report(refused(nvrd, version) is None, f"{version.name} is spoken", refused(nvrd, version))


def closed(nvrd, reason):
    return nvrd.metric(f'nvrd_connections_closed_total{{server="https",reason="{reason}"}}')


def said_until_the_end(address, said, seconds):
    """All that comes until the peer ends, or None if it does not; a reset is no end that can be understood."""
    with socket.create_connection(at(address), seconds) as connection:
        connection.sendall(said)
        got = b""
        try:
            while more := connection.recv(4096):
                got += more
        except OSError:
            return None
        return got


def check_no_tls(nvrd):
    before = closed(nvrd, "handshake")
    got = said_until_the_end(nvrd.https, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 10)
    report(got is not None, "HTTP at the TLS port ends without a reset", got)
    got = said_until_the_end(nvrd.https, bytes(range(256)) * 200, 10)
    report(got is not None, "so does garbage", got)
    report(wait_for(lambda: closed(nvrd, "handshake") == before + 2, 10), "both are counted as failed handshakes")
    hello = bytes.fromhex("1603010200010001fc0303") + os.urandom(32)  # that says it goes on
    got = said_until_the_end(nvrd.http, hello, 10)
    report(got is not None and got.startswith(b"HTTP/1.1 400") and b"without TLS" in got, "TLS at the plain port is told so", got)
    before = closed(nvrd, "timeout")
    got = said_until_the_end(nvrd.https, hello[:20], HANDSHAKE_S + 10)
    report(got is not None, "a handshake that does not go on is ended", got)
    report(wait_for(lambda: closed(nvrd, "timeout") == before + 1, 10), "and counted as a timeout")


def check_reload(nvrd):
    first, second = certificate(nvrd.folder, "first"), certificate(nvrd.folder, "second", ("rsa:2048",))
    own = shown_by(nvrd)
    nvrd.extra = "tls: {certificate: live.pem, key: live.key, hsts: yes}"  # beside the configuration
    live = (nvrd.folder / "live.pem", nvrd.folder / "live.key")

    def put(pair):
        for source, target in zip(pair, live):
            shutil.copy(source, target)

    put(first)
    kept = keep(nvrd)
    report(ask(kept) == 200, "a session begins with the made certificate")
    stream = keep(nvrd)
    stream.request("GET", "/live/porch/live.mp4", headers={"Authorization": "Basic YW5uYTpzZWNyZXQ="})
    picture = stream.getresponse()
    report(len(picture.read(1000)) == 1000, "live.mp4 comes by TLS")
    nvrd.configure(CAMERAS)
    nvrd.reload()
    report(wait_for(lambda: shown_by(nvrd) == fingerprint_of(first[0]), 20), "a reload shows the named certificate")
    report(ask(kept) == 200, "the session goes on")
    report(len(picture.read(50_000)) == 50_000, "so does live.mp4")
    put(second)
    report(shown_by(nvrd) == fingerprint_of(first[0]), "new files alone change nothing")
    nvrd.reload()
    report(wait_for(lambda: shown_by(nvrd) == fingerprint_of(second[0]), 20), "the next reload shows them")
    report(ask(kept) == 200, "and the session goes on")
    output = curl(nvrd, "-i", "-u", "anna:secret", f"https://{nvrd.https}/live/")
    report("strict-transport-security: max-age=31536000" in output.lower(), "HSTS when it is asked for", output)
    output = curl(nvrd, "-i", "-u", "anna:secret", f"http://{nvrd.http}/live/")
    report("strict-transport-security" not in output.lower(), "but not by plain HTTP", output)
    check_broken(nvrd, live, first, second)
    nvrd.extra = ""
    nvrd.configure(CAMERAS)
    nvrd.reload()
    report(wait_for(lambda: shown_by(nvrd) == own, 20), "without tls: the made one is back")
    report(ask(kept) == 200, "and still the first session goes on")
    kept.close()
    stream.close()


def check_broken(nvrd, live, first, second):
    """What is wrong is refused with a reason, and nothing changes."""
    rows = [
        ("a key of another certificate", lambda: shutil.copy(first[1], live[1]), "live.key: holds the key of another certificate"),
        ("a torn certificate", lambda: live[0].write_text(second[0].read_text()[:400]), "live.pem: holds no certificate in PEM"),
        ("a missing certificate", live[0].unlink, "live.pem: No such file or directory"),
    ]
    for name, spoil, why in rows:
        shutil.copy(second[0], live[0])
        shutil.copy(second[1], live[1])
        spoil()
        refusals = nvrd.metric('nvrd_config_reloads_total{result="refused"}')
        nvrd.reload()
        report(wait_for(lambda: nvrd.metric('nvrd_config_reloads_total{result="refused"}') == refusals + 1, 20), f"{name} is refused")
        line = nvrd.file.read_text().splitlines().index(nvrd.extra) + 1
        report(f"nvrd.yaml:{line}: tls: " in nvrd.log() and why in nvrd.log(), "with file, line and reason", nvrd.log()[-1000:])
        report(shown_by(nvrd) == fingerprint_of(second[0]), "and the old one stays")
        output, status = run(NVRD, "-c", nvrd.file, "--check")
        report(status == 1 and f"nvrd.yaml:{line}: tls: " in output and why in output, "--check says the same", output)
    shutil.copy(second[0], live[0])
    output, status = run(NVRD, "-c", nvrd.file, "--check")
    report(status == 0 and "fine" in output, "--check is content with a pair that belongs together", output)


def check_spoilt_store(nvrd):
    """What nvrd keeps for itself cannot be read: it records all the same, and says so."""
    nvrd.stop()
    pem = nvrd.store / "tls.pem"
    whole = pem.read_text()
    pem.write_text("spoilt\n")
    nvrd.start()
    report("tls.pem: holds no certificate in PEM: using a certificate that lasts until nvrd stops" in nvrd.log(),
           "a spoilt tls.pem is told of", nvrd.log()[-1000:])
    report(pem.read_text() == "spoilt\n", "and left alone")
    temporary = shown_by(nvrd)
    pem.write_text(whole)
    nvrd.reload()
    report(wait_for(lambda: shown_by(nvrd) == fingerprint_of(pem) != temporary, 20), "a reload takes it when it is right again")


def say_rtsp(connection, url, method, *fields):
    """One request and its answer."""
    connection.sendall("\r\n".join([f"{method} {url} RTSP/1.0", "CSeq: 1", *fields, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    length = re.search(rb"Content-Length: (\d+)", answer)
    while length and len(answer.partition(b"\r\n\r\n")[2]) < int(length[1]):
        answer += connection.recv(65536)
    return answer.decode(errors="replace")


def check_rtsps(nvrd):
    """RTSP by TLS: the same certificate, Basic is offered, media stays inside."""
    anna = "Authorization: Basic YW5uYTpzZWNyZXQ="
    plain = socket.create_connection(at(nvrd.rtsp), 20)
    secure = context().wrap_socket(socket.create_connection(at(nvrd.rtsps), 20), server_hostname="localhost")
    url = f"rtsps://{nvrd.rtsps}/porch"
    report(hashlib.sha256(secure.getpeercert(True)).hexdigest() == hashlib.sha256(connect(nvrd).getpeercert(True)).hexdigest(),
           "RTSPS: the certificate of HTTPS")
    answers = [say_rtsp(plain, f"rtsp://{nvrd.rtsp}/porch", "DESCRIBE"), say_rtsp(secure, url, "DESCRIBE")]
    report(all(" 401 " in a and "Digest" in a for a in answers) and ["Basic" in a for a in answers] == [False, True],
           "RTSPS: Basic is offered by TLS only", answers)
    answer = wait_for(lambda: next(iter(a for a in [say_rtsp(secure, url, "DESCRIBE", anna)] if " 200 " in a), None), 20) or ""
    report(f"Content-Base: {url}/\r\n" in answer, "RTSPS: the base's scheme", answer)
    for transport, status in (("RTP/AVP;unicast;client_port=5000-5001", 461), ("RTP/AVP;multicast", 461),
                              ("RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;interleaved=0-1", 200)):
        answer = say_rtsp(secure, f"{url}/trackID=0", "SETUP", anna, f"Transport: {transport}")
        report(f" {status} " in answer.split("\r\n")[0], f"RTSPS: {transport} gives {status}", answer)
    plain.close()
    secure.close()


def main():
    nvrd = Nvrd(CAMERAS, users=USERS, https=True, listen=['rtsps: "127.0.0.1:0"'])
    nvrd.metric = lambda line: metric(nvrd, line)
    check_made(nvrd)
    check_use(nvrd)
    check_versions(nvrd)
    check_no_tls(nvrd)
    check_rtsps(nvrd)
    check_reload(nvrd)
    report(wait_for(lambda: nvrd.metric('nvrd_connections{server="https"}') == 0, 20), "no connection is left")
    check_spoilt_store(nvrd)
    report(nvrd.stop() == 0, "it ends well", nvrd.log()[-2000:])
    finish()


def metric(nvrd, line):
    output = curl(nvrd, "-u", "anna:secret", f"http://{nvrd.http}/metrics")
    rows = re.findall(rf"^{re.escape(line)} (\S+)$", output, re.M)
    return float(rows[0]) if rows else 0.0


main()
