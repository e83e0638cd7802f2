/* Who this device is, made of the machine and the store: see onvif_identity.h. Read once, before the reactor runs. */
#include "onvif/onvif_identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

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

char *onvif_identity(char ret[ONVIF_UUID_BYTES], const char *store)
{
	char machine[64];
	unsigned char hash[EVP_MAX_MD_SIZE], *h = hash;

	read_machine(machine, sizeof(machine));
	if (!HMAC(EVP_sha256(), machine, (int)strlen(machine), (const unsigned char *)store,
		    strlen(store), hash, NULL))
		abort();
	h[6] = (unsigned char)((h[6] & 0x0f) | 0x80); /* RFC 9562 section 5.8 */
	h[8] = (unsigned char)((h[8] & 0x3f) | 0x80);
	snprintf(ret, ONVIF_UUID_BYTES,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", h[0], h[1],
		h[2], h[3], h[4], h[5], h[6], h[7], h[8], h[9], h[10], h[11], h[12], h[13], h[14],
		h[15]);
	return ret;
}
