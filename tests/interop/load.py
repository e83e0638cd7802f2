"""Many clients at once, in a process of its own: what they ask for has to come, byte for byte.

Reads from stdin as JSON {http, ftp, store, files: [closed recordings, below the store], idle, busy, ftps, seconds, users, password};
prints as JSON how often each of them was served, what was wrong, and which idle connections were still good at the end.
"""
import asyncio
import base64
import collections
import json
import pathlib
import random
import re
import sys
import time
import urllib.parse

LIMIT = 1 << 20   # of a line, and of what a stream holds before it is read
REST = 0.05       # seconds between a client's requests
LIVELY = 20       # seconds after which an idle client asks for something, as browsers do
ROUNDS = collections.Counter()
WRONG = []
job = json.load(sys.stdin)
store = pathlib.Path(job["store"])
files = [store / path for path in job["files"]]
days = sorted({path.parent for path in files})


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def url(path):
    return "/" + urllib.parse.quote(str(path.relative_to(store)))


class Http:
    """One connection, which is kept."""

    def __init__(self, number):
        self.number = number
        self.login = "Basic " + base64.b64encode(f"{job['users'][number % len(job['users'])]}:{job['password']}".encode()).decode()

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection(*address(job["http"]), limit=LIMIT)

    async def ask(self, method, path, body=b"", most=None, **fields):
        """Status and body, or no more than `most` of it: then the connection is of no use any more."""
        head = [f"{method} {path} HTTP/1.1", f"Host: {job['http']}", f"Authorization: {self.login}", f"Content-Length: {len(body)}",
                *(f"{name}: {value}" for name, value in fields.items())]
        self.writer.write("\r\n".join(head + ["", ""]).encode() + body)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status, length = int(head.split()[1]), re.search(r"\ncontent-length: (\d+)", head)
        if most:
            return status, await self.reader.readexactly(most)
        if length:
            return status, await self.reader.readexactly(int(length[1]))
        return status, await self.chunks() if "chunked" in head else b""

    async def chunks(self):
        out = b""
        while n := int(await self.reader.readline(), 16):
            out += await self.reader.readexactly(n)
            await self.reader.readexactly(2)
        await self.reader.readline()
        return out


def expect(holds, *what):
    if not holds:
        WRONG.append(repr(what)[:300])


async def ask_range(client):
    path = random.choice(files)
    data = path.read_bytes()
    first = random.randrange(len(data))
    last = min(len(data), first + 200000) - 1
    status, body = await client.ask("GET", url(path), Range=f"bytes={first}-{last}")
    expect(status == 206 and body == data[first:last + 1], "range", str(path), status, len(body))


async def ask_listing(client):
    day = random.choice(days)
    status, body = await client.ask("PROPFIND", f"{url(day)}/", Depth="1")
    names = re.findall(r"<D:displayname>([^<]*mp4)<", body.decode())
    expect(status == 207 and {path.name for path in files if path.parent == day} <= set(names), "listing", str(day), status, names)


async def ask_playlist(client):
    status, body = await client.ask("GET", f"{url(random.choice(days))}/index.m3u8?media")
    expect(status == 200 and body.startswith(b"#EXTM3U") and b".mp4?origin=" in body, "playlist", status, body[:200])


async def ask_upload(client):
    path, data = f"/uploads/load/http-{client.number}", random.randbytes(50000)
    status, _ = await client.ask("PUT", path, data)
    expect(status == 201, "PUT", status)
    status, body = await client.ask("GET", path)
    expect(status == 200 and body == data, "GET of what was put", status, len(body))
    status, _ = await client.ask("DELETE", path)
    expect(status == 204, "DELETE", status)


async def ask_live(client):
    camera = days[client.number % len(days)].parent.name
    status, body = await client.ask("GET", f"/live/{camera}/live.mp4", most=20000)
    expect(status == 200 and b"ftyp" in body[:16], "live", status, body[:16])
    client.writer.close()
    await client.open()


async def busy(number, end):
    client = Http(number)
    await client.open()
    kinds = [ask_range, ask_listing, ask_playlist, ask_upload, ask_live]
    while time.monotonic() < end:
        await kinds[(number + ROUNDS["busy", number]) % len(kinds)](client)
        ROUNDS["busy", number] += 1
        await asyncio.sleep(REST)
    client.writer.close()


async def idle(number, end):
    client = Http(number)
    await client.open()
    while True:
        status, _ = await client.ask("GET", "/recordings/")
        expect(status == 200, "idle", status)
        ROUNDS["idle", number] += 1
        left = end - time.monotonic()
        if left < 0:
            break  # this answer came over a connection that was idle until the end
        await asyncio.sleep(min(LIVELY, left + 0.01))
    client.writer.close()


class Ftp:
    async def open(self, user):
        self.reader, self.writer = await asyncio.open_connection(*address(job["ftp"]), limit=LIMIT)
        await self.answer("220")
        await self.say(f"USER {user}", "331")
        await self.say(f"PASS {job['password']}", "230")
        await self.say("TYPE I", "200")

    async def answer(self, code):
        line = first = (await self.reader.readline()).decode()
        while first[3:4] == "-" and line[:4] != first[:3] + " ":
            line = (await self.reader.readline()).decode()
        if not line.startswith(code):
            raise ValueError(f"{code} was expected: {line}")
        return line

    async def say(self, line, code):
        self.writer.write(line.encode() + b"\r\n")
        return await self.answer(code)

    async def data(self, line, sent=None):
        port = int(re.search(r"\|\|\|(\d+)\|", await self.say("EPSV", "229"))[1])
        reader, writer = await asyncio.open_connection(address(job["ftp"])[0], port)
        await self.say(line, "150")
        if sent is not None:
            writer.write(sent)
            await writer.drain()
        taken = b"" if sent is not None else await reader.read(-1)
        writer.close()
        await self.answer("226")
        return taken


async def ftp(number, end):
    client = Ftp()
    await client.open(job["users"][number % len(job["users"])])
    name, data = f"/uploads/load/ftp-{number}", random.randbytes(50000)
    while time.monotonic() < end:
        path = random.choice(files)
        taken = await client.data(f"RETR /{path.relative_to(store)}")
        expect(taken == path.read_bytes(), "RETR", str(path), len(taken))
        listed = await client.data(f"MLSD /{path.parent.relative_to(store)}")
        expect(path.name.encode() in listed, "MLSD", listed[:200])
        await client.data(f"STOR {name}", data)
        expect(await client.data(f"RETR {name}") == data, "RETR of what was stored", name)
        await client.say(f"DELE {name}", "250")
        ROUNDS["ftp", number] += 1
        await asyncio.sleep(REST)
    await client.say("QUIT", "221")


async def guarded(client, kind, number, end):
    try:
        await client(number, end)
    except (OSError, EOFError, ValueError, asyncio.IncompleteReadError) as error:
        WRONG.append(f"{kind} {number}: {error!r}"[:300])


async def main():
    end = time.monotonic() + job["seconds"]
    kinds = (("idle", idle, job["idle"]), ("busy", busy, job["busy"]), ("ftp", ftp, job["ftps"]))
    await asyncio.gather(*(guarded(client, kind, number, end) for kind, client, n in kinds for number in range(n)))
    rounds = {kind: sorted(ROUNDS[kind, number] for number in range(n)) for kind, _, n in kinds}
    print(json.dumps({"rounds": rounds, "wrong": WRONG}))


asyncio.run(main())
