#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onvif/ptz_space.h"
#include "onvif/soap_message.h"
#include "server/base/attributes.h"

/*
 * What ONVIF cameras answer (ONVIF Core, Media, Media2 and PTZ Specifications). Pure. The question is known, so names count without
 * their namespaces, which cameras get wrong (Q118). Each function returns 0; or -EBADMSG and a static *why: the answer lacks
 * what was asked for.
 */

enum {
	CAMERA_PATH_BYTES = 1024,
	CAMERA_TOKEN_BYTES = 128,
	CAMERA_PRESET_BYTES = 65, /* of its token and its name, which have 64 at most */
	CAMERA_PROFILES = 64      /* of a camera; what is more is not seen */
};

/* A camera's clock: what it calls UTC, and what local time; whether that knows of summer. */
struct camera_time {
	int64_t utc_us, local_us;
	bool is_summer;
};
/* Of GetSystemDateAndTime; local_us is utc_us when it is unsaid. */
int camera_answer_time(
	struct camera_time *ret, const struct soap_message *answer, const char **why) MUST_CHECK;

/* Paths of services at the address that answers, whatever host they are said to be on (Q117); "" where there is none. */
struct camera_services {
	char media[CAMERA_PATH_BYTES], media2[CAMERA_PATH_BYTES], events[CAMERA_PATH_BYTES];
	char ptz[CAMERA_PATH_BYTES], imaging[CAMERA_PATH_BYTES];
};
/* Of GetServices, and of GetCapabilities. */
int camera_answer_services(struct camera_services *ret, const struct soap_message *answer,
	const char **why) MUST_CHECK;

struct camera_profile {
	char token[CAMERA_TOKEN_BYTES];
	char source[CAMERA_TOKEN_BYTES]; /* the video source's; "" when unsaid */
	uint64_t pixels;
	bool jpeg;
	bool ptz;                      /* what it shows can be moved */
	char node[CAMERA_TOKEN_BYTES]; /* by this PTZ node; "" when unsaid */
};
struct camera_profiles {
	struct camera_profile all[CAMERA_PROFILES];
	size_t n;
};
/* Of GetProfiles of Media and Media2: the profiles that have video. There is at least one. */
int camera_answer_profiles(struct camera_profiles *ret, const struct soap_message *answer,
	const char **why) MUST_CHECK;
/* The largest one; JPEG where there is nothing else. */
const struct camera_profile *camera_profiles_main(const struct camera_profiles *profiles);
/*
 * The one beside it, of the same source: the largest with a quarter of its pixels at most, or else the smallest that is smaller;
 * NULL: there is none.
 */
const struct camera_profile *camera_profiles_sub(const struct camera_profiles *profiles);
/* The one by which the camera is moved: the largest one, or another of its source; NULL: there is none. */
const struct camera_profile *camera_profiles_ptz(const struct camera_profiles *profiles);

/* Of GetStreamUri of Media and Media2. */
int camera_answer_uri(char ret[CAMERA_PATH_BYTES], const struct soap_message *answer,
	const char **why) MUST_CHECK;

struct camera_subscribed {
	char address[CAMERA_PATH_BYTES]; /* as said */
	char path[CAMERA_PATH_BYTES];    /* as of services */
	const xmlNode *parameters;       /* the answer's wsa:ReferenceParameters, or NULL */
};
/* Of CreatePullPointSubscription. */
int camera_answer_subscribed(struct camera_subscribed *ret, const struct soap_message *answer,
	const char **why) MUST_CHECK;
/* How long a subscription lasts, as that and Renew tell; now_us is the camera's clock, where it does not say. 0: unsaid, or over. */
int64_t camera_answer_lasts_us(const struct soap_message *answer, int64_t now_us);

/* A PTZ node: how the camera can be moved. */
struct camera_node {
	unsigned spaces; /* see ptz_space.h */
	int presets;     /* so many at most */
	bool has_home, has_fixed_home;
};
/* Of GetNodes: the node of that token, or else the first. */
int camera_answer_node(struct camera_node *ret, const struct soap_message *answer,
	const char *token, const char **why) MUST_CHECK;

struct camera_preset {
	const xmlNode *element; /* NULL: before the first */
	char token[CAMERA_PRESET_BYTES];
	char name[CAMERA_PRESET_BYTES]; /* "": none */
	bool has_position;
	struct ptz_vector position;
};
/* Of GetPresets: the next one, or the first after zeroes. False: there is none. */
bool camera_preset_next(const struct soap_message *answer, struct camera_preset *preset);
/* Of SetPreset: its token. */
int camera_answer_preset(char ret[CAMERA_PRESET_BYTES], const struct soap_message *answer,
	const char **why) MUST_CHECK;

struct camera_status {
	bool has_position;
	struct ptz_vector position;
	const char *pan_tilt, *zoom; /* "IDLE", "MOVING", "UNKNOWN"; NULL when unsaid */
	char error[256];             /* or "" */
};
/* Of GetStatus of PTZ. */
int camera_answer_status(
	struct camera_status *ret, const struct soap_message *answer, const char **why) MUST_CHECK;
