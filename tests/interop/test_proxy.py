#!/usr/bin/env python3
"""Behind nginx, which shows nvrd by TLS below /nvr/: it leaves the path there, or takes it off."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

from daemon import HERE, Nvrd, end, finish, report, skip, spawn, wait_for

USERS = "anna: {password: secret, role: admin}"
CAMERAS = {"porch": {"source": '"test:"', "record": "off"}}
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
CLIENT = "127.0.0.5"  # whom nginx sees; it comes from 127.0.0.1 itself

CONFIGURATION = """
daemon off;
pid {folder}/pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    ssl_certificate {folder}/pem;
    ssl_certificate_key {folder}/key;
    proxy_http_version 1.1;
    proxy_buffering off;
    proxy_request_buffering off;
    client_max_body_size 0;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    server {{
        listen 127.0.0.1:{leaves} ssl;
        location /nvr {{ proxy_pass http://{nvrd}; }}
    }}
    server {{
        listen 127.0.0.1:{takes} ssl;
        proxy_set_header Host $proxy_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Host $http_host;
        location /nvr/ {{ proxy_pass http://{nvrd}/; }}
    }}
}}
"""


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def start_nginx(nvrd):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="nginx-", dir=nvrd.folder))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "key",
                    "-out", folder / "pem", "-days", "30", "-subj", "/CN=proxy"], check=True, capture_output=True)
    leaves, takes = free_ports(2)
    text = CONFIGURATION.format(folder=folder, nvrd=nvrd.http, leaves=leaves, takes=takes)
    if os.getuid() == 0:
        text = "user root;\n" + text  # the folder is root's
    (folder / "conf").write_text(text)
    process = spawn([NGINX, "-p", folder, "-c", folder / "conf", "-e", "stderr"])
    up = wait_for(lambda: socket.create_connection(("127.0.0.1", takes), 1).close() or True, 20, "nginx")
    return process, up, f"https://127.0.0.1:{leaves}", f"https://127.0.0.1:{takes}"


def curl(*words):
    """What came, fields first, and the status."""
    done = subprocess.run(["curl", "-sSik", "-m", "20", "--interface", CLIENT, *(str(w) for w in words)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    text = done.stdout
    while (found := re.match(r"HTTP/1.1 (\d+)", text)) and "\nHTTP/1.1 " in text:
        text = text[text.index("\nHTTP/1.1 ") + 1:]  # a challenge, or 100
    return text + done.stderr, int(found[1]) if found else 0


def check_paths(url, name):
    login = ("--digest", "-u", "anna:secret")
    text, status = curl(*login, f"{url}/nvr")
    report(status == 301 and re.search(r"^Location: \S*/nvr/$", text, re.M), f"{name}: /nvr leads to /nvr/", text)
    text, status = curl(*login, f"{url}/nvr/")
    report(status == 200 and 'src="page.js"' in text, f"{name}: the page, by Digest", text)
    report(curl(*login, f"{url}/nvr/page.js")[1] == 200, f"{name}: what belongs to it")
    text, status = curl("-u", "anna:secret", f"{url}/nvr/live/")
    report(status == 200 and "porch/live.mp4" in text, f"{name}: the cameras, by Basic", text)
    text, status = curl("-u", "anna:secret", f"{url}/nvr/uploads/porch")
    report(status == 301 and "Location: /nvr/uploads/porch/\n" in text, f"{name}: a redirect stays below /nvr", text)


def hrefs(text):
    return re.findall(r"<D:href>(/[^<]*)</D:href>", text)


def check_dav(url, name, store):
    login = ("-u", "anna:secret")
    at = f"{url}/nvr/uploads/porch"
    report(curl(*login, "-T", __file__, f"{at}/a.txt")[1] == 201, f"{name}: PUT")
    text, status = curl(*login, "-X", "PROPFIND", "-H", "Depth: 1", f"{at}/")
    report(status == 207 and hrefs(text) == ["/nvr/uploads/porch/", "/nvr/uploads/porch/a.txt"], f"{name}: hrefs in multistatus", text)
    text, status = curl(*login, "-X", "MOVE", "-H", f"Destination: {at}/b%20c.txt", f"{at}/a.txt")
    report(status == 201 and (store / "uploads/porch/b c.txt").exists(), f"{name}: MOVE", text)
    text, status = curl(*login, "-X", "MOVE", "-H", "Destination: https://elsewhere/nvr/uploads/porch/d.txt", f"{at}/b%20c.txt")
    report(status == 502, f"{name}: not to elsewhere", text)
    body = '<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockinfo>'
    text, status = curl(*login, "-X", "LOCK", "--data-raw", body, f"{at}/b%20c.txt")
    token = re.search(r"^Lock-Token: <(.*)>$", text, re.M)
    report(status == 200 and token and hrefs(text) == ["/nvr/uploads/porch/b%20c.txt"], f"{name}: lockroot", text)
    text, status = curl(*login, "-X", "DELETE", f"{at}/b%20c.txt")
    report(status == 423 and hrefs(text) == ["/nvr/uploads/porch/b%20c.txt"], f"{name}: what a lock forbids is named", text)
    text, status = curl(*login, "-X", "DELETE", "-H", f"If: <{at}/b%20c.txt> (<{token[1] if token else ''}>)", f"{at}/b%20c.txt")
    report(status == 204, f"{name}: an If that names it", text)


def complaint(nvrd, *words):
    """The log's line about a wrong password."""
    before = len(nvrd.log())
    curl(*words)
    wait_for(lambda: "login-failed" in nvrd.log()[before:], 10)
    return nvrd.log()[before:]


def check_who(nvrd, url):
    wrong = ("-u", "anna:wrong")
    text = complaint(nvrd, *wrong, f"{url}/nvr/")
    report(f"user anna: address {CLIENT}:" in text, "a wrong password is logged with who sent it to nginx", text)
    text = complaint(nvrd, *wrong, "-H", "X-Forwarded-For: 203.0.113.9", f"{url}/nvr/")
    report(f"user anna: address {CLIENT}:" in text and "203.0.113.9" not in text, "whatever he invents", text)
    text = complaint(nvrd, *wrong, "-H", "X-Forwarded-For: 203.0.113.9", f"http://{nvrd.http}/")
    report(f"user anna: address {CLIENT}:" in text and "203.0.113.9" not in text, "who comes directly is not believed", text)
    nvrd.extra = "http: {base_path: /nvr}"
    nvrd.configure(CAMERAS)
    nvrd.reload()
    wait_for(lambda: nvrd.log().count("nvrd.yaml: applied") == 1, 20)
    text = complaint(nvrd, *wrong, f"{url}/nvr/")
    report("user anna: address 127.0.0.1:" in text and CLIENT not in text, "nor nginx, once it is not trusted any more", text)


def check_page(nvrd, url):
    if not shutil.which("chromium") or not shutil.which("node"):
        skip("the page behind nginx", "chromium or node is not installed")
        return
    address = url.replace("https://", "https://anna:secret@") + "/nvr/"
    done = subprocess.run(["node", str(HERE / "page.mjs"), address], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
    if report(done.returncode == 0, "the page behind nginx plays", done.stderr[-2000:]):
        seen = json.loads(done.stdout)
        report(seen["second"]["time"] > seen["first"]["time"] and not seen["messages"], "without a complaint", seen)


def main():
    if not os.access(NGINX, os.X_OK):
        skip("proxy", "nginx is not installed")
        return finish()
    nvrd = Nvrd(CAMERAS, users=USERS, extra="http: {trusted_proxies: [127.0.0.1], base_path: /nvr}")
    nginx, up, leaves, takes = start_nginx(nvrd)
    if report(up, "nginx runs"):
        for url, name in ((leaves, "path left"), (takes, "path taken off")):
            check_paths(url, name)
            check_dav(url, name, nvrd.store)
        check_page(nvrd, leaves)
        check_who(nvrd, leaves)
    end(nginx)
    report(nvrd.stop() == 0, "nvrd ends well", nvrd.log()[-2000:])
    finish()


main()
