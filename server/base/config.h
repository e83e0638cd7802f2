#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/base/attributes.h"
#include "server/base/auth.h"
#include "server/base/log.h"

struct evbuffer;
struct tls_server;

/*
 * The configuration: a YAML file, and one for each camera in the folder "cameras" beside it, read through one table of
 * options (config_options.c), which also gives the defaults, --check, the manual's option list and what a reload restarts.
 */

/* What !vault values were sealed with is in this file of the configuration's folder. */
#define CONFIG_KEY_FILE "vault.key"

enum config_transport {
	TRANSPORT_AUTO,
	TRANSPORT_TCP,
	TRANSPORT_UDP
};
enum config_rotate { /* or degrees clockwise */
	ROTATE_AUTO = -1
};
enum config_audio {
	AUDIO_COPY, /* as the camera sends it, where MP4 can carry it */
	AUDIO_AAC,  /* made AAC where it is not */
	AUDIO_OFF
};
enum config_tls {
	TLS_MODERN,
	TLS_LEGACY /* TLS 1.0 and weak ciphers too */
};
enum config_record {
	RECORD_CONTINUOUS,
	RECORD_EVENTS,
	RECORD_OFF
};
/* What a camera's recorder does; a reload changes it without touching the camera. */
struct config_recording {
	enum config_record record;
	char *schedule; /* when: see schedule.h; NULL: always */
	int64_t pre_us, post_us;
	int64_t hold_us;            /* what lasts is over when nothing was said of it for so long */
	int64_t timelapse_every_us; /* 0: there is none */
	int timelapse_fps;
};

#define CONFIG_KEEP_FOREVER INT64_MAX

/* How long recordings stay on a volume, and how many. The first one is storage.path. */
struct config_volume {
	TAILQ_ENTRY(config_volume) entry;
	char *path;
	int64_t keep_us;    /* or CONFIG_KEEP_FOREVER */
	uint64_t max_bytes; /* 0: no limit */
	int line;           /* where it stands in the file */
};
TAILQ_HEAD(config_volumes, config_volume);

enum {
	CONFIG_VOLUMES = 8 /* at most so many in storage.volumes */
};

/* Space of a volume: bytes, or a share of all of it; the other is 0. */
struct config_share {
	uint64_t bytes;
	unsigned percent;
};

/* Ports from the first to the last. */
struct config_ports {
	uint16_t first, last;
};

struct config_camera {
	TAILQ_ENTRY(config_camera) entry;
	char *name;   /* [a-z0-9][a-z0-9_-]{0,62} */
	char *source; /* secret: may hold a password */
	enum config_transport transport;
	char *multicast;  /* as network_group_parse() takes it, or NULL */
	bool backchannel; /* ask for it */
	struct config_recording recording;
	enum config_audio audio;
	enum config_rotate rotate;
	int64_t interval_us;   /* between two requests of a camera that gives single pictures */
	bool loop;             /* av: files begin again at their end */
	char *substream;       /* secret as source; NULL: none */
	char *onvif;           /* secret as source: who tells of events; NULL: the source */
	bool set_clock;        /* the camera's, by ONVIF */
	bool substream_always; /* pulled even while nobody needs it */
	bool tls_verify;       /* check the camera's certificate */
	char *tls_fingerprint; /* "sha256:<hex>" of the certificate that is right, or NULL */
	enum config_tls tls;
	bool enabled;
	int64_t keep_us;              /* or CONFIG_KEEP_FOREVER; 0: as storage.keep */
	uint64_t max_bytes;           /* 0: no limit */
	int64_t timelapse_keep_us;    /* or CONFIG_KEEP_FOREVER */
	uint64_t timelapse_max_bytes; /* 0: no limit */
	int line;                     /* where it stands in the file */
};
TAILQ_HEAD(config_cameras, config_camera);

/* A camera that is an ONVIF device of its own. */
struct config_device {
	TAILQ_ENTRY(config_device) entry;
	char *camera;  /* its name */
	char *address; /* where it listens; NULL: it is off */
	int line;      /* where it stands in the file */
};
TAILQ_HEAD(config_devices, config_device);

enum {
	CONFIG_DEVICES = 64 /* at most so many in onvif.devices */
};

struct config {
	char *file; /* as given, for messages */
	struct {
		char *http; /* "address:port", or NULL when off */
		char *https;
		char *rtsp;
		char *rtsps;
		char *ftp;
		char *webrtc;
		struct config_ports ftp_passive;
	} listen;
	struct {
		char *certificate, *key; /* files; both NULL: nvrd makes its own */
		bool hsts;
		struct tls_server *server; /* what is in those files; NULL without them */
	} tls;
	struct {
		char **trusted_proxies; /* as network_parse() takes them, NULL-ended; or NULL */
		char *base_path;        /* "/nvr", or NULL */
	} http;
	struct config_rtsp {
		unsigned sessions, sessions_per_user, sessions_per_address;
		bool basic;           /* offered without TLS, too */
		uint64_t queue_bytes; /* of a session */
		int64_t queue_time_us, write_timeout_us;
		int64_t reconnect_us; /* of a camera */
	} rtsp;
	struct config_webrtc {
		char **addresses; /* as network_address_parse() takes them, NULL-ended; or NULL */
		unsigned sessions, sessions_per_user;
	} webrtc;
	struct {
		char **discover; /* interfaces, NULL-ended; or NULL */
		bool discoverable;
		char *name, *location; /* of our scopes; no location: NULL */
		struct config_devices devices;
	} onvif;
	struct {
		char *path;
		int64_t segment_us; /* divides a day */
		int64_t sync_us;
		int64_t keep_us;    /* or CONFIG_KEEP_FOREVER */
		uint64_t max_bytes; /* 0: no limit */
		struct config_share reserve;
		uint64_t queue_bytes;      /* of all recorders */
		uint64_t max_upload_bytes; /* 0: no limit */
		struct config_volumes
			volumes; /* hot to warm; storage.path may be the first of them */
	} storage;
	struct {
		enum log_level level;
		enum log_format format;
	} log;
	struct auth_users users;
	struct config_cameras cameras;
	bool has_secrets; /* the file itself holds a password, not only !env or !file */
};

/*
 * Reads and checks the file, and those of the cameras. Returns the configuration, which the caller frees, or NULL with all
 * messages (lines `nvrd.yaml:12: cameras.porch.segmnt: unknown key (did you mean segment?)`, at
 * most 20) in *errors, which the caller frees. Blocks: for start-up, tests, and a worker.
 */
struct config *config_load(const char *file, char **errors) MUST_CHECK;
/* The same from memory; `file` is only for messages and for what is beside it: !file, the vault's key, certificates. */
struct config *config_parse(const char *file, const char *text, size_t n, char **errors) MUST_CHECK;
void config_free(struct config *config);

/*
 * Built-in configuration of --demo: camera "demo" with source test:, the given store, loopback and
 * the default ports; free ports are not sought if those are taken.
 */
struct config *config_demo(const char *store);

/* A source that nobody pulls: the camera has only what is uploaded. */
#define CONFIG_SOURCE_UPLOAD "upload:"
/* Others push into the camera: protocols/rtsp_publish. */
#define CONFIG_SOURCE_PUBLISH "publish:"
/* Whether the camera is enabled and has something to pull. */
bool config_camera_is_pulled(const struct config_camera *camera);
/* So much of a volume of this size. */
uint64_t config_share_bytes(const struct config_share *share, uint64_t size_bytes);

struct config_camera *config_find_camera(const struct config *config, const char *name);
/* What storage.volumes says of the volume with this path, or NULL. */
const struct config_volume *config_find_volume(const struct config *config, const char *path);
/* A copy of its own, for whoever outlives a reload; the caller frees it. */
struct config_camera *config_camera_copy(const struct config_camera *camera) MUST_CHECK;
void config_camera_free(struct config_camera *camera); /* NULL is fine */
/* Takes over how the other one is recorded. */
void config_camera_take_recording(struct config_camera *camera, const struct config_camera *from);
/* Whether two users of the same name have the same options; of NULL and NULL too. */
bool config_user_equal(const struct auth_user *a, const struct auth_user *b);
/* Whether two cameras' options differ in nothing that needs a restart of the camera. */
bool config_camera_equal(const struct config_camera *a, const struct config_camera *b);
/* The same for what all cameras share (storage.segment, storage.sync): else every camera restarts. */
bool config_shared_equal(const struct config *a, const struct config *b);

/* Whether the file itself holds a password, and so should be readable by its owner only. */
bool config_has_secrets(const struct config *config);

/*
 * What of the process-wide options cannot change by a reload; the names of those that differ,
 * comma-separated, for a warning; NULL when none. The caller frees it.
 */
char *config_needs_restart(const struct config *before, const struct config *after);

/* The option table as mdoc(7) list items for nvrd.yaml.5. */
void config_write_manual(struct evbuffer *out);
