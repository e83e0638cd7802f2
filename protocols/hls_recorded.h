#pragma once

#include <stdbool.h>

#include "storage/tree.h"

struct http_request;

/*
 * GET and HEAD below /recordings/: what is named *.m3u8 is a playlist (RFC 8216) of recordings, by byte ranges in them; all
 * else is still's. One tree for the process, set before the first request.
 *
 *	/recordings/<camera>/<date>/index.m3u8      the recordings in that folder
 *	/recordings/<camera>/<from>--<to>.m3u8      a range, storage/clip_name.h
 *	  ?gaps=close                               without gaps
 *
 * They name two more: the media (?media) and for scrubbing the keyframes alone (?iframes).
 */
void hls_recorded_set_tree(struct tree *tree);
void hls_recorded_get(struct http_request *request);

/* Whether the request's path is one of a playlist, be there any recordings for it or not. */
bool hls_recorded_is_named(const struct http_request *request);
/*
 * As tree_find(), of the playlist that GET of this path answers without ?media and ?iframes; it has no ETag. NULL and an error
 * in *error: -ENOENT, -EAGAIN; done is not called then.
 */
struct hls_recorded_look;
struct hls_recorded_look *hls_recorded_find(
	struct http_request *request, tree_entry_fn *done, void *arg, int *error) MUST_CHECK;
/* No callback after this; NULL is fine. */
void hls_recorded_cancel(struct hls_recorded_look *look);
