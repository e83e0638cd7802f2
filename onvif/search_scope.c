/* Which cameras are searched. */
#include <string.h>

#include "onvif/search_private.h"
#include "server/base/memory.h"

#define TT SOAP_SCHEMA_SPACE

bool search_list_has(const xmlNode *first, const char *text)
{
	char token[ONVIF_TOKEN_BYTES];

	for (; first; first = soap_next(first)) {
		if (soap_text(first, token, sizeof(token)) && !strcmp(token, text))
			return true;
	}
	return false;
}

/* Of IncludedSources, each of which has a Token. */
static bool sources_have(const xmlNode *first, const char *camera)
{
	for (; first; first = soap_next(first)) {
		if (search_list_has(soap_child(first, TT, "Token"), camera))
			return true;
	}
	return false;
}

const char **search_scope_cameras(
	const struct onvif_call *call, const xmlNode *scope, size_t *ret_n)
{
	const xmlNode *sources = soap_child(scope, TT, "IncludedSources");
	const xmlNode *recordings = soap_child(scope, TT, "IncludedRecordings");
	const struct config_camera *camera = NULL;
	const char **names = NULL;
	size_t n = 0;

	while ((camera = onvif_camera_next(call, camera))) {
		if ((sources && !sources_have(sources, camera->name)) ||
			(recordings && !search_list_has(recordings, camera->name)))
			continue;
		names = xrealloc(names, (n + 1) * sizeof(*names));
		names[n++] = camera->name;
	}
	*ret_n = n;
	return names;
}

bool search_scope_filter(const xmlNode *scope, char ret[RECORDING_FILTER_BYTES])
{
	const xmlNode *filter = soap_child(scope, TT, "RecordingInformationFilter");

	ret[0] = '\0';
	return !filter || (soap_text(filter, ret, RECORDING_FILTER_BYTES) &&
				  (!ret[0] || recording_filter_is_valid(ret)));
}
