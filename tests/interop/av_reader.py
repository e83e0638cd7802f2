#!/usr/bin/env python3
"""PyAV, with a newer ffmpeg in it than Debian's, as a player: av_reader.py URL TRANSPORT VIDEO AUDIO writes the hash of each packet, a line each."""
import hashlib
import sys

import av

TEMPORAL_DELIMITER = b"\x12\0"  # which containers leave out (AV1 in Matroska, AV1 in ISOBMFF)


def main():
    url, transport, *paths = sys.argv[1:]
    options = {"rtsp_transport": transport, "buffer_size": "4000000", "tls_verify": "0"}
    with av.open(url, options=options) as source, open(paths[0], "w") as video, open(paths[1], "w") as audio:
        for packet in source.demux():
            data = bytes(packet).removeprefix(TEMPORAL_DELIMITER)
            if data:
                print("MD5:" + hashlib.md5(data).hexdigest(), file=video if packet.stream.type == "video" else audio, flush=True)


main()
