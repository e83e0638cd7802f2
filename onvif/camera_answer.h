#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onvif/soap_message.h"
#include "server/base/attributes.h"

/*
 * What ONVIF cameras answer (ONVIF Core, Media and Media2 Specifications). Pure. The question is known, so names count without
 * their namespaces, which cameras get wrong (Q118). Each function returns 0; or -EBADMSG and a static *why: the answer lacks
 * what was asked for.
 */

enum {
	CAMERA_PATH_BYTES = 1024,
	CAMERA_TOKEN_BYTES = 128,
	CAMERA_PROFILES = 64 /* of a camera; what is more is not seen */
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
};
/* Of GetServices, and of GetCapabilities. */
int camera_answer_services(struct camera_services *ret, const struct soap_message *answer,
	const char **why) MUST_CHECK;

struct camera_profile {
	char token[CAMERA_TOKEN_BYTES];
	char source[CAMERA_TOKEN_BYTES]; /* the video source's; "" when unsaid */
	uint64_t pixels;
	bool jpeg;
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
