#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onvif/soap_message.h"
#include "onvif/soap_writer.h"
#include "server/base/attributes.h"
#include "server/base/config.h"
#include "server/base/log.h"
#include "server/media/source.h"

/*
 * Asks one ONVIF camera, one question at a time: SOAP over HTTP, with WS-UsernameToken by the camera's own clock and with HTTP
 * Digest, whatever it wants (Q121, Q122).
 */
struct camera_caller;

#define CAMERA_PATIENCE_US INT64_C(15000000) /* for what is answered at once */

/*
 * `url` is onvif:// or onvif+https://, with user and password; `config`, of which the options of TLS count, and `log` outlive it. NULL
 * and a static *why when the URL makes no sense.
 */
struct camera_caller *camera_caller_new(const char *url, const struct config_camera *config,
	const struct log_name *log, const char **why) MUST_CHECK;
void camera_caller_free(struct camera_caller *caller); /* fine inside a callback; NULL is fine */

/* The path of the device service: as in the URL, or ONVIF's own. */
const char *camera_caller_device_path(const struct camera_caller *caller);

/* "http://192.0.2.1/path": what is at a path of the camera's address. */
void camera_caller_write_address(
	const struct camera_caller *caller, const char *path, char *ret, size_t size);

/* What the camera calls UTC is so much ahead of our clock, and what it calls local time. All callers of the camera know it then. */
void camera_caller_set_clock(struct camera_caller *caller, int64_t utc_us, int64_t local_us);
/* What time the camera has, since 1970. */
int64_t camera_caller_now_us(const struct camera_caller *caller);

/*
 * How a question ended. SOURCE_STOPPED: with this answer, which may be taken over, being set to zeroes. SOURCE_FAULT: the
 * camera says no. Others: why there is no answer. `detail` may be NULL; all is valid during the call.
 */
struct camera_reply {
	enum source_end end;
	const char *detail;
	struct soap_message *answer;
	const struct soap_fault *
		fault; /* of SOURCE_FAULT: what the camera says; NULL: it says nothing by which to know it */
};
typedef void camera_reply_fn(void *arg, const struct camera_reply *reply);

struct camera_question {
	const char *path;
	const char *action; /* of SOAP, static */
	bool open;          /* anybody may ask: no user is named unless the camera wants one */
	int64_t patience_us;
};
/*
 * Asks what the writer holds, which it takes over. The answer is told later; another question may be asked from there. A question that
 * is on its way is forgotten.
 */
void camera_caller_ask(struct camera_caller *caller, const struct camera_question *question,
	struct soap_writer *writer, camera_reply_fn *done, void *arg);
/* Whether the camera understood, and has not what it was asked for. */
bool camera_reply_is_no(const struct camera_reply *reply);
