/* Any bytes as a configuration: either a whole one or at least one message, and nothing is read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/config_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *errors = NULL;
	struct config *config = config_parse_text("f", (const char *)p, n, false, &errors);

	if (!config && (!errors || strncmp(errors, "f:", 2) != 0))
		abort();
	if (config && (errors || config_needs_restart(config, config) ||
			      !config_shared_equal(config, config)))
		abort();
	config_free(config);
	free(errors);
	return 0;
}
