/* What runs: the order of starting and stopping, the configuration in force, signals. */
#include "server/nvrd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <event2/event.h>

#include "onvif/camera_events.h"
#include "onvif/discovery.h"
#include "onvif/onvif_service.h"
#include "protocols/authenticate.h"
#include "protocols/av_source.h"
#include "protocols/dav.h"
#include "protocols/ftp_server.h"
#include "protocols/hls.h"
#include "protocols/hls_recorded.h"
#include "protocols/http_files.h"
#include "protocols/http_server.h"
#include "protocols/http_session.h"
#include "protocols/live.h"
#include "protocols/prometheus.h"
#include "protocols/rtsp_server.h"
#include "protocols/still.h"
#include "protocols/web.h"
#include "protocols/whep.h"
#include "server/base/certificate.h"
#include "server/base/config.h"
#include "server/base/connection.h"
#include "server/base/log.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "server/base/tls.h"
#include "server/base/wall_clock.h"
#include "server/cameras.h"
#include "server/configuration.h"
#include "server/devices.h"
#include "server/events.h"
#include "server/media/event.h"
#include "server/media/picture.h"
#include "storage/catalogue.h"
#include "storage/recorder_queue.h"
#include "storage/recovery.h"
#include "storage/redate.h"
#include "storage/retention.h"
#include "storage/tree.h"
#include "storage/tree_config.h"
#include "storage/upload.h"
#include "storage/volume.h"
#include "storage/volume_list.h"

enum {
	STOP_US = 4500000
};

static const struct http_route routes[] = {
	{"/live/",        HTTP_GET,       ROLE_VIEWER, live_get        },
	{ WHEP_ROUTE,     WHEP_METHODS,   ROLE_VIEWER, whep_handle     },
	{ WHEP_SUB_ROUTE, WHEP_METHODS,   ROLE_VIEWER, whep_handle     },
	{ "/metrics",     HTTP_GET,       ROLE_VIEWER, prometheus_get  },
	{ "/recordings/", HTTP_GET,       ROLE_VIEWER, hls_recorded_get},
	{ "/recordings/", HTTP_PROPFIND,  ROLE_VIEWER, dav_propfind    },
	{ "/recordings/", HTTP_PROPPATCH, ROLE_VIEWER, dav_proppatch   },
	{ "/recordings/", HTTP_MKCOL,     ROLE_VIEWER, dav_mkcol       },
	{ "/recordings/", HTTP_PUT,       ROLE_VIEWER, dav_put         },
	{ "/recordings/", HTTP_PATCH,     ROLE_VIEWER, dav_refuse      },
	{ "/recordings/", HTTP_DELETE,    ROLE_VIEWER, dav_delete      },
	{ "/recordings/", HTTP_COPY,      ROLE_VIEWER, dav_copy        },
	{ "/recordings/", HTTP_MOVE,      ROLE_VIEWER, dav_move        },
	{ "/recordings/", HTTP_LOCK,      ROLE_VIEWER, dav_lock        },
	{ "/recordings/", HTTP_UNLOCK,    ROLE_VIEWER, dav_unlock      },
	{ "/recordings/", HTTP_SEARCH,    ROLE_VIEWER, dav_search      },
	{ "/uploads/",    HTTP_GET,       ROLE_VIEWER, http_files_get  },
	{ "/uploads/",    HTTP_PROPFIND,  ROLE_VIEWER, dav_propfind    },
	{ "/uploads/",    HTTP_PROPPATCH, ROLE_VIEWER, dav_proppatch   },
	{ "/uploads/",    HTTP_MKCOL,     ROLE_VIEWER, dav_mkcol       },
	{ "/uploads/",    HTTP_PUT,       ROLE_VIEWER, dav_put         },
	{ "/uploads/",    HTTP_PATCH,     ROLE_VIEWER, dav_refuse      },
	{ "/uploads/",    HTTP_DELETE,    ROLE_VIEWER, dav_delete      },
	{ "/uploads/",    HTTP_COPY,      ROLE_VIEWER, dav_copy        },
	{ "/uploads/",    HTTP_MOVE,      ROLE_VIEWER, dav_move        },
	{ "/uploads/",    HTTP_LOCK,      ROLE_VIEWER, dav_lock        },
	{ "/uploads/",    HTTP_UNLOCK,    ROLE_VIEWER, dav_unlock      },
	{ "/config/",     HTTP_GET,       ROLE_ADMIN,  http_files_get  },
	{ "/config/",     HTTP_PROPFIND,  ROLE_ADMIN,  dav_propfind    },
	{ "/config/",     HTTP_PUT,       ROLE_ADMIN,  dav_put         },
	{ "/config/",     HTTP_DELETE,    ROLE_ADMIN,  dav_delete      },
	{ "/config/",     HTTP_COPY,      ROLE_ADMIN,  dav_copy        },
	{ "/config/",     HTTP_LOCK,      ROLE_ADMIN,  dav_lock        },
	{ "/config/",     HTTP_UNLOCK,    ROLE_ADMIN,  dav_unlock      },
	{ "/discovered/", HTTP_GET,       ROLE_ADMIN,  http_files_get  },
	{ "/discovered/", HTTP_PROPFIND,  ROLE_ADMIN,  dav_propfind    },
	{ "/discovered/", HTTP_COPY,      ROLE_ADMIN,  dav_copy        },
	{ ONVIF_ROUTE,    ONVIF_METHODS,  ROLE_VIEWER, onvif_post      },
	{ "/",            HTTP_PROPFIND,  ROLE_VIEWER, dav_propfind    },
	{ "/",            HTTP_SEARCH,    ROLE_VIEWER, dav_search      },
	{ "/",            WEB_METHODS,    ROLE_VIEWER, web_get         },
	{ "/login",       HTTP_POST,      ROLE_VIEWER, http_log_in     },
	{ "/login",       HTTP_DELETE,    ROLE_VIEWER, http_log_out    },
	{ NULL,           0,              ROLE_VIEWER, NULL            },
};

struct nvrd {
	const char *file; /* of the configuration; NULL in the demo */
	struct config *config;
	struct volume *volume;
	struct catalogue *catalogue;
	struct tree *tree;
	struct recovery *recovery; /* NULL until the catalogue is open */
	bool recovered;
	struct redate *redate;
	struct retention *retention;
	struct uploads *uploads;
	struct cameras *cameras;
	struct events *events;
	struct camera_events *camera_events;
	struct discovery *discovery;
	struct devices *devices;
	struct tls_server *tls; /* NULL while nobody listens by it */
	struct http_server *http, *https;
	struct rtsp_server *rtsp;
	struct ftp_server *ftp;
	struct configuration *configuration; /* NULL in the demo */
	struct event *signals[4];
	struct event *stop_timer;
	bool stopping;
};

/* --- TLS --- */

static void nvrd_say_tls(const struct tls_server *tls, const char *where)
{
	char fingerprint[TLS_FINGERPRINT_BYTES];
	int64_t until_us = tls_server_until_us(tls);

	metric_set(metric_get(METRIC_TLS_CERTIFICATE_EXPIRY), (double)until_us / 1e6);
	log_info(NULL, "TLS certificate %s (%s)", tls_server_fingerprint(tls, fingerprint), where);
	if (wall_clock_is_set() && until_us < reactor_now_us())
		log_warn(NULL, "the TLS certificate (%s) has expired", where);
}

/* Where the certificate is that nvrd makes for itself; NULL while the store is away. */
static char *nvrd_own_certificate(const struct nvrd *nvrd)
{
	return volume_is_there(nvrd->volume) ? xasprintf("%s/tls.pem", volume_path(nvrd->volume))
					     : NULL;
}

/* The one without which no person could be told what to expect: without a place for it, a new one. */
static struct tls_server *nvrd_open_own(const struct nvrd *nvrd)
{
	char *file = nvrd_own_certificate(nvrd), *why = NULL;
	struct tls_server *tls = file ? certificate_open(file, &why) : NULL;

	if (tls) {
		nvrd_say_tls(tls, file);
	} else {
		tls = certificate_temporary();
		log_warn(NULL, "TLS: %s: using a certificate that lasts until nvrd stops",
			why ? why : "the store is away");
		nvrd_say_tls(tls, "temporary");
	}
	free(why);
	free(file);
	return tls;
}

/* For a listener: the same for all of them, as long as nvrd runs. Blocks, before the reactor runs. */
static const struct tls_server *nvrd_tls(struct nvrd *nvrd)
{
	struct config *config = nvrd->config;

	if (nvrd->tls)
		return nvrd->tls;
	nvrd->tls = config->tls.server;
	config->tls.server = NULL;
	if (nvrd->tls)
		nvrd_say_tls(nvrd->tls, config->tls.certificate);
	else
		nvrd->tls = nvrd_open_own(nvrd);
	return nvrd->tls;
}

/* New sessions begin with it, the others go on with what they have. Clears the pointer. */
static void nvrd_replace_tls(struct nvrd *nvrd, struct tls_server **tls, const char *where)
{
	char before[TLS_FINGERPRINT_BYTES], after[TLS_FINGERPRINT_BYTES];

	if (nvrd->tls && *tls) {
		(void)tls_server_fingerprint(nvrd->tls, before);
		tls_server_replace(nvrd->tls, *tls);
		*tls = NULL;
		if (strcmp(tls_server_fingerprint(nvrd->tls, after), before) != 0)
			nvrd_say_tls(nvrd->tls, where);
	}
	tls_server_free(*tls);
	*tls = NULL;
}

/* --- the configuration in force --- */

static void nvrd_apply_to_http(const struct nvrd *nvrd)
{
	const struct config *config = nvrd->config;

	http_configure(&(struct http_settings){ .trusted_proxies = config->http.trusted_proxies,
		.base_path = config->http.base_path,
		.hsts = config->tls.hsts });
}

static void nvrd_apply_to_tree(struct nvrd *nvrd)
{
	ftp_server_set_put_limit(nvrd->ftp, nvrd->config->storage.max_upload_bytes);
	tree_set_reserve(nvrd->tree, &nvrd->config->storage.reserve);
	dav_set_put_limit(nvrd->config->storage.max_upload_bytes);
}

static void nvrd_apply_discovery(struct nvrd *nvrd)
{
	char **interfaces = nvrd->config->onvif.discover;

	if (!nvrd->discovery)
		nvrd->discovery = discovery_new(interfaces);
	else
		discovery_apply(nvrd->discovery, interfaces);
	tree_show_discovered(nvrd->tree, interfaces != NULL);
}

static void nvrd_announce(const struct nvrd *nvrd)
{
	devices_announce(nvrd->devices, nvrd->discovery, nvrd->config, nvrd->http, nvrd->https);
}

static void nvrd_apply_tls(struct nvrd *nvrd)
{
	struct config *config = nvrd->config;
	char *own = config->tls.certificate ? NULL : nvrd_own_certificate(nvrd);

	nvrd_replace_tls(nvrd, &config->tls.server, own ? own : config->tls.certificate);
	free(own);
}

static void nvrd_apply(void *arg, struct config *config)
{
	struct nvrd *nvrd = arg;
	struct config *before = nvrd->config;
	char *fixed;

	if (nvrd->stopping) {
		config_free(config);
		return;
	}
	fixed = config_needs_restart(before, config);
	if (fixed)
		log_warn(NULL, "%s: changes of %s need a restart", config->file, fixed);
	free(fixed);
	log_setup(config->log.level, config->log.format);
	authenticate_set_users(&config->users);
	volume_set_sync(nvrd->volume, config->storage.sync_us);
	recorder_queue_limit(config->storage.queue_bytes);
	nvrd->config = config;
	cameras_apply(nvrd->cameras, config);
	retention_apply(nvrd->retention, config);
	uploads_apply(nvrd->uploads, config);
	nvrd_apply_to_tree(nvrd);
	nvrd_apply_to_http(nvrd);
	rtsp_server_apply(nvrd->rtsp, config);
	onvif_service_apply(config);
	whep_apply(config);
	nvrd_apply_discovery(nvrd);
	nvrd_announce(nvrd);
	nvrd_apply_tls(nvrd);
	ftp_server_apply(nvrd->ftp, &before->users, &config->users);
	config_free(before);
}

/* NULL while nobody listens by TLS. */
static char *nvrd_on_certificate(void *arg)
{
	const struct nvrd *nvrd = arg;

	return nvrd->tls ? nvrd_own_certificate(nvrd) : NULL;
}

static void nvrd_on_hangup(evutil_socket_t fd, short what, void *arg)
{
	struct nvrd *nvrd = arg;

	(void)fd, (void)what;
	if (nvrd->configuration && !nvrd->stopping)
		configuration_reload(nvrd->configuration);
}

/* --- the end --- */

static void nvrd_on_stopped(void *arg)
{
	struct nvrd *nvrd = arg;

	nvrd->cameras = NULL;
	reactor_stop();
}

static void nvrd_on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	log_error(NULL, "the disk did not finish in time: stopping without it");
	_exit(1); /* what was written plays up to its last fragment */
}

static void nvrd_on_terminate(evutil_socket_t fd, short what, void *arg)
{
	struct nvrd *nvrd = arg;

	(void)what;
	if (nvrd->stopping)
		return;
	nvrd->stopping = true;
	log_info(NULL, "%s: finishing the open recordings", fd == SIGINT ? "SIGINT" : "SIGTERM");
	reactor_timer_start(nvrd->stop_timer, STOP_US);
	discovery_announce(nvrd->discovery, NULL, 0);
	devices_free(nvrd->devices);
	http_server_free(nvrd->http);
	http_server_free(nvrd->https);
	rtsp_server_free(nvrd->rtsp);
	ftp_server_free(nvrd->ftp);
	whep_stop();
	nvrd->devices = NULL;
	nvrd->http = nvrd->https = NULL;
	nvrd->rtsp = NULL;
	nvrd->ftp = NULL;
	camera_events_free(nvrd->camera_events);
	events_free(nvrd->events);
	nvrd->camera_events = NULL;
	nvrd->events = NULL;
	cameras_stop(nvrd->cameras, nvrd_on_stopped, nvrd);
}

/* A trigger for scripts and door contacts: an event at every camera. */
static void nvrd_on_trigger(evutil_socket_t fd, short what, void *arg)
{
	const struct nvrd *nvrd = arg;
	const struct config_camera *camera;

	(void)fd, (void)what;
	if (nvrd->stopping)
		return;
	TAILQ_FOREACH (camera, &nvrd->config->cameras, entry) {
		event_publish(&(struct event_notice){
			.kind = EVENT_MANUAL, .camera = camera->name, .at_us = reactor_now_us() });
	}
}

/* --- the start --- */

/* Those that put the catalogue right do so one after the other. */
static void nvrd_redate(struct nvrd *nvrd)
{
	if (nvrd->recovered && wall_clock_is_set())
		redate_start(nvrd->redate);
}

static void nvrd_on_clock_set(void *arg)
{
	nvrd_redate(arg);
}

static void nvrd_on_recovered(void *arg, const struct recovery_counts *counts)
{
	struct nvrd *nvrd = arg;

	(void)counts;
	nvrd->recovered = true;
	retention_let_move(nvrd->retention);
	nvrd_redate(nvrd);
	uploads_start(nvrd->uploads);
}

/* The rows may not agree with the disk: always so at the start. */
static void nvrd_on_stale(void *arg)
{
	struct nvrd *nvrd = arg;

	nvrd->recovered = false;
	if (nvrd->recovery)
		recovery_again(nvrd->recovery);
	else
		nvrd->recovery =
			recovery_new(nvrd->volume, nvrd->catalogue, nvrd_on_recovered, nvrd);
}

static void nvrd_on_store(void *arg, bool there)
{
	struct nvrd *nvrd = arg;

	if (there)
		catalogue_enter(nvrd->catalogue);
	else
		catalogue_leave(nvrd->catalogue);
	if (there)
		authenticate_keep_sessions_again();
}

/* Where sessions of the page are kept. Any thread. */
static int nvrd_open_store_folder(void *arg)
{
	const struct volume *volume = arg;

	return volume_open_beneath(volume, ".", O_RDONLY | O_DIRECTORY, 0);
}

/* A volume behind the first: what is on it may have changed meanwhile. */
static void nvrd_on_volume(void *arg, bool there)
{
	if (there)
		nvrd_on_stale(arg);
}

static int nvrd_open_storage(struct nvrd *nvrd)
{
	const char *path = nvrd->config->storage.path;
	char *why = NULL;
	char *file;

	recorder_queue_limit(nvrd->config->storage.queue_bytes);

	nvrd->volume = volume_open(path, nvrd->config->storage.sync_us, &why);
	if (!nvrd->volume) {
		log_error(NULL, "storage.path %s: %s", path, why);
		free(why);
		return -1;
	}
	file = xasprintf("%s/nvrd.db", path);
	nvrd->catalogue =
		volume_is_there(nvrd->volume) ? catalogue_open(file, &why) : catalogue_new(file);
	if (!nvrd->catalogue)
		log_error(NULL, "catalogue %s: %s", file, why);
	free(why);
	free(file);
	if (!nvrd->catalogue)
		return -1;
	(void)volume_list_open(nvrd->volume, nvrd->config, nvrd->catalogue);
	nvrd->redate = redate_new(nvrd->volume, nvrd->catalogue);
	nvrd->uploads = uploads_new(nvrd->volume, nvrd->catalogue);
	uploads_apply(nvrd->uploads, nvrd->config);
	catalogue_watch(nvrd->catalogue, nvrd_on_stale, nvrd);
	volume_watch(nvrd->volume, nvrd_on_store, nvrd);
	for (struct volume *v = volume_next(nvrd->volume); v; v = volume_next(v))
		volume_watch(v, nvrd_on_volume, nvrd);
	nvrd->retention = retention_new(nvrd->volume, nvrd->catalogue);
	wall_clock_watch(nvrd_on_clock_set, nvrd);
	nvrd->tree = tree_new(nvrd->catalogue, nvrd->volume);
	nvrd_apply_to_tree(nvrd);
	http_files_set_tree(nvrd->tree);
	hls_recorded_set_tree(nvrd->tree);
	still_set_tree(nvrd->tree);
	dav_set_tree(nvrd->tree);
	onvif_service_start(nvrd->config, nvrd->catalogue, nvrd->volume);
	if (nvrd->file)
		nvrd->configuration = configuration_new(nvrd->config, nvrd->tree,
			&(struct configuration_owner){ nvrd_apply, nvrd_on_certificate, nvrd });
	nvrd_apply_discovery(nvrd);
	if (nvrd->configuration)
		configuration_set_discovery(nvrd->configuration, nvrd->discovery);
	return 0;
}

/* NULL with the reason logged. */
static struct http_server *nvrd_listen_http(
	const char *scheme, const char *address, bool open, const struct tls_server *tls)
{
	struct http_server *server = http_server_new(address, open, tls, routes);

	if (server)
		log_info(NULL, "%s://%s/", scheme, http_server_address(server));
	else
		log_error(NULL, "listen.%s %s: %s", scheme, address, strerror(errno));
	return server;
}

static int nvrd_listen_rtsp(const struct nvrd *nvrd, const char *scheme, const char *address,
	const struct tls_server *tls)
{
	bool open = TAILQ_EMPTY(&nvrd->config->users);
	const char *at = rtsp_server_listen(nvrd->rtsp, address, open, tls);

	if (at && !tls)
		onvif_service_set_rtsp(at);
	if (at)
		log_info(NULL, "%s://%s/<camera>", scheme, at);
	else
		log_error(NULL, "listen.%s %s: %s", scheme, address, strerror(errno));
	return at ? 0 : -1;
}

static int nvrd_listen_webrtc(const struct nvrd *nvrd)
{
	const struct config *config = nvrd->config;
	const char *at;

	if (!config->listen.webrtc || !whep_is_possible())
		return 0;
	at = whep_start(config, TAILQ_EMPTY(&config->users));
	if (at)
		log_info(NULL, "webrtc: udp %s", at);
	else
		log_error(NULL, "listen.webrtc %s: %s", config->listen.webrtc, strerror(errno));
	return at ? 0 : -1;
}

static int nvrd_listen(struct nvrd *nvrd)
{
	const struct config *config = nvrd->config;
	bool open = TAILQ_EMPTY(&config->users);

	authenticate_set_users(&config->users);
	authenticate_keep_sessions(nvrd_open_store_folder, nvrd->volume);
	nvrd_apply_to_http(nvrd);
	if (open && nvrd->file)
		log_warn(NULL, "no users are configured: listening on loopback only");
	if (config->listen.http) {
		nvrd->http = nvrd_listen_http("http", config->listen.http, open, NULL);
		if (!nvrd->http)
			return -1;
	}
	if (config->listen.https) {
		nvrd->https = nvrd_listen_http("https", config->listen.https, open, nvrd_tls(nvrd));
		if (!nvrd->https)
			return -1;
	}
	nvrd->rtsp = rtsp_server_new(config, nvrd->tree);
	if (config->listen.rtsp && nvrd_listen_rtsp(nvrd, "rtsp", config->listen.rtsp, NULL) < 0)
		return -1;
	if (config->listen.rtsps &&
		nvrd_listen_rtsp(nvrd, "rtsps", config->listen.rtsps, nvrd_tls(nvrd)) < 0)
		return -1;
	if (config->listen.ftp) {
		nvrd->ftp = ftp_server_new(config->listen.ftp, &config->listen.ftp_passive, open,
			nvrd->tree, nvrd->file ? nvrd_tls(nvrd) : NULL);
		if (!nvrd->ftp) {
			log_error(NULL, "listen.ftp %s: %s", config->listen.ftp, strerror(errno));
			return -1;
		}
		ftp_server_set_put_limit(nvrd->ftp, config->storage.max_upload_bytes);
		log_info(NULL, "ftp://%s/", ftp_server_address(nvrd->ftp));
	}
	nvrd->devices = devices_new(config, open);
	if (!nvrd->devices)
		return -1;
	nvrd_announce(nvrd);
	return nvrd_listen_webrtc(nvrd);
}

static void nvrd_watch_signals(struct nvrd *nvrd)
{
	static const struct {
		int number;
		event_callback_fn run;
	} rows[] = {
		{SIGTERM,  nvrd_on_terminate},
		{ SIGINT,  nvrd_on_terminate},
		{ SIGHUP,  nvrd_on_hangup   },
		{ SIGUSR1, nvrd_on_trigger  },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		nvrd->signals[i] = evsignal_new(reactor_base(), rows[i].number, rows[i].run, nvrd);
		event_add(nvrd->signals[i], NULL);
	}
	signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of write(2), not our end */
}

static void nvrd_say_demo(const struct nvrd *nvrd)
{
	const char *http = http_server_address(nvrd->http);

	printf("\nnvrd runs with its demo camera. Open:\n\n"
	       "  http://%s/                         the page\n"
	       "  http://%s/recordings/              the recordings (also by WebDAV)\n"
	       "  http://%s/live/demo/index.m3u8     HLS\n"
	       "  http://%s/metrics                  Prometheus\n"
	       "  rtsp://%s/demo                     VLC, ffplay\n"
	       "  ftp://%s/                          the recordings, and uploads\n\n"
	       "Ctrl-C ends it and removes the demo's recordings.\n",
		http, http, http, http, nvrd->config->listen.rtsp, ftp_server_address(nvrd->ftp));
	(void)fflush(stdout);
}

/* Frees whatever stands, in the reverse order of the start. */
static void nvrd_fini(struct nvrd *nvrd)
{
	devices_free(nvrd->devices);
	http_server_free(nvrd->http);
	http_server_free(nvrd->https);
	rtsp_server_free(nvrd->rtsp);
	ftp_server_free(nvrd->ftp);
	whep_stop();
	onvif_service_stop();
	reactor_bury();      /* sessions hold on to the tree */
	authenticate_fini(); /* and those of people are kept in the store */
	hls_fini();
	picture_fini();
	wall_clock_unwatch();
	uploads_free(nvrd->uploads);
	redate_free(nvrd->redate);
	retention_free(nvrd->retention);
	recovery_free(nvrd->recovery);
	configuration_free(nvrd->configuration);
	discovery_free(nvrd->discovery);
	tree_free(nvrd->tree);
	volume_close(nvrd->volume);
	catalogue_close(nvrd->catalogue);
	for (size_t i = 0; i < ARRAY_LENGTH(nvrd->signals); i++)
		reactor_timer_free(&nvrd->signals[i]);
	reactor_timer_free(&nvrd->stop_timer);
	http_configure(NULL);
	config_free(nvrd->config);
	(void)av_source_fini_all();
	connection_fini_released();
	tls_server_free(nvrd->tls);
	reactor_fini();
	metrics_fini();
}

/* What the servers take at most, with the files that they read, is more than the usual 1024. */
static void nvrd_raise_files(void)
{
	const rlim_t wanted = 65536;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warn(NULL, "the limit of open files stays: %s", strerror(errno));
}

int nvrd_run(const char *file, struct config *config)
{
	struct nvrd nvrd = { .file = file, .config = config };
	int failed;

	nvrd_raise_files();
	reactor_init();
	metric_set(metric_get(METRIC_BUILD_INFO, NVRD_VERSION), 1);
	nvrd.stop_timer = reactor_timer_new(nvrd_on_stop_timer, &nvrd);
	failed = nvrd_open_storage(&nvrd) < 0 || nvrd_listen(&nvrd) < 0;
	if (!failed) {
		nvrd_watch_signals(&nvrd);
		nvrd.cameras = cameras_new(nvrd.volume, nvrd.catalogue);
		cameras_apply(nvrd.cameras, nvrd.config);
		nvrd.events = events_new(nvrd.cameras, nvrd.catalogue);
		nvrd.camera_events = camera_events_new();
		retention_apply(nvrd.retention, nvrd.config);
		log_info(NULL, "nvrd " NVRD_VERSION " runs, recordings in %s/recordings",
			volume_path(nvrd.volume));
		if (!nvrd.file)
			nvrd_say_demo(&nvrd);
		reactor_run();
	}
	nvrd_fini(&nvrd);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
