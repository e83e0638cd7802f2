/* The table of options. What its types are is in config_types.c, what its checks look for in config_checks.c. */
#include <string.h>

#include "server/base/config_private.h"

static const struct config_word level_words[] = {
	{"error",  LOG_ERROR},
	{ "warn",  LOG_WARN },
	{ "info",  LOG_INFO },
	{ "debug", LOG_DEBUG},
	{ NULL,    0        },
};
static const struct config_word format_words[] = {
	{"text",  LOG_TEXT},
	{ "json", LOG_JSON},
	{ NULL,   0       },
};
static const struct config_word role_words[] = {
	{"viewer",    ROLE_VIEWER  },
	{ "operator", ROLE_OPERATOR},
	{ "admin",    ROLE_ADMIN   },
	{ NULL,       0            },
};
static const struct config_word transport_words[] = {
	{"auto", TRANSPORT_AUTO},
	{ "tcp", TRANSPORT_TCP },
	{ "udp", TRANSPORT_UDP },
	{ NULL,  0             },
};
static const struct config_word audio_words[] = {
	{"copy", AUDIO_COPY},
	{ "aac", AUDIO_AAC },
	{ "off", AUDIO_OFF },
	{ NULL,  0         },
};
static const struct config_word rotate_words[] = {
	{"auto", ROTATE_AUTO},
	{ "0",   0          },
	{ "90",  90         },
	{ "180", 180        },
	{ "270", 270        },
	{ NULL,  0          },
};
static const struct config_word tls_words[] = {
	{"modern",  TLS_MODERN},
	{ "legacy", TLS_LEGACY},
	{ NULL,     0         },
};
/* What divides 90000, the ticks of a second of video. */
static const struct config_word fps_words[] = {
	{"1",   1 },
	{ "2",  2 },
	{ "5",  5 },
	{ "10", 10},
	{ "12", 12},
	{ "15", 15},
	{ "20", 20},
	{ "24", 24},
	{ "25", 25},
	{ "30", 30},
	{ "50", 50},
	{ "60", 60},
	{ NULL, 0 },
};
static const struct config_word record_words[] = {
	{"continuous", RECORD_CONTINUOUS},
	{ "events",    RECORD_EVENTS    },
	{ "off",       RECORD_OFF       },
	{ NULL,        0                },
};

/* The field of an object, for `offset`. */
#define IN_CONFIG(field) offsetof(struct config, field)
#define IN_USER(field) offsetof(struct auth_user, field)
#define IN_APP_PASSWORD(field) offsetof(struct auth_app_password, field)
#define IN_CAMERA(field) offsetof(struct config_camera, field)
#define IN_VOLUME(field) offsetof(struct config_volume, field)
#define IN_DEVICE(field) offsetof(struct config_device, field)

// clang-format off
const struct config_option config_options[] = {
	{
		.key = "listen.http",
		.type = OPTION_ADDRESS,
		.offset = IN_CONFIG(listen.http),
		.standard = "0.0.0.0:8080",
		.applies = APPLIES_LISTENER,
		.help = "Where HTTP is served: the web page, live pictures, recordings, metrics.",
	},
	{
		.key = "listen.https",
		.type = OPTION_ADDRESS,
		.offset = IN_CONFIG(listen.https),
		.standard = "0.0.0.0:8443",
		.applies = APPLIES_LISTENER,
		.help = "Where the same is served by TLS.",
	},
	{
		.key = "listen.rtsp",
		.type = OPTION_ADDRESS,
		.offset = IN_CONFIG(listen.rtsp),
		.standard = "0.0.0.0:8554",
		.applies = APPLIES_LISTENER,
		.help = "Where RTSP is served: the live streams of all cameras.",
	},
	{
		.key = "listen.rtsps",
		.type = OPTION_ADDRESS,
		.offset = IN_CONFIG(listen.rtsps),
		.standard = "0.0.0.0:8322",
		.applies = APPLIES_LISTENER,
		.help = "Where the same is served by TLS (rtsps://).",
	},
	{
		.key = "listen.ftp",
		.type = OPTION_ADDRESS,
		.offset = IN_CONFIG(listen.ftp),
		.standard = "0.0.0.0:2121",
		.applies = APPLIES_LISTENER,
		.help = "Where FTP is served: recordings to read, and uploads, where cameras put what they have recorded.",
	},
	{
		.key = "listen.ftp_passive",
		.type = OPTION_PORTS,
		.offset = IN_CONFIG(listen.ftp_passive),
		.standard = "50000-50100",
		.applies = APPLIES_LISTENER,
		.help = "The ports of FTP's data connections, for a firewall to let through. Each session needs one.",
	},
	{
		.key = "listen.webrtc",
		.type = OPTION_ADDRESS,
		.offset = IN_CONFIG(listen.webrtc),
		.standard = "0.0.0.0:8189",
		.applies = APPLIES_LISTENER,
		.help = "Where browsers get live pictures by WebRTC: one port for all of them, UDP and TCP.",
	},
	{
		.key = "tls.certificate",
		.type = OPTION_STRING,
		.offset = IN_CONFIG(tls.certificate),
		.applies = APPLIES_NOTHING,
		.check = config_check_file,
		.help = "The file of nvrd's certificate in PEM, followed by those that lead from it to its "
			"authority; relative to the configuration's folder. It is read again by a reload, "
			"and new connections get the new one. When left out, nvrd makes a certificate of its "
			"own at its first start, in tls.pem of storage.path, and logs its fingerprint.",
	},
	{
		.key = "tls.key",
		.type = OPTION_STRING,
		.offset = IN_CONFIG(tls.key),
		.applies = APPLIES_NOTHING,
		.check = config_check_file,
		.help = "The file of its key in PEM, without a passphrase; given together with the "
			"certificate.",
	},
	{
		.key = "tls.hsts",
		.type = OPTION_BOOL,
		.offset = IN_CONFIG(tls.hsts),
		.standard = "no",
		.applies = APPLIES_NOTHING,
		.help = "Tell browsers to come by TLS only for a year (RFC 6797). They then refuse plain "
			"HTTP under this name, and a certificate that no authority has signed.",
	},
	{
		.key = "http.trusted_proxies",
		.type = OPTION_NAMES,
		.offset = IN_CONFIG(http.trusted_proxies),
		.applies = APPLIES_NOTHING,
		.check = config_check_network,
		.example = "[127.0.0.1, 10.0.0.0/8]",
		.help = "The reverse proxies, by address or network, that are believed what they say of who "
			"asks: X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host.",
	},
	{
		.key = "http.base_path",
		.type = OPTION_STRING,
		.offset = IN_CONFIG(http.base_path),
		.applies = APPLIES_NOTHING,
		.check = config_check_base_path,
		.help = "The path below which a reverse proxy shows nvrd, such as /nvr. It is taken off what "
			"is asked for, and put in front of what is answered.",
	},
	{
		.key = "rtsp.sessions",
		.type = OPTION_COUNT,
		.offset = IN_CONFIG(rtsp.sessions),
		.standard = "1024",
		.applies = APPLIES_NOTHING,
		.min = "1",
		.max = "20000",
		.help = "How many RTSP sessions there may be at a time. One more is answered 503.",
	},
	{
		.key = "rtsp.sessions_per_user",
		.type = OPTION_COUNT,
		.offset = IN_CONFIG(rtsp.sessions_per_user),
		.standard = "128",
		.applies = APPLIES_NOTHING,
		.min = "1",
		.max = "20000",
		.help = "How many of them one user may have, but for those from nvrd's own machine. One more is "
			"answered 453.",
	},
	{
		.key = "rtsp.sessions_per_address",
		.type = OPTION_COUNT,
		.offset = IN_CONFIG(rtsp.sessions_per_address),
		.standard = "32",
		.applies = APPLIES_NOTHING,
		.min = "1",
		.max = "20000",
		.help = "How many of them one address may have, but for nvrd's own machine. One more is answered 453.",
	},
	{
		.key = "rtsp.basic",
		.type = OPTION_BOOL,
		.offset = IN_CONFIG(rtsp.basic),
		.standard = "no",
		.applies = APPLIES_NOTHING,
		.help = "Offer Basic without TLS, too, by which the password itself is sent. By TLS, and where only "
			"Basic can check a password, it is always offered.",
	},
	{
		.key = "rtsp.queue",
		.type = OPTION_SIZE,
		.offset = IN_CONFIG(rtsp.queue_bytes),
		.standard = "4MiB",
		.applies = APPLIES_NOTHING,
		.min = "64KiB",
		.max = "1GiB",
		.help = "How much may wait for one reader of a live stream, beyond the group of pictures that it begins "
			"with. Then it goes on at a keyframe. Readers of one stream wait for the same memory.",
	},
	{
		.key = "rtsp.queue_time",
		.type = OPTION_DURATION,
		.offset = IN_CONFIG(rtsp.queue_time_us),
		.standard = "5s",
		.applies = APPLIES_NOTHING,
		.min = "100ms",
		.max = "10m",
		.help = "How long it may wait; likewise. Over TCP only: by UDP it is sent as it comes.",
	},
	{
		.key = "rtsp.write_timeout",
		.type = OPTION_DURATION,
		.offset = IN_CONFIG(rtsp.write_timeout_us),
		.standard = "20s",
		.applies = APPLIES_NOTHING,
		.min = "1s",
		.max = "24h",
		.help = "How long a reader of a live stream over TCP may take nothing of what waits, before it is "
			"disconnected. It is looked at every five seconds.",
	},
	{
		.key = "rtsp.reconnect",
		.type = OPTION_DURATION,
		.offset = IN_CONFIG(rtsp.reconnect_us),
		.standard = "60s",
		.applies = APPLIES_NOTHING,
		.min = "1s",
		.max = "24h",
		.help = "How long readers of a live stream wait for a camera that was lost, before they are "
			"disconnected. When it comes back in time, they go on where they froze.",
	},
	{
		.key = "webrtc.addresses",
		.type = OPTION_NAMES,
		.offset = IN_CONFIG(webrtc.addresses),
		.applies = APPLIES_NOTHING,
		.check = config_check_ip_address,
		.example = "[203.0.113.7, 192.168.1.5]",
		.help = "The IP addresses by which browsers reach listen.webrtc, where those are not the machine's own: "
			"behind NAT, in a container. Its port is the same there. When left out, browsers are told the address "
			"that they asked for the page, and those of the interfaces.",
	},
	{
		.key = "webrtc.sessions",
		.type = OPTION_COUNT,
		.offset = IN_CONFIG(webrtc.sessions),
		.standard = "256",
		.applies = APPLIES_NOTHING,
		.min = "1",
		.max = "20000",
		.help = "How many WebRTC sessions there may be at a time. One more is answered 503.",
	},
	{
		.key = "webrtc.sessions_per_user",
		.type = OPTION_COUNT,
		.offset = IN_CONFIG(webrtc.sessions_per_user),
		.standard = "64",
		.applies = APPLIES_NOTHING,
		.min = "1",
		.max = "20000",
		.help = "How many of them one user may have. One more is answered 429.",
	},
	{
		.key = "onvif.discover",
		.type = OPTION_NAMES,
		.offset = IN_CONFIG(onvif.discover),
		.applies = APPLIES_NOTHING,
		.check = config_check_interface,
		.example = "[eth0]",
		.help = "The interfaces on which ONVIF cameras are looked for (WS-Discovery, UDP port 3702). What is found is "
			"in /discovered/, a file for each, which admins copy to /config/cameras/.",
	},
	{
		.key = "onvif.discoverable",
		.type = OPTION_BOOL,
		.offset = IN_CONFIG(onvif.discoverable),
		.standard = "no",
		.applies = APPLIES_NOTHING,
		.help = "Whether nvrd, and each of onvif.devices, can itself be found there by WS-Discovery.",
	},
	{
		.key = "onvif.name",
		.type = OPTION_STRING,
		.offset = IN_CONFIG(onvif.name),
		.standard = "nvrd",
		.applies = APPLIES_NOTHING,
		.check = config_check_scope,
		.help = "What nvrd is called in the lists of ONVIF clients.",
	},
	{
		.key = "onvif.location",
		.type = OPTION_STRING,
		.offset = IN_CONFIG(onvif.location),
		.applies = APPLIES_NOTHING,
		.check = config_check_scope,
		.help = "Where it stands, likewise.",
	},
	{
		.key = "onvif.devices.*",
		.type = OPTION_ADDRESS,
		.offset = IN_DEVICE(address),
		.applies = APPLIES_LISTENER,
		.help = "Where the camera of this name is served by HTTP as an ONVIF device of its own, with nothing else of nvrd: "
			"for clients that take one camera for each address. An address of the machine, or another port.",
	},
	{
		.key = "storage.path",
		.type = OPTION_STRING,
		.offset = IN_CONFIG(storage.path),
		.standard = "/var/lib/nvrd",
		.applies = APPLIES_PROCESS,
		.check = config_check_path,
		.help = "The folder of the recordings and the catalogue; the first volume.",
	},
	{
		.key = "storage.segment",
		.type = OPTION_DURATION,
		.offset = IN_CONFIG(storage.segment_us),
		.standard = "10m",
		.applies = APPLIES_CAMERA,
		.min = "1s",
		.max = "24h",
		.check = config_check_segment,
		.help = "How long one recording file is. Files are cut on the first keyframe after each "
			"multiple of it on the clock, so it must divide a day.",
	},
	{
		.key = "storage.sync",
		.type = OPTION_DURATION,
		.offset = IN_CONFIG(storage.sync_us),
		.standard = "2s",
		.applies = APPLIES_CAMERA,
		.min = "0",
		.max = "60s",
		.help = "How much a power cut may cost. With 0 every fragment is synced to disk.",
	},
	{
		.key = "storage.keep",
		.type = OPTION_KEEP,
		.offset = IN_CONFIG(storage.keep_us),
		.standard = "forever",
		.applies = APPLIES_NOTHING,
		.help = "How long recordings are kept; what is older is deleted. With forever only the "
			"limits of size delete something.",
	},
	{
		.key = "storage.max_size",
		.type = OPTION_SIZE,
		.offset = IN_CONFIG(storage.max_bytes),
		.standard = "none",
		.applies = APPLIES_NOTHING,
		.help = "How much the recordings and time-lapses of all cameras may take together. What is too "
			"much is deleted, the oldest recordings of all first, time-lapses when there are none left.",
	},
	{
		.key = "storage.reserve",
		.type = OPTION_SHARE,
		.offset = IN_CONFIG(storage.reserve),
		.standard = "5%",
		.applies = APPLIES_NOTHING,
		.help = "How much of each volume's file system stays free, so that recording never stops. To that end "
			"the oldest recordings of all are deleted, or moved to the next volume; and where there are none "
			"left the oldest time-lapses are deleted.",
	},
	{
		.key = "storage.volumes[].path",
		.type = OPTION_STRING,
		.offset = IN_VOLUME(path),
		.required = true,
		.applies = APPLIES_PROCESS,
		.check = config_check_path,
		.help = "A folder on another disk, which takes over what the volume before it has no more room for. "
			"The first volume is storage.path, where everything is recorded; it may stand "
			"first in the list, for its own keep and max_size. A folder must be there already.",
	},
	{
		.key = "storage.volumes[].keep",
		.type = OPTION_KEEP,
		.offset = IN_VOLUME(keep_us),
		.standard = "forever",
		.applies = APPLIES_NOTHING,
		.help = "How old recordings may be on this volume. Then they are moved to the next one, and deleted "
			"from the last.",
	},
	{
		.key = "storage.volumes[].max_size",
		.type = OPTION_SIZE,
		.offset = IN_VOLUME(max_bytes),
		.standard = "none",
		.applies = APPLIES_NOTHING,
		.help = "How much the recordings on this volume may take. What is too much is moved to the next one, "
			"the oldest first, and deleted from the last.",
	},
	{
		.key = "storage.queue",
		.type = OPTION_SIZE,
		.offset = IN_CONFIG(storage.queue_bytes),
		.standard = "64MiB",
		.applies = APPLIES_NOTHING,
		.min = "4MiB",
		.max = "64GiB",
		.help = "How much of all cameras may wait in memory while the disk is slow, fails or is away, what is "
			"held for events included. What is more is not recorded.",
	},
	{
		.key = "storage.max_upload",
		.type = OPTION_SIZE,
		.offset = IN_CONFIG(storage.max_upload_bytes),
		.standard = "none",
		.applies = APPLIES_NOTHING,
		.help = "The largest file that may be put into /uploads/ over HTTP or FTP. Whatever this says, writing ends "
			"where the reserve begins.",
	},
	{
		.key = "log.level",
		.type = OPTION_ENUM,
		.offset = IN_CONFIG(log.level),
		.standard = "info",
		.applies = APPLIES_NOTHING,
		.words = level_words,
		.help = "What is logged to standard error.",
	},
	{
		.key = "log.format",
		.type = OPTION_ENUM,
		.offset = IN_CONFIG(log.format),
		.standard = "text",
		.applies = APPLIES_NOTHING,
		.words = format_words,
		.help = "How it is logged: lines of text, or one JSON object per line.",
	},
	{
		.key = "users.*.password",
		.type = OPTION_SECRET,
		.offset = IN_USER(password),
		.required = true,
		.applies = APPLIES_NOTHING,
		.check = config_check_password,
		.help = "The password, or what nvrd --hash-password printed for it. With a hash of scrypt only Basic "
			"and FTP can log in, not Digest.",
	},
	{
		.key = "users.*.role",
		.type = OPTION_ENUM,
		.offset = IN_USER(role),
		.standard = "viewer",
		.applies = APPLIES_NOTHING,
		.words = role_words,
		.help = "What the user may do. Each role includes those before it.",
	},
	{
		.key = "users.*.cameras",
		.type = OPTION_NAMES,
		.offset = IN_USER(cameras),
		.example = "[porch, yard]",
		.applies = APPLIES_NOTHING,
		.help = "The cameras that the user may see; all when left out.",
	},
	{
		.key = "users.*.app_passwords[].name",
		.type = OPTION_STRING,
		.offset = IN_APP_PASSWORD(name),
		.required = true,
		.applies = APPLIES_NOTHING,
		.check = config_check_user_name,
		.help = "Another password of this user, for one program: what people call that.",
	},
	{
		.key = "users.*.app_passwords[].password",
		.type = OPTION_SECRET,
		.offset = IN_APP_PASSWORD(password),
		.required = true,
		.applies = APPLIES_NOTHING,
		.check = config_check_app_password,
		.help = "The password, best a long random one, or what nvrd --hash-password printed for it with the "
			"user's name. The program gives it with the user's name.",
	},
	{
		.key = "users.*.app_passwords[].scope",
		.type = OPTION_NAMES,
		.offset = IN_APP_PASSWORD(scope),
		.required = true,
		.example = "[live, rtsp]",
		.applies = APPLIES_NOTHING,
		.help = "What it is for, a list of: dav (recordings and uploads over HTTP and WebDAV), dav:read, ftp, "
			"ftp:read, live (live pictures over HTTP), rtsp (to play), rtsp:publish, metrics. With :read nothing can be changed. "
			"It never gives more than the user may do.",
	},
	{
		.key = "users.*.app_passwords[].expires",
		.type = OPTION_DAY,
		.offset = IN_APP_PASSWORD(expires_us),
		.standard = "never",
		.applies = APPLIES_NOTHING,
		.help = "From which day on it is not good any more, UTC. As long as the machine's clock is behind the time "
			"of the configuration file, and so surely wrong, a password that expires is not good either.",
	},
	{
		.key = "cameras.*.source",
		.type = OPTION_SECRET,
		.offset = IN_CAMERA(source),
		.required = true,
		.applies = APPLIES_CAMERA,
		.check = config_check_source,
		.help = "Where the pictures come from: rtsp://user:password@host:port/path; rtsps:// for "
			"TLS, rtsp+http:// or rtsp+https:// through an HTTP tunnel; onvif://user:password@host for a camera "
			"that tells by ONVIF where its streams are, and what happens (onvif+https:// by TLS); "
			"http:// or https:// for "
			"a camera that gives JPEG pictures or an MJPEG stream; av: and anything that "
			"libavformat opens (rtmp://, srt://, udp://, a file, a webcam as /dev/video0); "
			"test: for a built-in moving picture; publish: for what others push here by RTSP (ANNOUNCE, "
			"RECORD), who need the role operator; upload: for a camera that nobody pulls, of "
			"which there are only the recordings that become of files in its folder uploads.",
	},
	{
		.key = "cameras.*.substream",
		.type = OPTION_SECRET,
		.offset = IN_CAMERA(substream),
		.applies = APPLIES_CAMERA,
		.check = config_check_pulled,
		.help = "A smaller stream of the same camera, served as NAME/sub. It is pulled only while "
			"somebody needs it.",
	},
	{
		.key = "cameras.*.onvif",
		.type = OPTION_SECRET,
		.offset = IN_CAMERA(onvif),
		.applies = APPLIES_CAMERA,
		.check = config_check_onvif,
		.help = "Where the camera tells by ONVIF what happens (motion, a line crossed, an input), as "
			"onvif://user:password@host. A source of that kind says it itself.",
	},
	{
		.key = "cameras.*.set_clock",
		.type = OPTION_BOOL,
		.offset = IN_CAMERA(set_clock),
		.standard = "no",
		.applies = APPLIES_CAMERA,
		.help = "Set the clock of a camera that speaks ONVIF by ours where it is more than two seconds off: when it "
			"connects, and daily. The user at the camera has to be an administrator there, and our clock has to "
			"be set itself (by NTP).",
	},
	{
		.key = "cameras.*.substream_always",
		.type = OPTION_BOOL,
		.offset = IN_CAMERA(substream_always),
		.standard = "no",
		.applies = APPLIES_CAMERA,
		.help = "Pull the substream all the time.",
	},
	{
		.key = "cameras.*.transport",
		.type = OPTION_ENUM,
		.offset = IN_CAMERA(transport),
		.standard = "auto",
		.applies = APPLIES_CAMERA,
		.words = transport_words,
		.help = "How RTP comes from the camera.",
	},
	{
		.key = "cameras.*.multicast",
		.type = OPTION_STRING,
		.offset = IN_CAMERA(multicast),
		.applies = APPLIES_NOTHING,
		.check = config_check_multicast,
		.help = "The IPv4 group to which RTSP sends the camera, for readers that ask for multicast, with the "
			"first port if that is not to be 5004, such as 239.1.2.3:5004. All of them get what is sent "
			"once. The camera takes the 16 ports from there on, the substream the upper half of them.",
	},
	{
		.key = "cameras.*.backchannel",
		.type = OPTION_BOOL,
		.offset = IN_CAMERA(backchannel),
		.standard = "no",
		.applies = APPLIES_CAMERA,
		.help = "Ask a camera that speaks RTSP for its back channel (ONVIF), by which operators can talk to it "
			"through RTSP. Some cameras have trouble with being asked; the button of some doorbells does "
			"not ring while somebody has their back channel.",
	},
	{
		.key = "cameras.*.record",
		.type = OPTION_ENUM,
		.offset = IN_CAMERA(recording.record),
		.standard = "continuous",
		.applies = APPLIES_RECORDER,
		.words = record_words,
		.help = "Whether the camera is recorded, or only while something happens; it is served "
			"live in any case.",
	},
	{
		.key = "cameras.*.schedule",
		.type = OPTION_STRING,
		.offset = IN_CAMERA(recording.schedule),
		.applies = APPLIES_RECORDER,
		.check = config_check_schedule,
		.help = "When the camera is recorded, in local time, as in "
			"\"mon-fri 18:00-07:00, sat-sun\". Always when left out.",
	},
	{
		.key = "cameras.*.pre_event",
		.type = OPTION_DURATION,
		.offset = IN_CAMERA(recording.pre_us),
		.standard = "10s",
		.applies = APPLIES_RECORDER,
		.min = "0",
		.max = "5m",
		.help = "With record: events, how much of before an event is recorded. It is held in "
			"memory.",
	},
	{
		.key = "cameras.*.post_event",
		.type = OPTION_DURATION,
		.offset = IN_CAMERA(recording.post_us),
		.standard = "20s",
		.applies = APPLIES_RECORDER,
		.min = "1s",
		.max = "1h",
		.help = "With record: events, how long recording goes on after an event.",
	},
	{
		.key = "cameras.*.event_hold",
		.type = OPTION_DURATION,
		.offset = IN_CAMERA(recording.hold_us),
		.standard = "5m",
		.applies = APPLIES_RECORDER,
		.min = "1s",
		.max = "1d",
		.help = "How long an event lasts of which the camera says that it begins, but never that it ends.",
	},
	{
		.key = "cameras.*.keep",
		.type = OPTION_KEEP,
		.offset = IN_CAMERA(keep_us),
		.applies = APPLIES_NOTHING,
		.help = "How long the camera's recordings are kept; as storage.keep says when left out.",
	},
	{
		.key = "cameras.*.max_size",
		.type = OPTION_SIZE,
		.offset = IN_CAMERA(max_bytes),
		.standard = "none",
		.applies = APPLIES_NOTHING,
		.help = "How much the camera's recordings may take; its oldest go first.",
	},
	{
		.key = "cameras.*.timelapse.every",
		.type = OPTION_DURATION,
		.offset = IN_CAMERA(recording.timelapse_every_us),
		.required = true,
		.applies = APPLIES_RECORDER,
		.min = "1s",
		.max = "1h",
		.help = "Where timelapse is given, the camera's keyframes this far apart become a film of each "
			"day, timelapse.mp4 in the day's folder, whether the camera is recorded or not.",
	},
	{
		.key = "cameras.*.timelapse.fps",
		.type = OPTION_ENUM,
		.offset = IN_CAMERA(recording.timelapse_fps),
		.standard = "25",
		.applies = APPLIES_RECORDER,
		.words = fps_words,
		.help = "How many of its pictures a second of the film shows.",
	},
	{
		.key = "cameras.*.timelapse.keep",
		.type = OPTION_KEEP,
		.offset = IN_CAMERA(timelapse_keep_us),
		.standard = "forever",
		.applies = APPLIES_NOTHING,
		.help = "How long the camera's time-lapses are kept, whatever keep says of its recordings.",
	},
	{
		.key = "cameras.*.timelapse.max_size",
		.type = OPTION_SIZE,
		.offset = IN_CAMERA(timelapse_max_bytes),
		.standard = "none",
		.applies = APPLIES_NOTHING,
		.help = "How much the camera's time-lapses may take; the oldest go first.",
	},
	{
		.key = "cameras.*.audio",
		.type = OPTION_ENUM,
		.offset = IN_CAMERA(audio),
		.standard = "copy",
		.applies = APPLIES_CAMERA,
		.words = audio_words,
		.help = "The camera's sound: as it comes, where MP4 can carry it; made AAC where it is "
			"something else; or left out.",
	},
	{
		.key = "cameras.*.rotate",
		.type = OPTION_ENUM,
		.offset = IN_CAMERA(rotate),
		.standard = "auto",
		.applies = APPLIES_CAMERA,
		.words = rotate_words,
		.help = "How far players turn the pictures, clockwise, in files and in browsers; "
			"nothing is encoded anew. auto: as an av: source says.",
	},
	{
		.key = "cameras.*.interval",
		.type = OPTION_DURATION,
		.offset = IN_CAMERA(interval_us),
		.standard = "1s",
		.applies = APPLIES_CAMERA,
		.min = "100ms",
		.max = "1h",
		.help = "How often a camera that gives one JPEG picture per request is asked.",
	},
	{
		.key = "cameras.*.loop",
		.type = OPTION_BOOL,
		.offset = IN_CAMERA(loop),
		.standard = "no",
		.applies = APPLIES_CAMERA,
		.help = "Whether a file given as av: begins again at its end.",
	},
	{
		.key = "cameras.*.tls_verify",
		.type = OPTION_BOOL,
		.offset = IN_CAMERA(tls_verify),
		.standard = "yes",
		.applies = APPLIES_CAMERA,
		.help = "Whether the certificate of a camera behind rtsps:// or https:// is checked "
			"against the system's authorities and its host name.",
	},
	{
		.key = "cameras.*.tls_fingerprint",
		.type = OPTION_STRING,
		.offset = IN_CAMERA(tls_fingerprint),
		.applies = APPLIES_CAMERA,
		.check = config_check_fingerprint,
		.help = "The SHA-256 fingerprint of the camera's own certificate, as sha256: and 64 "
			"hexadecimal digits. Then no authority is asked; any other certificate is refused.",
	},
	{
		.key = "cameras.*.tls",
		.type = OPTION_ENUM,
		.offset = IN_CAMERA(tls),
		.standard = "modern",
		.applies = APPLIES_CAMERA,
		.words = tls_words,
		.help = "Allow old cameras TLS 1.0 and weak ciphers.",
	},
	{
		.key = "cameras.*.enabled",
		.type = OPTION_BOOL,
		.offset = IN_CAMERA(enabled),
		.standard = "yes",
		.applies = APPLIES_CAMERA,
		.help = "Whether the camera is used at all.",
	},
	{ .key = NULL						    },
};
// clang-format on

bool config_option_has_prefix(const struct config_option *option, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(option->key, prefix, n) == 0 && !strpbrk(option->key + n, "*[");
}

const struct config_option *config_option_find(const char *prefix, const char *name)
{
	for (const struct config_option *o = config_options; o->key; o++) {
		if (config_option_has_prefix(o, prefix) &&
			strcmp(o->key + strlen(prefix), name) == 0)
			return o;
	}
	return NULL;
}
