#include "protocols/hls_directives.h"

#include <errno.h>
#include <string.h>

#include "protocols/message.h"

/* Less than HLS_DIRECTIVE_NONE, and room to count on. */
#define NUMBER_MOST ((uint64_t)INT64_MAX)

static bool directive_number(uint64_t *ret, const char *text)
{
	*ret = HLS_DIRECTIVE_NONE;
	return !text ||
	       message_text_number((struct message_text){ text, strlen(text) }, NUMBER_MOST, ret);
}

int hls_directives_parse(struct hls_directives *ret, const char *msn, const char *part,
	const char *skip, const char **why)
{
	struct hls_directives it;

	*why = "_HLS_msn and _HLS_part are decimal numbers";
	if (!directive_number(&it.segment, msn) || !directive_number(&it.part, part))
		return -EBADMSG;
	*why = "_HLS_part wants _HLS_msn";
	if (part && !msn)
		return -EBADMSG;
	*why = "_HLS_skip is YES or v2";
	it.skip = skip && (strcmp(skip, "YES") == 0 || strcmp(skip, "v2") == 0);
	if (skip && !it.skip)
		return -EBADMSG;
	*why = NULL;
	*ret = it;
	return 0;
}
