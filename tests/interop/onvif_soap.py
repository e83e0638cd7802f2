"""A plain SOAP client for nvrd's ONVIF services: what it sends is what the test says, what comes is kept for the validator."""
import base64
import datetime
import hashlib
import http.client
import os
import pathlib
import re
import subprocess
import tempfile

from daemon import report, skip

SPACES = {
    "tds": "http://www.onvif.org/ver10/device/wsdl", "trt": "http://www.onvif.org/ver10/media/wsdl", "tr2": "http://www.onvif.org/ver20/media/wsdl",
    "tev": "http://www.onvif.org/ver10/events/wsdl", "trc": "http://www.onvif.org/ver10/recording/wsdl", "tse": "http://www.onvif.org/ver10/search/wsdl",
    "trp": "http://www.onvif.org/ver10/replay/wsdl", "tptz": "http://www.onvif.org/ver20/ptz/wsdl", "timg": "http://www.onvif.org/ver20/imaging/wsdl", "tt": "http://www.onvif.org/ver10/schema", "wsnt": "http://docs.oasis-open.org/wsn/b-2",
    "wsa": "http://www.w3.org/2005/08/addressing", "tns1": "http://www.onvif.org/ver10/topics",
}
PATHS = {"tds": "device_service", "trt": "media_service", "tr2": "media2_service", "tev": "event_service", "wsnt": "event_service", "trc": "recording_service", "tse": "search_service",
         "trp": "replay_service", "tptz": "ptz_service", "timg": "imaging_service"}
SECURITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
DIGEST = "#PasswordDigest"
KIT = os.environ.get("NVRD_ONVIF")


def now(seconds=0):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def token(user, password, nonce=None, created=None, kind=DIGEST):
    """The header with a WS-UsernameToken."""
    nonce = os.urandom(16) if nonce is None else nonce
    created = created or now()
    digest = base64.b64encode(hashlib.sha1(nonce + created.encode() + password.encode()).digest()).decode()
    return (f'<w:Security xmlns:w="{SECURITY}wssecurity-secext-1.0.xsd" xmlns:u="{SECURITY}wssecurity-utility-1.0.xsd"><w:UsernameToken><w:Username>{user}</w:Username>'
            f'<w:Password Type="{SECURITY}username-token-profile-1.0{kind}">{digest if kind == DIGEST else password}</w:Password>'
            f'<w:Nonce EncodingType="{SECURITY}soap-message-security-1.0#Base64Binary">{base64.b64encode(nonce).decode()}</w:Nonce><u:Created>{created}</u:Created></w:UsernameToken></w:Security>')


def envelope(body, header=""):
    spaces = "".join(f' xmlns:{prefix}="{space}"' for prefix, space in SPACES.items())
    return f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"{spaces}><s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>'


class Answer:
    def __init__(self, status, fields, text):
        self.status, self.fields, self.text = status, fields, text

    def all(self, name):
        """The texts of elements by their local name."""
        return [re.sub(r"\s+", " ", t).strip() for t in re.findall(rf"<(?:\w+:)?{name}(?:\s[^>]*)?>([^<]*)</", self.text)]

    def one(self, name):
        return (self.all(name) or [None])[0]

    def tokens(self, name):
        return re.findall(rf'<(?:\w+:)?{name}\s[^>]*token="([^"]*)"', self.text)

    @property
    def fault(self):
        """The last of the codes of a fault, "" for none."""
        if ":Fault>" not in self.text:
            return ""
        return self.all("Value")[-1].partition(":")[2]


class Soap:
    """Calls of one user; `user` None: nobody says who he is."""

    def __init__(self, address, user=None, password=None, folder=None):
        self.address, self.user, self.password = address, user, password
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="nvrd-onvif-"))

    def as_user(self, user, password):
        return Soap(self.address, user, password, self.folder)

    def post(self, path, text, fields=None, timeout=15, source="127.0.0.1"):
        client = http.client.HTTPConnection(self.address, timeout=timeout, source_address=(source, 0))
        client.request("POST", path, text if isinstance(text, bytes) else text.encode(), {"Content-Type": "application/soap+xml; charset=utf-8", **(fields or {})})
        answer = client.getresponse()
        body = answer.read().decode()
        client.close()
        if body.startswith("<?xml"):
            (self.folder / f"{len(list(self.folder.iterdir())):05}.xml").write_text(body)
        return Answer(answer.status, answer.headers, body)

    def call(self, operation, body="", path=None, header="", timeout=15):
        """`operation` as "tds:GetUsers"; the body is what stands in its element."""
        if self.user:
            header += token(self.user, self.password)
        path = path or "/onvif/" + PATHS[operation.partition(":")[0]]
        return self.post(path, envelope(f"<{operation}>{body}</{operation}>", header), timeout=timeout)


def problems(folder):
    """What the strict validator says of all answers, or None where it is not there."""
    if not KIT:
        return None
    result = subprocess.run([f"{KIT}/validate", "--dir", folder], capture_output=True, text=True)
    return result.stdout + result.stderr


def operations(folder):
    """"service operation" of each response in the folder."""
    lines = subprocess.run([f"{KIT}/validate", "--operations", "--dir", folder], capture_output=True, text=True).stdout.splitlines()
    return {tuple(line.split()[1:3]) for line in lines if line.endswith(" response")}


def check_messages(service, folder, rows, cameras):
    """What was answered, which has to be in that folder for each operation of the rows, and what the simulated cameras were asked, by the strict schemas."""
    if not KIT:
        skip("the strict schemas", "NVRD_ONVIF does not name their folder")
        return
    said = problems(folder)
    report(not said, f"all {len(list(folder.iterdir()))} answers are valid by the strict schemas", said)
    missing = [name for name, _, _ in rows if (service, name) not in operations(folder)]
    report(not missing, "each operation's answer was among them", missing)
    for name, camera in cameras.items():
        with tempfile.TemporaryDirectory() as place:
            said = camera.problems(place)
            report(said == "", f"what {name} is asked is valid, too", said)
