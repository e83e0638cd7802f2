#!/usr/bin/python3
"""A camera made of GStreamer's RTSP server. Prints its port, then serves until it is ended.

Mounts are given as NAME=PIPELINE; `file:PATH[:h265]` stands for a file's video and audio. With --listen they have ONVIF's
back channel, and what is said there is written to the file.
"""
import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402


def launch_of(text):
    if not text.startswith("file:"):
        return text
    path, _, options = text[len("file:"):].partition(":")
    codec = "h265" if "h265" in options else "h264"
    audio = "" if "silent" in options else " d. ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97"
    return (f"( filesrc location={path} ! qtdemux name=d d. ! queue ! {codec}parse "
            f"! rtp{codec}pay config-interval=-1 name=pay0 pt=96{audio} )")


# What the camera listens to: its caps, and how its payload becomes bytes.
LISTENS = {
    "pcmu": ("payload=0, clock-rate=8000, encoding-name=PCMU", "rtppcmudepay"),
    "pcma": ("payload=8, clock-rate=8000, encoding-name=PCMA", "rtppcmadepay"),
    "aac": ("payload=97, clock-rate=16000, encoding-name=MPEG4-GENERIC, encoding-params=(string)1, streamtype=(string)5, profile-level-id=(string)1, "
            "mode=(string)AAC-hbr, config=(string)1408, sizelength=(string)13, indexlength=(string)3, indexdeltalength=(string)3", "rtpmp4gdepay"),
}


def factory_of(listen):
    if not listen:
        return GstRtspServer.RTSPMediaFactory()
    factory = GstRtspServer.RTSPOnvifMediaFactory()
    factory.set_media_gtype(GstRtspServer.RTSPOnvifMedia)
    codec, _, path = listen.partition(":")
    caps, depay = LISTENS[codec]
    factory.set_backchannel_launch(f'( capsfilter caps="application/x-rtp, media=audio, {caps}" name=depay_backchannel ! {depay} '
                                   f'! filesink location={path} append=true buffer-mode=unbuffered sync=false async=false )')
    factory.set_backchannel_bandwidth(64000)
    return factory


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", default="0")
    parser.add_argument("--user", help="user:password, asked for by Digest")
    parser.add_argument("--basic", action="store_true", help="ask for Basic instead")
    parser.add_argument("--tls", metavar="PEM", help="a file with certificate and key: RTSPS")
    parser.add_argument("--udp-only", action="store_true")
    parser.add_argument("--tcp-only", action="store_true")
    parser.add_argument("--listen", metavar="CODEC:FILE", help="pcmu, pcma or aac")
    parser.add_argument("mounts", nargs="+")
    args = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPOnvifServer() if args.listen else GstRtspServer.RTSPServer()
    server.set_address(args.address)
    server.set_service(args.port)
    auth = GstRtspServer.RTSPAuth()
    if args.tls:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(args.tls))
        if not args.user:
            token = GstRtspServer.RTSPToken()
            token.set_string("media.factory.role", "user")
            auth.set_default_token(token)
        server.set_auth(auth)
    if args.user:
        user, _, password = args.user.partition(":")
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        if args.basic:
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        else:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(user, password, token)
        server.set_auth(auth)
    for mount in args.mounts:
        name, _, pipeline = mount.partition("=")
        factory = factory_of(args.listen)
        factory.set_launch(launch_of(pipeline))
        factory.set_shared(True)
        if args.udp_only:
            factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
        if args.tcp_only:
            factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP)
        if args.user or args.tls:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role("user", "media.factory.access", True)
            permissions.add_permission_for_role("user", "media.factory.construct", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory("/" + name, factory)
    if server.attach(None) == 0:
        sys.exit("the port is taken")
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
