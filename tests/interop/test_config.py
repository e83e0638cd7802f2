#!/usr/bin/env python3
"""The configuration over HTTP: no secret ever comes out, what is wrong changes nothing, what is right is in force at once, and whatever dies leaves whole files."""
import base64
import ftplib
import http.client
import os
import random
import re
import subprocess
import threading
import time

import media
from daemon import NVRD, Camera, Nvrd, finish, report, wait_for

SECRETS = [b"s3cret-of-adam", b"s3cret-of-olga", b"s3cret-of-app", b"s3cret-of-porch", b"s3cret-of-yard", b"s3cret-misplaced"]
USERS = """adam: {password: "s3cret-of-adam", role: admin}  # the boss
olga:   # runs it
  password: |-
    s3cret-of-olga
  role: operator
  app_passwords: [{name: phone, password: s3cret-of-app, scope: [dav]}]
vera: {password: x, role: viewer}
boris: {password: x, role: admin, cameras: [staying]}"""
LOCKINFO = '<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>'
MAIN = "/config/nvrd.yaml"
answers = []


class Secured(Nvrd):
    """Its admin asks for metrics."""

    def get(self, path, **headers):
        return super().get(path, Authorization="Basic " + base64.b64encode(b"adam:s3cret-of-adam").decode(), **headers)


def ask(nvrd, method, path, body=None, user="adam:s3cret-of-adam", **headers):
    """Status, body and fields; all of it is searched for secrets in the end."""
    connection = http.client.HTTPConnection(nvrd.http, timeout=30)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if user:
        headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    try:
        connection.request(method, path, body=body.encode() if isinstance(body, str) else body, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        answers.append((f"{method} {path}", text + str(answer.getheaders()).encode()))
        return answer.status, text.decode(), dict(answer.getheaders())
    finally:
        connection.close()


def leaks(nvrd):
    """Where a secret is to be seen."""
    found = [name for name, text in answers for secret in SECRETS if secret in text]
    log = nvrd.log().encode()
    found += ["the log" for secret in SECRETS if secret in log]
    for path in nvrd.folder.glob("previous/*"):
        found += [str(path) for secret in SECRETS if secret in path.read_bytes()]
    return found


def check_reading(nvrd):
    before = nvrd.file.read_text()
    status, text, fields = ask(nvrd, "GET", MAIN)
    report(status == 200 and fields["Content-Type"] == "application/yaml", "an admin reads the configuration", (status, fields))
    report(re.sub(r"!vault [\w+/=]+", "?", text) == re.sub(r"\"s3cret-of-adam\"|\|-\n *s3cret-of-olga|s3cret-of-app|(?<=password: )x|rtsp://u:s3cret-of-porch\S*(?=  #)", "?", before),
           "every byte but the secrets is as it is written", text)
    report(ask(nvrd, "GET", MAIN)[1:][0] == text and ask(nvrd, "GET", MAIN, If_None_Match=fields["ETag"])[0] == 304, "and the same the next time")
    key = nvrd.folder / "vault.key"
    report(key.stat().st_mode & 0o7777 == 0o600, "the key is its owner's alone", oct(key.stat().st_mode))
    listing = ask(nvrd, "PROPFIND", "/config/", Depth="1")[1]
    report(re.findall(r"<D:href>([^<]*)</D:href>", listing) == ["/config/", "/config/cameras/", "/config/nvrd.yaml", "/config/previous/"], "nothing else is there", listing)
    (nvrd.folder / "other.yaml").write_text("s3cret-misplaced")
    (nvrd.folder / "cameras").mkdir(exist_ok=True)
    (nvrd.folder / "cameras" / "link.yml").symlink_to(nvrd.file)
    for path in ("/config/vault.key", "/config/other.yaml", "/config/log", "/config/cameras/../vault.key", "/config/cameras/link.yml", "/config/cameras/..%2fvault.key", "/config/store/nvrd.db", "/config/nvrd.yaml.new"):
        status, answer, _ = ask(nvrd, "GET", path)
        report(status in (400, 404), f"{path} does not exist", (status, answer))
    return text


def check_access(nvrd):
    wrong = []
    for user, expected in (("olga:s3cret-of-olga", 403), ("olga:s3cret-of-app", 403), ("vera:x", 403), ("boris:x", 404), (None, 401)):
        for method, path in (("GET", MAIN), ("PUT", MAIN), ("PUT", "/config/cameras/x.yaml"), ("DELETE", "/config/cameras/x.yaml"), ("PROPFIND", "/config/"), ("LOCK", MAIN), ("COPY", MAIN)):
            status, _, _ = ask(nvrd, method, path, body={"PUT": "x", "LOCK": LOCKINFO}.get(method), user=user, Destination="/config/cameras/x.yaml")
            if status != expected and not (status == 403 and user and user.startswith("boris")):
                wrong.append((user, method, path, status))
        if user:
            root = ask(nvrd, "PROPFIND", "/", user=user, Depth="1")[1]
            wrong += [(user, "the root lists it")] if "/config/" in root else []
    report(not wrong, "nobody but an admin of all cameras gets anything of it", wrong)
    report("/config/" in ask(nvrd, "PROPFIND", "/", Depth="1")[1], "who sees it in the root")
    status, text, _ = ask(nvrd, "COPY", MAIN, Destination="/uploads/stolen.yaml")
    report(status == 403, "it is not copied elsewhere", (status, text))


def check_ftp(nvrd):
    with ftplib.FTP() as ftp:
        ftp.connect("127.0.0.1", int(re.findall(r"ftp://127.0.0.1:(\d+)/", nvrd.log())[-1]), timeout=20)
        ftp.login("adam", "s3cret-of-adam")
        names = ftp.nlst()
        report(sorted(names) == ["recordings", "uploads"], "FTP has nothing of it", names)
        for command in ("SIZE /config/nvrd.yaml", "CWD /config", "MKD /config/x", "DELE /config/nvrd.yaml"):
            try:
                answer = ftp.sendcmd(command)
            except ftplib.error_perm as error:
                answer = str(error)
            report(answer.startswith("550"), f"{command} is refused", answer)


def check_refusals(nvrd, text):
    before = nvrd.file.read_bytes()

    def refused(name, body, status, expected, path=MAIN, **headers):
        got, answer, _ = ask(nvrd, "PUT", path, body=body, **headers)
        report(got == status and re.search(expected, answer), f"{name}: {status}", (got, answer))

    problem = '<D:error xmlns:D="DAV:"><N:valid-configuration xmlns:N="urn:nvrd:dav">%s</N:valid-configuration></D:error>'
    line = text[:text.index("role: admin")].count("\n") + 1
    refused("a wrong word", text.replace("role: admin", "role: boss", 1), 422, problem % f"nvrd.yaml:{line}: users.adam.role: expected [^<]*&quot;boss&quot;")
    refused("not YAML", "users: [", 422, problem % r"nvrd.yaml:\d+: [^<]*")
    refused("two mistakes", "logg: {}\nlog: {level: x}\n", 422, r"nvrd.yaml:1: logg: unknown key \(did you mean log\?\)\nnvrd.yaml:2: log.level")
    refused("no users", "cameras: {}\n", 422, "removing all of them needs a restart")
    refused("a camera that is there already", "source: 'test:'\n", 422, r"cameras/staying.yaml:1: cameras.staying: is given twice, first in line \d+ of nvrd.yaml", path="/config/cameras/staying.yaml")
    refused("a secret in the wrong place", text.replace("level: info", "level: !file vault.key"), 422, "nvrd.yaml:\\d+: log.level: the file vault.key is the key of a vault")
    refused("what another file says", text.replace("level: info", "level: !file other.yaml"), 422, "log.level: expected error, warn, info or debug</")
    refused("a sealed value elsewhere", text.replace("level: info", "level: " + re.search(r"!vault [\w+/=]+", text)[0]), 422, "!vault is for secrets only")
    sealed = re.search(r"adam: {password: (!vault [\w+/=]+)", text)[1]
    refused("a sealed value of another option", f"source: {sealed}\n", 422, "cameras/yard.yaml:1: cameras.yard.source: the !vault value was not sealed with this key, or for another option", path="/config/cameras/yard.yaml")
    refused("something large", b"#" * (1 << 20) + b"\n", 413, "1048576 bytes")
    refused("another name", "x", 403, "cannot have this name", path="/config/other.yaml")
    refused("a name of the key", "x", 403, "cannot have this name", path="/config/vault.key")
    refused("a camera of an impossible name", "source: 'test:'\n", 403, "cannot have this name", path="/config/cameras/Yard.yaml")
    refused("a stale ETag", text + "# more\n", 412, "", If_Match='"stale"')
    for method, path, status in (("DELETE", MAIN, 403), ("DELETE", "/config/cameras/", 403), ("MKCOL", "/config/x", 405), ("MOVE", MAIN, 405), ("PROPPATCH", MAIN, 405), ("DELETE", "/config/cameras/gone.yaml", 404)):
        got, answer, _ = ask(nvrd, method, path)
        report(got == status, f"{method} {path}: {status}", (got, answer))
    report(nvrd.file.read_bytes() == before and not list(nvrd.folder.glob("previous/*")) and not list(nvrd.folder.glob("cameras/*.yaml")), "and nothing has changed")


def check_writing(nvrd, text, camera):
    frames = 'nvrd_camera_frames_total{camera="%s",kind="video"}'
    etag = ask(nvrd, "HEAD", MAIN)[2]["ETag"]
    yard = f"# by the gate\nsource: {camera.url('c', 'u:s3cret-of-yard')}   # two\nrecord: continuous\n"
    status, answer, fields = ask(nvrd, "PUT", "/config/cameras/yard.yaml", body=yard)
    report(status == 201 and "ETag" not in fields, "a camera is put there", (status, answer, fields))
    report(wait_for(lambda: nvrd.metric(frames % "yard") > 25, 20) and nvrd.files("yard"), "and recorded")
    kept = (nvrd.folder / "cameras" / "yard.yaml").read_text()
    report(re.sub(r"!vault [\w+/=]+", "?", kept) == re.sub(r"rtsp:\S+", "?", yard), "its comments are kept, its secret is sealed", kept)
    report(ask(nvrd, "GET", "/config/cameras/yard.yaml")[1] == kept, "and shown so")

    mine = text.replace("# the boss", "# the boss of all") + "# the end\n"
    status, answer, fields = ask(nvrd, "PUT", MAIN, body=mine, If_Match=etag)
    report(status == 204 and nvrd.file.read_text() == mine and "ETag" in fields, "what was read and changed is put back", (status, answer))
    report(nvrd.file.stat().st_mode & 0o7777 == 0o600, "with the file's mode")
    report(ask(nvrd, "PUT", MAIN, body=text, If_Match=etag)[0] == 412, "an old ETag does not hold any more")
    report(ask(nvrd, "GET", MAIN, user="olga:s3cret-of-olga")[0] == 403, "its users log in by their sealed passwords")
    versions = re.findall(r"<D:href>(/config/previous/[^<]+)</D:href>", ask(nvrd, "PROPFIND", "/config/previous/", Depth="1")[1])
    report(len(versions) == 1 and re.fullmatch(r"/config/previous/nvrd\.yaml\.\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z", versions[0]), "what it was has a date", versions)
    report(ask(nvrd, "GET", versions[0])[1] == text, "and is shown as it was shown")
    report(ask(nvrd, "PUT", versions[0], body="x")[0] == 403 and ask(nvrd, "DELETE", versions[0])[0] == 403, "nobody changes that")
    status, answer, _ = ask(nvrd, "COPY", versions[0], Destination=MAIN)
    report(status == 204 and nvrd.file.read_text() == text, "but it can be had back", (status, answer))
    audit = [line for line in nvrd.log().splitlines() if "audit configuration: user adam" in line]
    report(any(line.endswith("nvrd.yaml: applied") for line in audit) and any(line.endswith("a change was refused") for line in audit), "the audit has who did it", audit)

    token = ask(nvrd, "LOCK", MAIN, body=LOCKINFO)[2].get("Lock-Token", "")
    report(token and ask(nvrd, "PUT", MAIN, body=mine)[0] == 423, "what is locked is written by nobody else")
    report(ask(nvrd, "PUT", MAIN, body=mine, If=f"({token})")[0] == 204 and ask(nvrd, "UNLOCK", MAIN, Lock_Token=token)[0] == 204, "but by who has the lock")
    token = ask(nvrd, "LOCK", "/config/cameras/new.yaml", body=LOCKINFO)[2].get("Lock-Token", "")
    status, answer, _ = ask(nvrd, "PUT", "/config/cameras/new.yaml", body="source: 'test:'\n", If=f"({token})")
    report(status == 204, "a new file may be locked before it is written", (status, answer))
    report(ask(nvrd, "DELETE", "/config/cameras/new.yaml", If=f"({token})")[0] == 204, "and goes again")

    status, answer, _ = ask(nvrd, "PUT", MAIN, body=mine.replace("cameras: [staying]", "cameras: [yard]"))
    report(status == 204, "the files are one configuration", (status, answer))
    status, answer, _ = ask(nvrd, "DELETE", "/config/cameras/yard.yaml")
    report(status == 422 and "there is no camera &quot;yard&quot;" in answer, "so that what is needed stays", (status, answer))
    report(ask(nvrd, "PUT", MAIN, body=mine)[0] == 204 and ask(nvrd, "DELETE", "/config/cameras/yard.yaml")[0] == 204, "and what is not may go")
    report(wait_for(lambda: nvrd.metric(frames % "yard") == 0, 10), "with its camera")


def check_together(nvrd, text):
    """Many at once with one ETag: one of them wins."""
    etag = ask(nvrd, "HEAD", MAIN)[2]["ETag"]
    results = []
    threads = [threading.Thread(target=lambda i=i: results.append(ask(nvrd, "PUT", MAIN, body=f"{text}# {i}\n", If_Match=etag)[0])) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report(sorted(results) == [204] + [412] * 7, "of eight changes of the same file one is made", results)


def check_by_hand(nvrd):
    """What somebody writes into the file himself."""
    good = nvrd.file.read_text()
    nvrd.file.write_text(good + 'mqtt: {password: s3cret-misplaced}\n')
    status, text, _ = ask(nvrd, "GET", MAIN)
    report(status == 200 and "mqtt: {password: !vault " in text, "what is no option is not shown", (status, text))
    nvrd.file.write_text(good + 'a: "s3cret-misplaced\n')
    status, text, _ = ask(nvrd, "GET", MAIN)
    report(status == 409 and re.search(r"nvrd.yaml:\d+:", text), "what cannot be understood is not shown at all", (status, text))
    report(ask(nvrd, "PUT", MAIN, body=good)[0] == 204 and nvrd.file.read_text() == good, "and can be replaced")
    for path in nvrd.folder.glob("previous/*"):  # kept as it was, since nobody can tell what of it is secret
        if b"s3cret-misplaced" in path.read_bytes():
            report(ask(nvrd, "GET", f"/config/previous/{path.name}")[0] == 409, "nor later")
            path.unlink()


def check_kill(nvrd, text):
    texts = [text + f"# version {i} {'x' * 20000}\n" for i in range(2)]
    seed = random.randrange(1 << 32)
    chance, torn = random.Random(seed), []
    for _ in range(8):
        busy = threading.Event()

        def put(busy=busy):
            for i in range(1000):
                try:
                    if ask(nvrd, "PUT", MAIN, body=texts[i % 2])[0] == 204:
                        busy.set()
                except (OSError, http.client.HTTPException):
                    return

        thread = threading.Thread(target=put)
        thread.start()
        busy.wait(20)
        time.sleep(chance.random() * 0.3)
        nvrd.stop(9)
        thread.join()
        if nvrd.file.read_text() not in texts:
            torn.append(nvrd.file.read_text()[-100:])
        nvrd.start()
    report(not torn, "kill -9 while it is written leaves the old or the new file, whole", (seed, torn))
    status, _, _ = ask(nvrd, "PUT", MAIN, body=text)
    report(status == 204 and not list(nvrd.folder.glob("*.new")), "and nothing half made stays for long", list(nvrd.folder.iterdir()))
    kept = len(list(nvrd.folder.glob("previous/*.yaml.*Z")))
    report(kept <= 100, "the previous ones are bounded", kept)


def check_key(nvrd):
    def complaint():
        done = subprocess.run([NVRD, "-c", nvrd.file, "--check"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return done.returncode, done.stderr

    key = nvrd.folder / "vault.key"
    right = key.read_text()
    line = nvrd.file.read_text().splitlines().index(next(x for x in nvrd.file.read_text().splitlines() if "!vault" in x)) + 1
    report(complaint() == (0, ""), "the configuration is right with its key", complaint())
    key.write_text(right[:-65] + "0" * 64 + "\n")
    code, text = complaint()
    report(code and f"{nvrd.file}:{line}: users.adam.password: the !vault value was not sealed with this key" in text, "with another key it says where", text)
    key.chmod(0o640)
    code, text = complaint()
    report(code and f"{nvrd.file}:{line}: users.adam.password: the key {key} can be read by others" in text, "with one that others can read, too", text)
    key.unlink()
    code, text = complaint()
    report(code and f"{nvrd.file}:{line}: users.adam.password: the key {key} cannot be read: No such file" in text, "and without one", text)
    report(not key.exists(), "no new one is made")


def main():
    source = media.make("small", 120, size="640x360", bitrate="500k")
    camera = Camera(f"b=file:{source}", f"c=file:{source}")
    nvrd = Secured({"staying": {"source": f'"{camera.url("b")}"'}, "porch": {"source": "rtsp://u:s3cret-of-porch@127.0.0.1:1/x  # away"}},
                   segment="1h", users=USERS, extra="log: {level: info}  # as it is\n# \u00fcnic\u00f6de", listen=('ftp: "127.0.0.1:0"',))
    frames = 'nvrd_camera_frames_total{camera="staying",kind="video"}'
    report(wait_for(lambda: nvrd.metric(frames) > 25, 30), "a camera is recorded")
    text = check_reading(nvrd)
    check_access(nvrd)
    check_ftp(nvrd)
    check_refusals(nvrd, text)
    check_writing(nvrd, text, camera)
    check_together(nvrd, text)
    check_by_hand(nvrd)
    count = nvrd.metric(frames)
    report(wait_for(lambda: nvrd.metric(frames) > count + 25, 10) and nvrd.metric('nvrd_camera_connects_total{camera="staying"}') == 1, "the camera has gone on by its first connection")
    report(nvrd.stop() == 0, "nvrd ends as it should")
    files = nvrd.files("staying")
    packets = media.packets(files[0])
    holes = [(a[1], b[1]) for a, b in zip(packets, packets[1:]) if abs(b[1] - a[1] - 0.04) > 0.0005]
    report(len(files) == 1 and not holes, "and lost no frame", (files, holes))
    camera.stop()
    nvrd.start()
    check_kill(nvrd, text)
    found = leaks(nvrd)
    report(not found, f"no secret is in any of {len(answers)} answers, in the log, in what was before", found)
    nvrd.stop()
    check_key(nvrd)
    finish()


main()
