/* Any bytes as a configuration whose secrets are sealed: it means the same as before, and sealing it again changes nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/config_files.h"
#include "server/base/config_private.h"
#include "server/base/vault.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const unsigned char key[VAULT_KEY_BYTES] = { 1 };

/* The configuration of a text; NULL: it is not valid. */
static struct config *parse(const struct vault *vault, const char *text, size_t n)
{
	struct config_errors errors = { .file = "f" };
	struct config_loading l = { .config = config_new("f"), .errors = &errors, .vault = vault };
	struct config_node *root = config_node_parse(text, n, &errors);

	if (root) {
		config_read(&l, root);
		config_read_end(&l, root);
	}
	config_node_free(root);
	free(errors.text);
	if (!errors.count)
		return l.config;
	config_free(l.config);
	return NULL;
}

static void check_equal(const struct config *a, const struct config *b)
{
	const struct config_camera *camera, *other;
	const struct auth_user *user;

	if (!config_shared_equal(a, b) || config_needs_restart(a, b))
		abort();
	TAILQ_FOREACH (camera, &a->cameras, entry) {
		other = config_find_camera(b, camera->name);
		if (!other || !config_camera_equal(camera, other))
			abort();
	}
	TAILQ_FOREACH (user, &a->users, entry) {
		if (!config_user_equal(user, auth_find(&b->users, user->name, strlen(user->name))))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct vault *vault = vault_new(key);
	char *errors = NULL, *again = NULL, *text = NULL;
	size_t bytes = 0, more = 0;

	text = config_seal(vault, "f", (const char *)p, n, &bytes, &errors);
	if (!text != (errors != NULL))
		abort();
	if (text) {
		struct config *before = parse(vault, (const char *)p, n);
		struct config *after = parse(vault, text, bytes);

		again = config_seal(vault, "f", text, bytes, &more, &errors);
		if (!again || more != bytes || memcmp(text, again, bytes) != 0)
			abort();
		if (before && (!after || after->has_secrets))
			abort();
		if (before)
			check_equal(before, after);
		config_free(before);
		config_free(after);
	}
	free(errors);
	free(again);
	free(text);
	vault_free(vault);
	return 0;
}
