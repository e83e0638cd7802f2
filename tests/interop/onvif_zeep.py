#!/usr/bin/python3
"""A typed client of Debian's python3-zeep, from ONVIF's WSDLs alone: FindRecordings -> results -> GetReplayUri, and FindEvents. Prints one JSON object.

    onvif_zeep.py KIT ADDRESS USER PASSWORD
"""
import datetime
import json
import pathlib
import sys

import zeep
from zeep.wsse.username import UsernameToken

KIT = pathlib.Path(sys.argv[1])
NAMES = {"xmlmime": "xmlmime.xsd", "include": "xop-include.xsd", "soap-envelope": "soap-envelope.xsd", "ws-addr": "ws-addr.xsd"}
FILES = {path.name: path for path in KIT.rglob("*") if path.suffix in (".xsd", ".wsdl")}


class Offline(zeep.Transport):
    """Schemas come from the kit, whatever address they are named by; only the device is asked."""

    def load(self, url):
        path = pathlib.Path(url)
        if not path.is_file():
            name = url.rstrip("/").rpartition("/")[2]
            path = FILES[NAMES.get(name, name)]
        return path.read_bytes()


def service(wsdl, binding, path):
    client = zeep.Client(str(KIT / "wsdl" / wsdl), transport=Offline(), wsse=UsernameToken(sys.argv[3], sys.argv[4], use_digest=True))
    return client.create_service(f"{{{binding[0]}}}{binding[1]}", f"http://{sys.argv[2]}/onvif/{path}")


def main():
    device = service("ver10/device/wsdl/devicemgmt.wsdl", ("http://www.onvif.org/ver10/device/wsdl", "DeviceBinding"), "device_service")
    search = service("ver10/search.wsdl", ("http://www.onvif.org/ver10/search/wsdl", "SearchBinding"), "search_service")
    replay = service("ver10/replay.wsdl", ("http://www.onvif.org/ver10/replay/wsdl", "ReplayBinding"), "replay_service")
    services = [s.Namespace for s in device.GetServices(IncludeCapability=False)]
    filtered = {"RecordingInformationFilter": 'boolean(//Track[TrackType = "Video"])'}
    token = search.FindRecordings(Scope=filtered, KeepAliveTime=datetime.timedelta(seconds=60))
    results = search.GetRecordingSearchResults(SearchToken=token, WaitTime=datetime.timedelta(seconds=5))
    search.EndSearch(SearchToken=token)
    found = results.RecordingInformation[-1]
    uri = replay.GetReplayUri(StreamSetup={"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}, RecordingToken=found.RecordingToken)
    start = datetime.datetime.now(datetime.timezone.utc)
    token = search.FindEvents(StartPoint=start, EndPoint=start - datetime.timedelta(hours=1), Scope={"IncludedRecordings": [found.RecordingToken]}, SearchFilter={}, IncludeStartState=False,
                              KeepAliveTime=datetime.timedelta(seconds=60))
    events = search.GetEventSearchResults(SearchToken=token, WaitTime=datetime.timedelta(seconds=5))
    search.EndSearch(SearchToken=token)
    print(json.dumps({"services": services, "states": [results.SearchState, events.SearchState], "recordings": [r.RecordingToken for r in results.RecordingInformation], "uri": uri,
                      "earliest": found.EarliestRecording.timestamp(), "latest": found.LatestRecording.timestamp(),
                      "events": [[e.RecordingToken, e.TrackToken, e.Time.timestamp()] for e in events.Result], "tracks": [t.TrackType for t in found.Track]}))


main()
