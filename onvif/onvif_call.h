#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "onvif/onvif_identity.h"
#include "onvif/soap_message.h"
#include "onvif/soap_writer.h"
#include "server/base/attributes.h"
#include "server/base/auth.h"
#include "server/base/config.h"

struct catalogue;
struct http_request;
struct volume;

/*
 * One call of an operation of nvrd's ONVIF services: what was asked, by whom, and the answer that is being made. A handler
 * returns true when the answer stands; or false, and calls onvif_call_finish() later.
 */

/* ONVIF Core Specification, "Access classes for service requests". */
enum onvif_access {
	ONVIF_PRE_AUTH,
	ONVIF_READ_SYSTEM,
	ONVIF_READ_SYSTEM_SENSITIVE,
	ONVIF_READ_SYSTEM_SECRET,
	ONVIF_WRITE_SYSTEM,
	ONVIF_READ_MEDIA,
	ONVIF_ACTUATE
};

/* What goes wrong: code, subcodes, words (the specifications' lists of faults). */
#define ONVIF_FAULTS(X)                                                                         \
	X(NOT_AUTHORIZED, "env:Sender", "ter:NotAuthorized", NULL,                              \
		"This needs a user who may do it")                                              \
	X(LATER, "env:Receiver", "ter:NotAuthorized", NULL,                                     \
		"Too many logins, or too many wrong ones: try again later")                     \
	X(NOT_WELL_FORMED, "env:Sender", "ter:WellFormed", NULL, "This is not a SOAP message")  \
	X(UNKNOWN, "env:Sender", "ter:UnknownAction", NULL, "There is no such service")         \
	X(UNSUPPORTED, "env:Receiver", "ter:ActionNotSupported", NULL, "This is not supported") \
	X(MISSING, "env:Sender", "ter:InvalidArgs", NULL,                                       \
		"Something that is needed is missing, or is not what it should be")             \
	X(NO_PROFILE, "env:Sender", "ter:InvalidArgVal", "ter:NoProfile",                       \
		"There is no such profile")                                                     \
	X(NO_SOURCE, "env:Sender", "ter:InvalidArgVal", "ter:NoSource",                         \
		"There is no such video source")                                                \
	X(NO_IMAGING, "env:Receiver", "ter:ActionNotSupported", "ter:NoImagingForSource",       \
		"The picture of this camera is not to be set")                                  \
	X(NO_PTZ, "env:Sender", "ter:InvalidArgVal", "ter:NoPTZProfile",                        \
		"This camera cannot be moved")                                                  \
	X(NO_NODE, "env:Sender", "ter:InvalidArgVal", "ter:NoEntity", "There is no such node")  \
	X(NO_CONFIGURATION, "env:Sender", "ter:InvalidArgVal", "ter:NoConfig",                  \
		"There is no such configuration")                                               \
	X(NO_RECORDING, "env:Sender", "ter:InvalidArgVal", "ter:NoRecording",                   \
		"There is no such recording")                                                   \
	X(NO_JOB, "env:Sender", "ter:InvalidArgVal", "ter:NoRecordingJob",                      \
		"There is no such recording job")                                               \
	X(NO_TRACK, "env:Sender", "ter:InvalidArgVal", "ter:NoTrack", "There is no such track") \
	X(NO_SEARCH, "env:Sender", "ter:InvalidArgVal", "ter:InvalidToken",                     \
		"There is no such search, or not any more")                                     \
	X(BAD_FILTER, "env:Sender", "ter:InvalidArgVal", "ter:InvalidFilterFault",              \
		"The filter is not understood")                                                 \
	X(BAD_STREAM, "env:Sender", "ter:InvalidArgVal", "ter:InvalidStreamSetup",              \
		"There is no such way to send a stream")                                        \
	X(FIXED, "env:Sender", "ter:InvalidArgVal", "ter:ConfigModify",                         \
		"This is not changed by ONVIF")                                                 \
	X(NO_SUBSCRIPTION, "env:Sender", "ter:InvalidArgVal", NULL,                             \
		"There is no such subscription, or not any more")                               \
	X(TOO_MANY, "env:Receiver", "ter:OutofMemory", NULL, "There are too many of these")     \
	X(BUSY, "env:Receiver", "ter:Action", NULL, "The recordings cannot be looked up now")   \
	X(NO_ANSWER, "env:Receiver", "ter:Action", NULL, "The camera does not answer")

enum onvif_fault {
#define X(name, code, subcode, subsubcode, reason) ONVIF_FAULT_##name,
	ONVIF_FAULTS(X)
#undef X
};

struct onvif_call {
	struct http_request *http;
	const char *
		camera; /* that is this device (onvif.devices), for which all else is not there; or NULL */
	struct auth_user *
		user; /* NULL: without users, or nobody was asked; for a camera's device he may see that one alone */
	struct soap_message in;
	struct soap_writer out;
	xmlNode *answer;    /* the response's element */
	const char *action; /* WS-Addressing's of the response, or NULL */
	int status;         /* 0: 200 */
	char base[320];     /* "http://nvr:8080/nvr", as the client knows us */
	char host[256];     /* "nvr", "[2001:db8::1]" */
	/* of a handler that answers later: what it has, and who frees that, also when the client has gone */
	void *later;
	void (*on_gone)(void *later);
	/* what makes our answer of a camera's, for pass_on.h; false: it makes no sense */
	bool (*take)(struct onvif_call *call, const struct soap_message *answer);
};

/* Sends the answer. Only for a handler that has returned false. */
void onvif_call_finish(struct onvif_call *call);
/* Makes a fault of the answer; returns true, for handlers to return. */
bool onvif_call_refuse(struct onvif_call *call, enum onvif_fault fault);
/* The same with the codes of somebody else's fault; returns true. */
bool onvif_call_fault(struct onvif_call *call, const struct soap_fault *fault);
/* The text of the request's child element of that name, in the operation's namespace; false: there is none, or it is too long. */
bool onvif_call_text(const struct onvif_call *call, const char *name, char *ret, size_t size);

/* --- what the services tell of; the reactor's --- */

struct onvif_setup {
	const struct config *config; /* in force */
	struct catalogue *catalogue;
	struct volume *volume;
	char rtsp[64]; /* "0.0.0.0:8554", or "" */
	char uuid[ONVIF_UUID_BYTES];
};
const struct onvif_setup *onvif_setup(void);
/* Which device was called. Returns ret. */
char *onvif_call_uuid(const struct onvif_call *call, char ret[ONVIF_UUID_BYTES]);

enum {
	ONVIF_TOKEN_BYTES = 65, /* with NUL */
	ONVIF_CAMERA_BYTES = 60 /* a longer name is no token: "<camera>/sub" has to be one, too */
};

/* The first camera (NULL) that the caller may see, or the next; NULL at the end. */
const struct config_camera *onvif_camera_next(
	const struct onvif_call *call, const struct config_camera *camera);
/* By name; NULL: there is none, or not for the caller. */
const struct config_camera *onvif_camera_find(const struct onvif_call *call, const char *name);
