#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "onvif/onvif_call.h"
#include "onvif/recording_filter.h"

/* --- searches: search_service.c --- */

/* What is searched. */
struct search_kind {
	/* Writes the result of that index; false: it is not meant. */
	bool (*write)(void *arg, const struct onvif_call *call, xmlNode *list, size_t i);
	void (*free)(void *arg);
};

extern const struct search_kind search_recordings_kind, search_events_kind;

struct search;
/* Of the call's owner and times; NULL: there are too many, and arg is freed. */
struct search *search_new(
	const struct onvif_call *call, const struct search_kind *kind, void *arg) MUST_CHECK;
/* Answers with its token. */
bool search_begin(struct onvif_call *call, const struct search *search);
/* The most results that are wanted. */
size_t search_most(const struct search *search);
/* There are n results, and no more will come. Afterwards it may be gone. */
void search_done(struct search *search, size_t n);

/* --- what is searched: search_scope.c --- */

/* Whether one of the elements of the name of `first` has that text. */
bool search_list_has(const xmlNode *first, const char *text);
/* The names of the cameras that the scope has, which the caller frees; the names are the configuration's. */
const char **search_scope_cameras(
	const struct onvif_call *call, const xmlNode *scope, size_t *ret_n) MUST_CHECK;
/* "": there is none; false: it is not understood. */
bool search_scope_filter(const xmlNode *scope, char ret[RECORDING_FILTER_BYTES]) MUST_CHECK;
