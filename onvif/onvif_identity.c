/* Who this device is, made of the machine and the store: see onvif_identity.h. Read once, before the reactor runs. */
#include "onvif/onvif_identity.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "server/base/config.h"
#include "server/base/memory.h"

/* The machine's id; without one its name. */
static void read_machine(char *ret, size_t size)
{
	FILE *file = fopen("/etc/machine-id", "re");

	if (!file || !fgets(ret, (int)size, file) || ret[0] == '\n') {
		if (gethostname(ret, size) < 0)
			ret[0] = '\0';
		ret[size - 1] = '\0';
	}
	if (file)
		(void)fclose(file);
}

/* Of a keyed hash. */
static char *write_uuid(char ret[ONVIF_UUID_BYTES], const char *key, const char *text)
{
	unsigned char hash[EVP_MAX_MD_SIZE], *h = hash;

	if (!HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)text, strlen(text),
		    hash, NULL))
		abort();
	h[6] = (unsigned char)((h[6] & 0x0f) | 0x80); /* RFC 9562 section 5.8 */
	h[8] = (unsigned char)((h[8] & 0x3f) | 0x80);
	snprintf(ret, ONVIF_UUID_BYTES,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", h[0], h[1],
		h[2], h[3], h[4], h[5], h[6], h[7], h[8], h[9], h[10], h[11], h[12], h[13], h[14],
		h[15]);
	return ret;
}

char *onvif_identity(char ret[ONVIF_UUID_BYTES], const char *store)
{
	char machine[64];

	read_machine(machine, sizeof(machine));
	return write_uuid(ret, machine, store);
}

char *onvif_identity_of(char ret[ONVIF_UUID_BYTES], const char *uuid, const char *camera)
{
	return write_uuid(ret, uuid, camera);
}

char *onvif_hardware_address(char ret[ONVIF_HARDWARE_BYTES], const char *uuid)
{
	const char *digits = strrchr(uuid, '-') + 1;
	uint64_t bits = strtoull(digits, NULL, 16);
	unsigned first = (unsigned)(bits >> 40 & 0xfc) | 0x02; /* of one host, no maker's */

	snprintf(ret, ONVIF_HARDWARE_BYTES, "%02x:%.2s:%.2s:%.2s:%.2s:%.2s", first, digits + 2,
		digits + 4, digits + 6, digits + 8, digits + 10);
	return ret;
}

/* --- scopes --- */

#define SCOPE "onvif://www.onvif.org/"

/* One more, whose value may be any text. */
static char *add_scope(char *scopes, const char *kind, const char *value)
{
	char *quoted = xcalloc(strlen(value) + 1, 3), *p = quoted, *more;

	for (; *value; value++) {
		if (isalnum((unsigned char)*value) || strchr("-_.~", *value))
			*p++ = *value;
		else
			p += sprintf(p, "%%%02X", (unsigned char)*value);
	}
	*p = '\0';
	more = xasprintf("%s " SCOPE "%s/%s", scopes, kind, quoted);
	free(quoted);
	free(scopes);
	return more;
}

char *onvif_write_scopes(const struct config *config, const char *camera)
{
	char *scopes = xasprintf(SCOPE "Profile/Streaming " SCOPE "Profile/G " SCOPE "Profile/T");

	scopes = add_scope(scopes, "type", "video_encoder");
	if (!camera)
		scopes = add_scope(scopes, "type", "NetworkVideoRecorder");
	scopes = add_scope(scopes, "hardware", "nvrd");
	scopes = add_scope(scopes, "name", camera ? camera : config->onvif.name);
	return add_scope(
		scopes, "location", config->onvif.location ? config->onvif.location : "unknown");
}
