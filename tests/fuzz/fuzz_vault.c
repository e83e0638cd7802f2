/* Any text as a sealed value; and any bytes sealed come back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/memory.h"
#include "server/base/vault.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const unsigned char key[VAULT_KEY_BYTES] = { 1 };
	struct vault *vault = vault_new(key);
	char *text = xstrndup((const char *)p, n);
	char *sealed = vault_seal(vault, "a", (const char *)p, n);
	const char *why = NULL;
	size_t got = 0;
	char *secret = vault_unseal(vault, "a", text, &got, &why);

	if (!secret && !why)
		abort();
	free(secret);
	secret = vault_unseal(vault, "a", sealed, &got, &why);
	if (!secret || got != n || memcmp(secret, p, n) != 0)
		abort();
	free(secret);
	free(sealed);
	free(text);
	vault_free(vault);
	return 0;
}
