/* FindRecordings: the cameras of which there is footage. */
#include <stdlib.h>
#include <string.h>

#include "onvif/recording_lookup.h"
#include "onvif/search_information.h"
#include "onvif/search_private.h"
#include "onvif/search_service.h"
#include "server/base/memory.h"

#define TSE SOAP_SEARCH_SPACE
#define TT SOAP_SCHEMA_SPACE

struct recording_search {
	struct search *search;
	char filter[RECORDING_FILTER_BYTES]; /* "": all */
	struct recording_lookup *lookup;
	const struct recording_found *found;
};

static void recordings_on_rows(void *arg, int error, const struct recording_found *rows, size_t n)
{
	struct recording_search *recordings = arg;

	recordings->found = rows;
	search_done(recordings->search, error ? 0 : n);
}

/* Without footage there is no recording to be searched. */
static bool recording_is_meant(const struct recording_search *recordings,
	const struct onvif_call *call, const struct recording_found *found)
{
	struct soap_writer scratch;
	bool is_meant;

	if (!found->last)
		return false;
	if (!recordings->filter[0])
		return true;
	soap_writer_init(&scratch);
	is_meant = recording_filter_has(recordings->filter,
		search_write_information(call, scratch.body, TT, "RecordingInformation", found));
	soap_writer_fini(&scratch);
	return is_meant;
}

static bool recordings_write(void *arg, const struct onvif_call *call, xmlNode *list, size_t i)
{
	const struct recording_search *recordings = arg;
	const struct recording_found *found = &recordings->found[i];

	if (!recording_is_meant(recordings, call, found))
		return false;
	search_write_information(call, list, TT, "RecordingInformation", found);
	return true;
}

static void recordings_free(void *arg)
{
	struct recording_search *recordings = arg;

	recording_lookup_free(recordings->lookup);
	free(recordings);
}

const struct search_kind search_recordings_kind = { recordings_write, recordings_free };

bool search_find_recordings(struct onvif_call *call)
{
	const xmlNode *scope = soap_child(call->in.body, TSE, "Scope");
	char filter[RECORDING_FILTER_BYTES];
	struct recording_search *recordings;
	struct search *search;
	const char **names;
	size_t n;

	if (!scope)
		return onvif_call_refuse(call, ONVIF_FAULT_MISSING);
	if (!search_scope_filter(scope, filter))
		return onvif_call_refuse(call, ONVIF_FAULT_BAD_FILTER);
	recordings = xcalloc(1, sizeof(*recordings));
	search = search_new(call, &search_recordings_kind, recordings);
	if (!search)
		return onvif_call_refuse(call, ONVIF_FAULT_TOO_MANY);
	recordings->search = search;
	memcpy(recordings->filter, filter, sizeof(filter));
	names = search_scope_cameras(call, scope, &n);
	recordings->lookup = recording_lookup_new(onvif_setup()->catalogue, names, n,
		RECORDING_LOOKUP_NEWEST, recordings_on_rows, recordings);
	free(names);
	return search_begin(call, search);
}
