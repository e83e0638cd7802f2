/*
 * The table of options, and everything that is read from its rows: parsing, defaults, comparison,
 * the manual's list.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>

#include "server/base/config_private.h"
#include "server/base/memory.h"
#include "server/base/schedule.h"

enum {
	PASSWORD_BYTES = 255,
	SOURCE_BYTES = 2048,
	RESERVE_PERCENT = 90 /* the most */
};

#define DAY_US (24 * 60 * 60 * INT64_C(1000000))

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

static const char *check_segment(const char *text)
{
	int64_t us;

	if (config_parse_duration(text, &us) == 0 && us > 0 && DAY_US % us != 0)
		return "must divide a day: 1m, 5m, 10m, 15m, 30m, 1h";
	return NULL;
}

static const char *check_path(const char *text)
{
	return *text ? NULL : "must name a folder";
}

static const char *check_password(const char *text)
{
	if (!*text)
		return "may not be empty";
	if (strlen(text) > PASSWORD_BYTES)
		return "is longer than 255 bytes";
	for (const char *p = text; *p; p++) {
		if (iscntrl((unsigned char)*p))
			return "holds a control character";
	}
	if (strncmp(text, "$nvrd$", strlen("$nvrd$")) == 0 && !auth_is_hash(text))
		return "is not a whole hash as nvrd --hash-password prints it";
	return NULL;
}

/* What sources may look like; `network`: a host follows, in a URI's letters. */
static const struct {
	const char *prefix;
	bool network;
} source_schemes[] = {
	{"rtsp://",        true },
	{ "rtsps://",      true },
	{ "rtsp+http://",  true },
	{ "rtsp+https://", true },
	{ "http://",       true },
	{ "https://",      true },
	{ "av:",           false},
};

static const char *check_pulled(const char *text)
{
	if (strcmp(text, "test:") == 0)
		return NULL;
	if (strlen(text) > SOURCE_BYTES)
		return "is longer than 2048 bytes";
	for (size_t i = 0; i < ARRAY_LENGTH(source_schemes); i++) {
		size_t n = strlen(source_schemes[i].prefix);

		if (strncasecmp(text, source_schemes[i].prefix, n) != 0)
			continue;
		if (!text[n] || (source_schemes[i].network && strchr("/?#@:", text[n])))
			return source_schemes[i].network ? "names no host after ://"
							 : "names nothing after av:";
		for (; source_schemes[i].network && *text; text++) {
			if (!isgraph((unsigned char)*text))
				return "holds a blank or another byte that a URI may not have";
		}
		return NULL;
	}
	return "must begin with rtsp://, rtsps://, rtsp+http://, rtsp+https://, http://, https:// "
	       "or av:, or be test:";
}

static const char *check_source(const char *text)
{
	return strcmp(text, CONFIG_SOURCE_UPLOAD) == 0 ? NULL : check_pulled(text);
}

/* "sha256:" and 64 hexadecimal digits, which may stand in pairs with colons. */
static const char *check_fingerprint(const char *text)
{
	static const char prefix[] = "sha256:";
	unsigned digits = 0;

	if (strncasecmp(text, prefix, strlen(prefix)) != 0)
		return "must begin with sha256:";
	for (const char *p = text + strlen(prefix); *p; p++) {
		if (isxdigit((unsigned char)*p))
			digits++;
		else if (*p != ':')
			return "holds something else than hexadecimal digits and colons";
	}
	return digits == 64 ? NULL : "must have 64 hexadecimal digits after sha256:";
}

static const char *check_schedule(const char *text)
{
	struct schedule schedule;

	return schedule_parse(&schedule, text);
}

/* The field of an object, for `offset`. */
#define IN_CONFIG(field) offsetof(struct config, field)
#define IN_USER(field) offsetof(struct auth_user, field)
#define IN_CAMERA(field) offsetof(struct config_camera, field)
#define IN_VOLUME(field) offsetof(struct config_volume, field)

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
		.key = "listen.rtsp",
		.type = OPTION_ADDRESS,
		.offset = IN_CONFIG(listen.rtsp),
		.standard = "0.0.0.0:8554",
		.applies = APPLIES_LISTENER,
		.help = "Where RTSP is served: the live streams of all cameras.",
	},
	{
		.key = "storage.path",
		.type = OPTION_STRING,
		.offset = IN_CONFIG(storage.path),
		.standard = "/var/lib/nvrd",
		.applies = APPLIES_PROCESS,
		.check = check_path,
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
		.check = check_segment,
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
		.help = "How much the recordings of all cameras may take together. What is too much is "
			"deleted, the oldest of all first.",
	},
	{
		.key = "storage.reserve",
		.type = OPTION_SHARE,
		.offset = IN_CONFIG(storage.reserve),
		.standard = "5%",
		.applies = APPLIES_NOTHING,
		.help = "How much of each volume's file system stays free, so that recording never stops. To that end "
			"the oldest recordings of all are deleted, or moved to the next volume.",
	},
	{
		.key = "storage.volumes[].path",
		.type = OPTION_STRING,
		.offset = IN_VOLUME(path),
		.required = true,
		.applies = APPLIES_PROCESS,
		.check = check_path,
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
		.help = "The largest file that may be put into /uploads/ over HTTP. Whatever this says, writing ends "
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
		.check = check_password,
		.help = "The password, or what nvrd --hash-password printed for it.",
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
		.applies = APPLIES_NOTHING,
		.help = "The cameras that the user may see; all when left out.",
	},
	{
		.key = "cameras.*.source",
		.type = OPTION_SECRET,
		.offset = IN_CAMERA(source),
		.required = true,
		.applies = APPLIES_CAMERA,
		.check = check_source,
		.help = "Where the pictures come from: rtsp://user:password@host:port/path; rtsps:// for "
			"TLS, rtsp+http:// or rtsp+https:// through an HTTP tunnel; http:// or https:// for "
			"a camera that gives JPEG pictures or an MJPEG stream; av: and anything that "
			"libavformat opens (rtmp://, srt://, udp://, a file, a webcam as /dev/video0); "
			"test: for a built-in moving picture; upload: for a camera that nobody pulls, of "
			"which there are only the recordings that become of files in its folder uploads.",
	},
	{
		.key = "cameras.*.substream",
		.type = OPTION_SECRET,
		.offset = IN_CAMERA(substream),
		.applies = APPLIES_CAMERA,
		.check = check_pulled,
		.help = "A smaller stream of the same camera, served as NAME/sub. It is pulled only while "
			"somebody needs it.",
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
		.check = check_schedule,
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
		.check = check_fingerprint,
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

static const char *const type_names[] = {
	[OPTION_STRING] = "text",
	[OPTION_SECRET] = "text",
	[OPTION_ADDRESS] = "address:port",
	[OPTION_DURATION] = "duration",
	[OPTION_KEEP] = "duration|forever",
	[OPTION_SIZE] = "size|none",
	[OPTION_SHARE] = "size|percent",
	[OPTION_ENUM] = "word",
	[OPTION_BOOL] = "yes|no",
	[OPTION_NAMES] = "list",
};

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

int config_parse_duration(const char *text, int64_t *ret_us)
{
	static const struct {
		const char *unit;
		int64_t us;
	} units[] = {
		{"ms", 1000                   },
		{ "s", 1000000                },
		{ "m", 60 * INT64_C(1000000)  },
		{ "h", 3600 * INT64_C(1000000)},
		{ "d", DAY_US                 },
	};
	size_t digits = strspn(text, "0123456789");
	int64_t value = 0;

	if (digits == 0 || digits > 9)
		return -EINVAL;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (text[i] - '0');
	if (value == 0 && !text[digits]) {
		*ret_us = 0;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		if (strcmp(text + digits, units[i].unit) != 0)
			continue;
		/* Nine digits of days do not fit into 63 bits. */
		if (value > INT64_MAX / units[i].us)
			return -EINVAL;
		*ret_us = value * units[i].us;
		return 0;
	}
	return -EINVAL;
}

int config_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct {
		const char *unit;
		uint64_t bytes;
	} units[] = {
		{"KB",   1000                   },
		{ "MB",  1000000                },
		{ "GB",  UINT64_C(1000000000)   },
		{ "TB",  UINT64_C(1000000000000)},
		{ "KiB", UINT64_C(1) << 10      },
		{ "MiB", UINT64_C(1) << 20      },
		{ "GiB", UINT64_C(1) << 30      },
		{ "TiB", UINT64_C(1) << 40      },
	};
	size_t digits = strspn(text, "0123456789");
	uint64_t value = 0;

	if (digits == 0 || digits > 9)
		return -EINVAL;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	for (size_t i = 0; value && i < ARRAY_LENGTH(units); i++) {
		if (strcmp(text + digits, units[i].unit) != 0)
			continue;
		/* Nine digits of terabytes do not fit into 63 bits. */
		if (value > INT64_MAX / units[i].bytes)
			return -EINVAL;
		*ret_bytes = value * units[i].bytes;
		return 0;
	}
	return -EINVAL;
}

int config_parse_bool(const char *text, bool *ret)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{"yes",    true },
		{ "no",    false},
		{ "true",  true },
		{ "false", false},
		{ "on",    true },
		{ "off",   false},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		if (strcasecmp(text, words[i].word) == 0) {
			*ret = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

static bool is_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	int value = 0;

	for (size_t i = 0; i < digits && i < 6; i++)
		value = value * 10 + (text[i] - '0');
	return digits > 0 && digits < 6 && !text[digits] && value <= 65535;
}

/* "192.0.2.1:80", "[2001:db8::1]:80" or ":80". */
static bool is_address(const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];
	char host[INET6_ADDRSTRLEN];
	const char *colon = strrchr(text, ':');

	if (!colon || !is_port(colon + 1))
		return false;
	if (colon == text)
		return true;
	bool is_v6 = text[0] == '[' && colon[-1] == ']' && colon - text > 2;
	const char *begin = text + is_v6;
	size_t n = (size_t)(colon - begin) - is_v6;
	if (n >= sizeof(host))
		return false;
	memcpy(host, begin, n);
	host[n] = '\0';
	return inet_pton(is_v6 ? AF_INET6 : AF_INET, host, address) == 1;
}

static bool is_off(const char *text)
{
	bool value = true;

	return config_parse_bool(text, &value) == 0 && !value;
}

/* Writes "expected <what>, not "<text>"", without the text of a secret. */
static const char *expected(char buf[CONFIG_WHY_BYTES], const char *what, const char *text)
{
	char shown[CONFIG_SHOWN_BYTES];

	(void)snprintf(
		buf, CONFIG_WHY_BYTES, "expected %s, not \"%s\"", what, config_show(shown, text));
	return buf;
}

static const char *set_string(
	const struct config_option *o, void *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	char *value = NULL;

	if (o->type == OPTION_ADDRESS) {
		if (!is_off(text) && !is_address(text))
			return expected(
				buf, "an address such as 0.0.0.0:8080 or [::]:8080, or off", text);
		if (!is_off(text))
			value = xstrdup(text);
	} else {
		value = xstrdup(text);
	}
	memory_free_secret(*(char **)field);
	*(char **)field = value;
	return NULL;
}

static const char *set_duration(
	const struct config_option *o, void *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	int64_t value;
	int64_t limit;

	if (config_parse_duration(text, &value) < 0)
		return expected(buf, "a duration such as 500ms, 10s, 5m, 2h or 1d", text);
	bool is_low = o->min && config_parse_duration(o->min, &limit) == 0 && value < limit;
	bool is_high = o->max && config_parse_duration(o->max, &limit) == 0 && value > limit;
	if (is_low || is_high) {
		char range[64];

		(void)snprintf(range, sizeof(range), "a duration from %s to %s", o->min, o->max);
		return expected(buf, range, text);
	}
	*(int64_t *)field = value;
	return NULL;
}

static const char *set_keep(void *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	int64_t value = CONFIG_KEEP_FOREVER;

	if (strcmp(text, "forever") != 0 && config_parse_duration(text, &value) < 0)
		return expected(buf, "a duration such as 12h or 30d, or forever", text);
	if (value == 0)
		return expected(buf, "a duration that is not 0, or forever", text);
	*(int64_t *)field = value;
	return NULL;
}

/* A size between two limits, or one without limits that may also be none. */
static const char *set_size(
	const struct config_option *o, void *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	uint64_t value = 0, min, max;
	char range[64];

	if (!o->min || config_parse_size(o->min, &min) < 0 || config_parse_size(o->max, &max) < 0) {
		if (strcmp(text, "none") != 0 && config_parse_size(text, &value) < 0)
			return expected(buf, "a size such as 500GB or 2TiB, or none", text);
	} else if (config_parse_size(text, &value) < 0 || value < min || value > max) {
		(void)snprintf(range, sizeof(range), "a size from %s to %s", o->min, o->max);
		return expected(buf, range, text);
	}
	*(uint64_t *)field = value;
	return NULL;
}

static const char *set_share(
	struct config_share *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	struct config_share value = { 0 };
	size_t digits = strspn(text, "0123456789");

	if (digits && digits < 3 && strcmp(text + digits, "%") == 0) {
		for (size_t i = 0; i < digits; i++)
			value.percent = value.percent * 10 + (unsigned)(text[i] - '0');
		if (value.percent > RESERVE_PERCENT)
			return expected(buf, "at most 90%", text);
	} else if (config_parse_size(text, &value.bytes) < 0) {
		return expected(buf, "a share such as 5%, or a size such as 50GB", text);
	}
	*field = value;
	return NULL;
}

static const char *set_enum(
	const struct config_option *o, void *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	char words[128] = "";
	size_t n = 0;

	for (const struct config_word *word = o->words; word->name; word++) {
		if (strcmp(text, word->name) == 0) {
			memcpy(field, &word->value, sizeof(word->value));
			return NULL;
		}
		n += (size_t)snprintf(words + n, sizeof(words) - n, "%s%s",
			word == o->words ? ""
			: word[1].name   ? ", "
					 : " or ",
			word->name);
	}
	return expected(buf, words, text);
}

static const char *set_bool(void *field, const char *text, char buf[CONFIG_WHY_BYTES])
{
	bool value;

	if (config_parse_bool(text, &value) < 0)
		return expected(buf, "yes or no", text);
	*(bool *)field = value;
	return NULL;
}

const char *config_option_set(const struct config_option *option, void *object, const char *text,
	char buf[CONFIG_WHY_BYTES])
{
	void *field = (char *)object + option->offset;
	const char *why = option->check ? option->check(text) : NULL;

	if (why && option->type == OPTION_SECRET)
		return why;
	if (why) {
		char shown[CONFIG_SHOWN_BYTES];

		(void)snprintf(buf, CONFIG_WHY_BYTES, "\"%s\" %s", config_show(shown, text), why);
		return buf;
	}
	switch (option->type) {
	case OPTION_STRING:
	case OPTION_SECRET:
	case OPTION_ADDRESS:
		return set_string(option, field, text, buf);
	case OPTION_DURATION:
		return set_duration(option, field, text, buf);
	case OPTION_KEEP:
		return set_keep(field, text, buf);
	case OPTION_SIZE:
		return set_size(option, field, text, buf);
	case OPTION_SHARE:
		return set_share(field, text, buf);
	case OPTION_ENUM:
		return set_enum(option, field, text, buf);
	case OPTION_BOOL:
		return set_bool(field, text, buf);
	case OPTION_NAMES:
		return "expected a list such as [porch, yard]";
	}
	abort();
}

void config_options_set_defaults(const char *prefix, void *object)
{
	char buf[CONFIG_WHY_BYTES];

	for (const struct config_option *o = config_options; o->key; o++) {
		if (!o->standard || !config_option_has_prefix(o, prefix))
			continue;
		if (config_option_set(o, object, o->standard, buf))
			abort(); /* a wrong row of the table */
	}
}

static void free_names(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

void config_options_clear(const char *prefix, void *object)
{
	for (const struct config_option *o = config_options; o->key; o++) {
		char **field = (char **)(void *)((char *)object + o->offset);

		if (!config_option_has_prefix(o, prefix))
			continue;
		switch (o->type) {
		case OPTION_STRING:
		case OPTION_SECRET:
		case OPTION_ADDRESS:
			memory_free_secret(*field);
			*field = NULL;
			break;
		case OPTION_NAMES:
			free_names(*(char ***)(void *)field);
			*field = NULL;
			break;
		case OPTION_DURATION:
		case OPTION_KEEP:
		case OPTION_SIZE:
		case OPTION_SHARE:
		case OPTION_ENUM:
		case OPTION_BOOL:
			break;
		}
	}
}

static char **copy_names(char **names)
{
	size_t n = 0;
	char **copy;

	if (!names)
		return NULL;
	while (names[n])
		n++;
	copy = xcalloc(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(names[i]);
	return copy;
}

void config_options_copy(const char *prefix, void *to, const void *from)
{
	for (const struct config_option *o = config_options; o->key; o++) {
		void *field = (char *)to + o->offset;
		const void *value = (const char *)from + o->offset;

		if (!config_option_has_prefix(o, prefix))
			continue;
		switch (o->type) {
		case OPTION_STRING:
		case OPTION_SECRET:
		case OPTION_ADDRESS:
			if (*(char *const *)value)
				*(char **)field = xstrdup(*(char *const *)value);
			break;
		case OPTION_NAMES:
			*(char ***)field = copy_names(*(char **const *)value);
			break;
		case OPTION_DURATION:
		case OPTION_KEEP:
		case OPTION_SIZE:
			memcpy(field, value, sizeof(int64_t));
			break;
		case OPTION_SHARE:
			memcpy(field, value, sizeof(struct config_share));
			break;
		case OPTION_ENUM:
			memcpy(field, value, sizeof(int));
			break;
		case OPTION_BOOL:
			memcpy(field, value, sizeof(bool));
			break;
		}
	}
}

static bool strings_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool names_equal(char **a, char **b)
{
	size_t i = 0;

	if (!a || !b)
		return a == b;
	while (a[i] && b[i] && strcmp(a[i], b[i]) == 0)
		i++;
	return !a[i] && !b[i];
}

bool config_option_equal(const struct config_option *option, const void *a, const void *b)
{
	const void *one = (const char *)a + option->offset;
	const void *two = (const char *)b + option->offset;

	switch (option->type) {
	case OPTION_STRING:
	case OPTION_SECRET:
	case OPTION_ADDRESS:
		return strings_equal(*(char *const *)one, *(char *const *)two);
	case OPTION_DURATION:
	case OPTION_KEEP:
	case OPTION_SIZE:
		return memcmp(one, two, sizeof(int64_t)) == 0;
	case OPTION_SHARE:
		return ((const struct config_share *)one)->bytes ==
			       ((const struct config_share *)two)->bytes &&
		       ((const struct config_share *)one)->percent ==
			       ((const struct config_share *)two)->percent;
	case OPTION_ENUM:
		return memcmp(one, two, sizeof(int)) == 0;
	case OPTION_BOOL:
		return *(const bool *)one == *(const bool *)two;
	case OPTION_NAMES:
		return names_equal(*(char **const *)one, *(char **const *)two);
	}
	abort();
}

/* "cameras.*.source" as the manual names it: "cameras.NAME.source". */
static void write_key(struct evbuffer *out, const char *key)
{
	const char *star = strchr(key, '*');

	if (star)
		evbuffer_add_printf(out, "%.*sNAME%s", (int)(star - key), key, star + 1);
	else
		evbuffer_add_printf(out, "%s", key);
}

static void write_words(struct evbuffer *out, const struct config_option *o)
{
	for (const struct config_word *word = o->words; word->name; word++)
		evbuffer_add_printf(out, "%s%s", word == o->words ? "" : "|", word->name);
}

/* mdoc wants each sentence on a line of its own. */
static void write_help(struct evbuffer *out, const char *help)
{
	const char *end;

	while ((end = strstr(help, ". "))) {
		evbuffer_add_printf(out, "%.*s\n", (int)(end + 1 - help), help);
		help = end + 2;
	}
	evbuffer_add_printf(out, "%s\n", help);
}

void config_write_manual(struct evbuffer *out)
{
	static const char *const applies[] = {
		[APPLIES_NOTHING] = "A reload applies it at once.",
		[APPLIES_LISTENER] = "A change needs a restart of nvrd.",
		[APPLIES_CAMERA] = "A reload that changes it restarts the camera.",
		[APPLIES_RECORDER] = "A reload applies it by a new recording.",
		[APPLIES_PROCESS] = "A change needs a restart of nvrd.",
	};

	for (const struct config_option *o = config_options; o->key; o++) {
		evbuffer_add_printf(out, ".It Sy ");
		write_key(out, o->key);
		evbuffer_add_printf(out, " Pq ");
		if (o->words)
			write_words(out, o);
		else
			evbuffer_add_printf(out, "%s",
				o->type == OPTION_SIZE && o->min ? "size" : type_names[o->type]);
		evbuffer_add_printf(out, "\n");
		write_help(out, o->help);
		if (o->min && o->max)
			evbuffer_add_printf(out, "From %s to %s.\n", o->min, o->max);
		if (o->required)
			evbuffer_add_printf(out, "Must be given.\n");
		if (o->standard)
			evbuffer_add_printf(out, "Default:\n.Ql %s .\n", o->standard);
		evbuffer_add_printf(out, "%s\n", applies[o->applies]);
	}
}
